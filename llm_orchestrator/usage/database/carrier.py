"""The carrier: takes rows from the spool to the database, in a thread of its own.

The thread lives while there are rows. Where the database is away it tries again after pauses that grow; rows
leave the spool only when they are in the database, and a row that is carried twice is there once.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from contextlib import closing, suppress
from typing import Callable, List, Optional

import sqlalchemy as sa

from llm_orchestrator.usage.database.setup import LedgerDatabaseError
from llm_orchestrator.usage.database.spool import COLUMNS_OF_LINES, Chunk, Spool, read_chunks

__all__ = ["LINGER", "Carrier", "reason_of"]

logger = logging.getLogger(__name__)

#: What only a person can mend, so that nobody waits for it: wrong tables, no rights.
_FOR_PEOPLE = (LedgerDatabaseError, sa.exc.ProgrammingError)

#: Seconds to wait for more rows before some are carried over.
LINGER = 0.05
#: Seconds without a row after which the thread ends; the next row starts another.
_IDLE = 5.0
#: Seconds after which it looks again for what ended processes left behind.
_ADOPTION = 30.0
#: Seconds that somebody waits where somebody waited in vain already, and nothing was carried over since.
_BRIEFLY = 0.5
#: Seconds after which the database is tidied up again, by every process that carries rows over.
_TIDYING = 3600.0
#: Seconds of the first pause after a failure, and of the longest; and of the longest while somebody waits.
_FIRST_PAUSE, _LONGEST_PAUSE, _LONGEST_WAITED = 0.1, 30.0, 0.5


class Carrier:
    """Carries rows over, for the threads that add them and those that wait for it.

    ``write`` is given some lines and returns those that can never be written; ``tidy`` removes what nobody
    needs any more; ``name`` is the ledger's.
    """

    def __init__(
        self, spool: Spool, write: Callable[[Chunk], List[bytes]], tidy: Callable[[], None], name: str
    ) -> None:
        self._spool = spool
        self._write = write
        self._tidy = tidy
        self._name = name
        self._failures = 0
        self._was_waited_for = False  # in vain, and nothing was carried over since
        self._adopted_at: Optional[float] = None
        # Many short programs tidy up as often together as one that runs for as long.
        self._tidied_at = time.monotonic() - random.uniform(0, _TIDYING)
        self.renew_after_fork()

    def renew_after_fork(self) -> None:
        """Begin anew: a child process has neither the thread nor what it may have held."""
        self._thread: Optional[threading.Thread] = None
        self._starting = threading.Lock()
        self._wake = threading.Event()  # there may be rows
        self._hurry = threading.Event()  # somebody waits for them
        self._rounds = threading.Condition()
        self._asked = self._answered = 0

    def notify(self) -> None:
        """Say that there are rows; takes microseconds."""
        if not self._wake.is_set():
            self._wake.set()
        if self._thread is None:
            self._start()

    def carry_over(self, timeout: float) -> None:
        """Have all rows carried over, abandoned ones too, and wait for it for so many seconds."""
        with self._rounds:
            self._asked += 1
            asked = self._asked
        self._hurry.set()
        self.notify()
        if self._thread is None:  # the program ends, and no thread can be started any more
            self._carry_round()
            return
        with self._rounds:
            patience = min(timeout, _BRIEFLY) if self._was_waited_for else timeout
            if not self._rounds.wait_for(lambda: self._answered >= asked, patience):
                self._was_waited_for = True

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="llm-ledger", daemon=True)
                self._thread = thread
                try:
                    thread.start()
                except RuntimeError:  # the system has no more threads; the rows are safe in the spool
                    self._thread = None

    def _run(self) -> None:
        while self._wake.wait(_IDLE) or not self._may_end():
            self._hurry.wait(LINGER)
            if not self._carry_round():
                self._wake.set()
                self._hurry.wait(self._pause())
            elif time.monotonic() - self._tidied_at > _TIDYING:
                self._tidy_up()

    def _tidy_up(self) -> None:
        self._tidied_at = time.monotonic()
        try:
            self._tidy()
        except Exception as error:  # noqa: BLE001 (its role may not, and `prune` does it)
            logger.debug("The ledger %s was not tidied up: %s", self._name, reason_of(error))

    def _may_end(self) -> bool:
        with self._starting:
            own, self._thread = self._thread, None
            if self._wake.is_set():  # a row came that counts on this thread
                self._thread = own
            return self._thread is None

    def _pause(self) -> float:
        longest = _LONGEST_WAITED if self._asked > self._answered else _LONGEST_PAUSE
        return min(longest, _FIRST_PAUSE * float(2 ** min(self._failures, 20)))

    def _carry_round(self) -> bool:
        """Carry over what there is; returns whether nothing is left to be tried again."""
        self._wake.clear()
        self._hurry.clear()
        asked = self._asked
        try:
            self._carry_own()
            if asked > self._answered or self._is_adoption_due():
                self._adopt()
            self._note_success()
            is_over = True
        except Exception as error:  # noqa: BLE001 (whatever is wrong, the rows stay in the spool)
            self._note_failure(error)
            is_over = isinstance(error, _FOR_PEOPLE)
        if is_over:
            with self._rounds:
                self._answered = asked
                self._rounds.notify_all()
        return self._failures == 0

    def _carry_own(self) -> None:
        chunk = self._spool.next_chunk()
        while chunk is not None:
            self._carry(chunk)
            self._spool.mark_carried(chunk)
            chunk = self._spool.next_chunk()

    def _is_adoption_due(self) -> bool:
        return self._adopted_at is None or time.monotonic() - self._adopted_at > _ADOPTION

    def _adopt(self) -> None:
        for path in self._spool.abandoned():
            with closing(read_chunks(path)) as chunks:  # at a failure, too
                is_carried = all(self._carry(chunk) for chunk in chunks)
            if is_carried:
                # A file that stays is carried over again, and its rows are there once.
                with suppress(OSError):
                    os.remove(path)
        self._adopted_at = time.monotonic()

    def _carry(self, chunk: Chunk) -> bool:
        """Carry some rows over; False for those of a later version, which knows what they mean."""
        if not set(chunk.header.decode().strip().split(",")) <= set(COLUMNS_OF_LINES):
            return False
        refused = self._write(chunk)
        if refused:
            path = self._spool.set_aside(chunk.header, refused)
            logger.error(
                "%d row(s) for the ledger %s cannot be stored as they are. They lie in %s.",
                len(refused),
                self._name,
                path,
            )
        return True

    def _note_failure(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == 1:
            logger.warning(
                "The ledger %s takes no rows: %s Rows wait in %s and are carried over as soon as it does.",
                self._name,
                reason_of(error),
                self._spool.folder,
            )

    def _note_success(self) -> None:
        if self._failures:
            logger.info("The ledger %s takes rows again.", self._name)
        self._failures = 0
        self._was_waited_for = False


def reason_of(error: Exception) -> str:
    """What is wrong, in one sentence; the driver's first line says it, and the rest shows statements."""
    if isinstance(error, LedgerDatabaseError):
        return str(error)
    first = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    return f"{(first or type(error).__name__).rstrip('.')}."
