"""Submits batches so that none is submitted twice: the intent is noted before."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Awaitable, Callable, Dict, List, Optional, Protocol, TypeVar

from llm_orchestrator.bulk.batch_notes import BatchNote, BatchNotes
from llm_orchestrator.bulk.packs import Packed
from llm_orchestrator.bulk.prepare import Prepared
from llm_orchestrator.exceptions import (
    OrchestratorError,
    OverloadedError,
    ProviderError,
    RateLimitError,
)
from llm_orchestrator.providers.batch_values import BatchSearch, BatchStatus
from llm_orchestrator.providers.batches import BatchClient, Wanted

__all__ = ["OpenBatch", "Submitter", "patiently"]

#: Seconds before the tries to submit a batch after the first.
PAUSES = (1.0, 5.0, 15.0)
#: Seconds for which a listing may not show a batch yet that was made, and between two looks at it.
SETTLE, LOOK = 30.0, 3.0
#: Seconds after its intent when a batch must have shown in the listing.
LONG_AGO = 600.0
#: Seconds for which failures of a question are waited out, and the first and longest pause meanwhile.
PATIENCE, FIRST_PAUSE, LONGEST_PAUSE = 900.0, 1.0, 60.0

Result = TypeVar("Result")


@dataclass
class OpenBatch:
    """A batch that is not collected yet.

    Attributes:
        note: The journal's note on it.
        rows: The rows of this run that lie in it, by their position in the batch.
        status: What was last heard of it.
        was_running: Whether this run saw it before it came to its end.
        was_alone: Whether no other batch of this run was under way when it was submitted.
    """

    note: BatchNote
    rows: Dict[int, Prepared] = field(default_factory=dict)
    status: Optional[BatchStatus] = None
    was_running: bool = False
    was_alone: bool = False

    def heard(self, status: BatchStatus) -> None:
        """Note how far it is."""
        self.status = status
        self.was_running = self.was_running or not status.is_final


class Caller(Protocol):
    """What is needed of the calls; see ``calls.batches.BatchCaller``."""

    client: BatchClient
    provider: str

    async def check_may_send(self) -> None:
        """Refuse to submit when the orchestrator is closed, or a budget is spent."""


async def patiently(ask: Callable[[], Awaitable[Result]]) -> Result:
    """Ask until there is a reply: an hour without a network must not cost a batch that is under way."""
    began, pause = time.monotonic(), FIRST_PAUSE
    while True:
        try:
            return await ask()
        except ProviderError as error:
            if not error.retryable or time.monotonic() - began > PATIENCE:
                raise
            await asyncio.sleep(max(error.retry_after or 0.0, pause))
            pause = min(pause * 2, LONGEST_PAUSE)


class Submitter:
    """Submits the batches of one run."""

    def __init__(self, caller: Caller, notes: BatchNotes) -> None:
        self._caller = caller
        self._notes = notes

    async def submit(self, rows: List[Packed]) -> OpenBatch:
        """Submit rows as one batch; an error means that there is none."""
        await self._caller.check_may_send()
        keys = [(packed.row.key_text, packed.row.fingerprint) for packed in rows]
        note = self._notes.intend(self._caller.provider, keys)
        batch = OpenBatch(note, {position: packed.row for position, packed in enumerate(rows)})
        try:
            status = await self._submit(note, rows)
        except OrchestratorError:
            self._notes.forget(note.mark)
            raise
        if status is not None:
            self._found(batch, status)
        return batch

    async def _submit(self, note: BatchNote, rows: List[Packed]) -> Optional[BatchStatus]:
        """Submit, and again where nothing was made; None when only its results will tell whether it was."""
        items = [(f"{note.mark}-{position}", packed.item) for position, packed in enumerate(rows)]
        pauses = iter(PAUSES)
        while True:
            try:
                return await self._caller.client.submit(items, note.mark)
            except ProviderError as error:
                if _was_refused(error):
                    raise
                if error.sent:
                    search = await self.search(note)
                    if search.found is not None or search.is_undecided:
                        return search.found
                pause = next(pauses, None)
                if pause is None:
                    raise
                await asyncio.sleep(max(error.retry_after or 0.0, pause))

    async def search(self, note: BatchNote) -> BatchSearch:
        """Find out whether a batch was submitted, by whichever run."""
        others = {other.id for other in self._notes.all_of(note.provider) if other.id is not None}
        wanted = Wanted(note.mark, note.began_at, note.requests, others)
        settled_at = min(time.time() + SETTLE, note.began_at + LONG_AGO)
        while True:
            search = await patiently(lambda: self._caller.client.find(wanted))
            if search.found is not None or search.is_undecided or time.time() >= settled_at:
                return search
            await asyncio.sleep(LOOK)

    async def resolve(self, batch: OpenBatch) -> bool:
        """Find out about a batch of unknown fate; False when it was never submitted, and is forgotten."""
        search = await self.search(batch.note)
        if search.found is not None:
            self._found(batch, search.found)
        elif not search.is_undecided:
            self._notes.forget(batch.note.mark)
            return False
        return True

    def _found(self, batch: OpenBatch, status: BatchStatus) -> None:
        self._notes.submitted(batch.note.mark, status.id)
        batch.note = batch.note._replace(id=status.id)
        batch.heard(status)


def _was_refused(error: ProviderError) -> bool:
    """Whether it is sure that no batch was made, and the same batch would be refused again at once."""
    if isinstance(error, (RateLimitError, OverloadedError)) and error.status_code is not None:
        return error.status_code < 500
    return not error.retryable and (not error.sent or error.status_code is not None)
