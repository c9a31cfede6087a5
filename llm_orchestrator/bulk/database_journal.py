"""The journal of runs on many machines: a table in a database, whose rows are claimed before they are asked.

So several runs over the same rows share the work, and each hands out all answers: a row that another one asks
for is waited for. The texts of the answers stand in the table.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, Callable, Dict, Iterator, List, Optional
from uuid import UUID

from llm_orchestrator.bulk.answer_table import LEASE, AnswerTable, Claim, answer_of
from llm_orchestrator.bulk.journal import Kept
from llm_orchestrator.bulk.table_thread import TableThread
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.types import LLMResponse

__all__ = ["DatabaseJournal"]

#: Seconds after which it looks again at a row that another run asks for.
POLL = 0.5
#: Seconds for which a server that was there may be away before the run ends, and between two tries.
PATIENCE, PAUSE = 30.0, 0.5
#: Seconds between two renewals of the claims.
_BEAT = LEASE / 4


class DatabaseJournal:
    """The answers of all runs that name this database; the same methods as ``Journal``.

    Args:
        url: Which database; its password is shown nowhere.
        must_exist: Refuse a database without a journal, instead of making one.
        concurrency: Most rows that are claimed at once.

    Raises:
        ConfigurationError: The URL, or its driver, is wrong. What only the server knows is told at first use.
    """

    #: Rows that are looked at, for each that is claimed: the others may wait for other runs.
    width = 8

    def __init__(self, url: str, *, must_exist: bool = False, concurrency: int = 64) -> None:
        self._table = table = AnswerTable(url)
        self.path = table.name
        self._must_exist = must_exist
        self._concurrency = concurrency
        self._places: Optional[asyncio.Semaphore] = None
        self._held: Dict[UUID, Claim] = {}
        self._renewed_at = self._well_at = time.monotonic()
        self._was_well = False
        self._closing = threading.Event()
        self._steps: Dict[str, Callable[[List[Any]], Any]] = {
            name: self._patient(step)
            for name, step in (
                ("keep", table.keep),
                ("claim", table.claim),
                ("release", table.release),
                ("find", table.find),
            )
        }
        self._thread = TableThread(list(self._steps.values()), keep_up=self._renew, beat=_BEAT)

    # ---------------------------------------------------------------- for a run, on its loop

    async def claim(
        self, key: str, fingerprint: bytes, check: Callable[[], None] = lambda: None
    ) -> Optional[Kept]:
        """Find the answer to a row, waiting for another run that asks for it; None: it is ours to ask.

        ``check`` raises when the run ends, and with it the wait.
        """
        wanted = Claim.to(key, fingerprint)
        while True:
            found = await self._do("find", wanted.id)
            if isinstance(found, Kept):
                return found
            if not found and await self._is_granted(wanted):
                return None
            check()
            await asyncio.sleep(POLL)
            check()

    async def _is_granted(self, wanted: Claim) -> bool:
        if self._places is None:
            self._places = asyncio.Semaphore(self._concurrency)
        await self._places.acquire()
        is_ours: bool = False
        try:
            is_ours = bool(await self._do("claim", wanted))
        except asyncio.CancelledError:
            self._thread.do(self._steps["release"], wanted)  # it may have been granted
            raise
        finally:
            if is_ours:
                self._held[wanted.id] = wanted
            else:
                self._places.release()
        return is_ours

    async def add(self, key: str, fingerprint: bytes, response: LLMResponse) -> None:
        """Keep an answer; returns when it is committed, with others that came meanwhile."""
        answer = answer_of(key, fingerprint, response)
        await self._do("keep", answer)
        self._pop(answer["id"])

    def release(self, key: str, fingerprint: bytes) -> None:
        """Let others ask for a row that got no answer; after one it does nothing."""
        claim = self._pop(Claim.to(key, fingerprint).id)
        if claim is not None:
            self._thread.do(self._steps["release"], claim)

    def _pop(self, row: UUID) -> Optional[Claim]:
        claim = self._held.pop(row, None)
        if claim is not None and self._places is not None:
            self._places.release()
        return claim

    async def _do(self, step: str, item: Any) -> Any:
        return await asyncio.wrap_future(self._thread.do(self._steps[step], item))

    def close(self) -> None:
        """Commit what is waiting, give back what was claimed, and close the connections."""
        for claim in list(self._held.values()):
            self._thread.do(self._steps["release"], claim)
        self._held.clear()
        self._closing.set()
        self._thread.close()
        self._table.close()

    # ---------------------------------------------------------------- in the thread

    def _patient(self, step: Callable[[List[Any]], Any]) -> Callable[[List[Any]], Any]:
        """The step, tried again while a server that was there is away."""

        def tried(items: List[Any]) -> Any:
            while True:
                try:
                    self._table.prepare(must_exist=self._must_exist)
                    results = step(items)
                except Exception as error:  # the driver's are of many kinds; told as one
                    if not self._may_try_again(error):
                        raise self._table.unusable(error) from error
                    self._closing.wait(PAUSE)
                else:
                    self._was_well, self._well_at = True, time.monotonic()
                    return results

        return tried

    def _may_try_again(self, error: Exception) -> bool:
        is_early = self._was_well and time.monotonic() - self._well_at < PATIENCE
        return is_early and not self._closing.is_set() and self._table.may_recover(error)

    def _renew(self) -> bool:
        """Renew the claims when it is time; whether there are any."""
        claims = list(self._held.values())
        if claims and time.monotonic() - self._renewed_at >= _BEAT:
            try:
                self._table.renew(claims)
            except Exception:  # noqa: BLE001  # the next wish tells it; until then the leases run on
                return True
            self._renewed_at = time.monotonic()
        return bool(claims)

    # ---------------------------------------------------------------- for estimates and the command line

    def find(self, key: str, fingerprint: bytes) -> Optional[Kept]:
        """Look up the answer to a row."""
        found = self._now(lambda: self._table.find([Claim.to(key, fingerprint).id]))[0]
        return found if isinstance(found, Kept) else None

    def has_answers(self) -> bool:
        """Whether there is any answer; makes nothing."""
        return bool(self._told(self._table.has_answers))

    def sums(self) -> Dict[str, Any]:
        """How many answers there are, of how many rows and prompts, from when to when, and their cost."""
        sums: Dict[str, Any] = self._now(self._table.sums)
        return sums

    def answers(self) -> Iterator[Dict[str, Any]]:
        """All answers, in the order in which they came."""
        rows = self._now(self._table.answers)
        while True:
            row = self._told(lambda: next(rows, None))
            if row is None:
                return
            yield row

    def forget(self, key: Optional[str] = None) -> int:
        """Remove the answers of one key, or all of them; returns how many."""
        return int(self._now(lambda: self._table.forget(key)))

    def _now(self, step: Callable[[], Any]) -> Any:
        """Do something in this thread, once the table is there."""
        self._told(lambda: self._table.prepare(must_exist=self._must_exist))
        return self._told(step)

    def _told(self, step: Callable[[], Any]) -> Any:
        try:
            return step()
        except ConfigurationError:
            raise
        except Exception as error:  # the driver's are of many kinds; told as one
            raise self._table.unusable(error) from error
