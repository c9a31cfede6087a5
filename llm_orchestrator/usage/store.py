"""The store: where records are kept, in a ledger or in memory, and how they are read back.

Records on their way to the file pass a queue, so that an event loop never waits for a lock: what it cannot
write at once is written by the next record, report or close. A record that cannot be written is logged.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import warnings
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Deque,
    Iterator,
    Mapping,
    Optional,
    Protocol,
    Sequence,
    Tuple,
)

from llm_orchestrator.usage.columns import DETAIL_COLUMNS, REPORT_COLUMNS
from llm_orchestrator.usage.ledger_csv import Row
from llm_orchestrator.usage.recent import RecentRecords
from llm_orchestrator.usage.record import UsageRecord
from llm_orchestrator.usage.selection import ALL, Selection
from llm_orchestrator.utils.plural import number_of

if TYPE_CHECKING:
    from llm_orchestrator.usage.tally import Tally

__all__ = ["AnyLedger", "Groupings", "RecordStore"]

logger = logging.getLogger(__name__)

#: The kinds that each way to group goes by, under its name.
Groupings = Mapping[str, Sequence[str]]

#: Seconds after which a row that an event loop could not write at once is written without the lock.
OVERDUE = 1.0


class AnyLedger(Protocol):
    """What a ledger does, a CSV file or a database; ``str`` of it says where it is."""

    def append(self, record: UsageRecord, *, lock_timeout: float = ..., without_lock: bool = ...) -> bool: ...

    def settle(self) -> int: ...

    def rows(self, selection: Selection = ...) -> Iterator[Row]: ...

    def cells(self, wanted: Sequence[str] = ..., selection: Selection = ...) -> Iterator[Sequence[str]]: ...

    def pinned(self, selection: Selection) -> Selection: ...

    def summed(self, tally: Tally, selection: Selection, groupings: Groupings) -> Iterator[Sequence[str]]: ...

    def summed_page(self, sums: Any, selection: Selection) -> Iterator[Sequence[str]]: ...

    def say_if_missing(self) -> None: ...

    def would_read(self, path: Path) -> bool: ...

    def close(self) -> None: ...

    def renew_after_fork(self) -> None: ...


class RecordStore:
    """Keeps records, for many threads and event loops at once."""

    def __init__(
        self, ledger: Optional[AnyLedger], on_unwritten: Optional[Callable[[UsageRecord], None]]
    ) -> None:
        self.ledger = ledger
        self._on_unwritten = on_unwritten
        self.waiting = 0  # rows that were not where they are read from, when that was last looked at
        self._told_waiting = 0  # of how many that was said
        self._recent = RecentRecords()
        self._waiting: Deque[Tuple[UsageRecord, float]] = deque()  # each with the time at which it came
        self._lock = threading.Lock()

    def add(self, record: UsageRecord) -> None:
        """Keep a record; never raises, as the answer it is about was paid for."""
        if self.ledger is None:
            self._recent.add(record)
            self._note_unwritten(record)
        else:
            self._waiting.append((record, time.monotonic()))
            self.flush()

    def flush(self, *, wait: Optional[bool] = None) -> None:
        """Write what is on its way to the file."""
        if not self._waiting:
            return
        wait = not _on_event_loop() if wait is None else wait
        while self._waiting:
            if not self._lock.acquire(blocking=wait):
                return  # the thread that holds it writes these, too, or the next record does
            try:
                if self._waiting and not self._write(*self._waiting[0], wait):
                    return
            finally:
                self._lock.release()

    def _write(self, record: UsageRecord, since: float, wait: bool) -> bool:
        """Write a record that waits; False leaves it waiting, for another process holds the file's lock."""
        assert self.ledger is not None, "only records for a file wait"
        try:
            if wait:
                written = self.ledger.append(record)
            else:
                is_overdue = time.monotonic() - since > OVERDUE
                written = self.ledger.append(record, lock_timeout=0, without_lock=is_overdue)
        except Exception as error:  # noqa: BLE001 (whatever is wrong with it, the answer was paid for)
            self.ledger.close()  # a descriptor that went bad is not used again
            logger.error(
                "A row of the ledger %s could not be written: %s. The row: %s",
                self.ledger,
                error,
                _shown(record),
            )
            _warn_of_lost_row(self.ledger)
            self._note_unwritten(record)
            written = True
        if written:
            self._waiting.popleft()
        return written

    def _note_unwritten(self, record: UsageRecord) -> None:
        if self._on_unwritten:
            self._on_unwritten(record)

    def rows(self, selection: Selection = ALL) -> Iterator[Row]:
        """Read the records of a selection back."""
        self._get_ready()
        return selection.rows(
            self.ledger.rows(selection) if self.ledger else self._recent.rows(selection.start)
        )

    def cells(
        self, selection: Selection = ALL, wanted: Sequence[str] = REPORT_COLUMNS
    ) -> Iterator[Sequence[str]]:
        """Read back what a report needs, much faster than ``rows``, and of others too: it selects itself."""
        self._get_ready()
        if self.ledger:
            return self.ledger.cells(wanted, selection)
        return ([row[name] for name in wanted] for row in self._recent.rows(selection.start))

    def call_ids(self) -> Iterator[str]:
        """The id of its call for each record in the file; what is in memory is no other program's."""
        self.settle()
        return (call_id for (call_id,) in self.ledger.cells(["call_id"])) if self.ledger else iter(())

    def _get_ready(self) -> None:
        self.settle()
        if self.ledger:
            self.ledger.say_if_missing()

    def settle(self) -> None:
        """See that records are where they are read from; where some are not, that is said."""
        self.flush(wait=True)
        self.waiting = self.ledger.settle() if self.ledger else 0
        was_told, self._told_waiting = self._told_waiting, self.waiting
        if self.waiting and self.waiting != was_told:
            logger.warning(
                "%s on the way to the ledger %s could not be carried over yet. No report counts what waits.",
                number_of(self.waiting, "row"),
                self.ledger,
            )

    def pinned(self, selection: Selection) -> Selection:
        """The selection as it can be read again later, without what came meanwhile."""
        self._get_ready()
        return self.ledger.pinned(selection) if self.ledger else selection

    def report_source(
        self, selection: Selection, groupings: Groupings
    ) -> Tuple[Tally, Iterator[Sequence[str]]]:
        """What a report is made of: the sums of what is no longer kept row by row, and rows to add."""
        from llm_orchestrator.usage.tally import Tally

        if self.ledger or not selection.is_all:
            tally = Tally()
            return tally, self.rows_to_add(tally, selection, groupings)
        self.flush(wait=True)
        sums, records = self._recent.whole()
        rows = (record.to_row() for record in records)
        return sums or Tally(), ([row[name] for name in REPORT_COLUMNS] for row in rows)

    def rows_to_add(
        self, tally: Tally, selection: Selection, groupings: Groupings
    ) -> Iterator[Sequence[str]]:
        """Add to a tally what a database can sum up itself; gives the cells of all other rows.

        ``groupings`` says of each way in which the tally groups what it goes by.
        """
        return self.ledger.summed(tally, selection, groupings) if self.ledger else self.cells(selection)

    def page_rows(self, sums: Any, selection: Selection) -> Iterator[Sequence[str]]:
        """The same for the ``PageSums`` of a page, whose rows have more cells; its report told what lacks."""
        self.settle()
        if self.ledger:
            return self.ledger.summed_page(sums, selection)
        return self.cells(selection, DETAIL_COLUMNS)

    def close(self) -> None:
        """Write what is waiting and give the ledger back; a record that comes later opens it again."""
        self.settle()
        with self._lock:
            if self.ledger:
                self.ledger.close()

    def report_lost(self) -> None:
        """At the end of the program: say which rows never could be written, as the file was always locked."""
        while self.ledger and self._waiting:
            record, _ = self._waiting.popleft()
            logger.error(
                "A row of the ledger %s could not be written: another process keeps it locked. The row: %s",
                self.ledger,
                record.to_row(),
            )
            _warn_of_lost_row(self.ledger)

    def renew_after_fork(self) -> None:
        """Begin anew in a child process."""
        # The parent's lock may be held by a thread that does not exist here, and a shared descriptor shares
        # its file lock; what waits to be written is written by the parent.
        self._lock = threading.Lock()
        self._waiting.clear()
        if self.ledger:
            self.ledger.renew_after_fork()


def _shown(record: UsageRecord) -> Any:
    try:
        return record.to_row()
    except Exception:  # noqa: BLE001 (that is why it could not be written)
        return record


def _warn_of_lost_row(ledger: AnyLedger) -> None:
    """Many programs show no log, and money that is in no row must not go unnoticed."""
    with suppress(Warning):  # a program that makes errors of warnings has paid for the answer, too
        warnings.warn(
            f"A row of the ledger {ledger} could not be written, see the log. "
            "The costs in the ledger are too low.",
            RuntimeWarning,
            stacklevel=2,
        )


def _on_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    # ``get_running_loop`` says no by an exception, which is slow to raise for every row.
    return asyncio is not None and asyncio._get_running_loop() is not None
