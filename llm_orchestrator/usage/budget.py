"""What may still be spent: sums of a shared ledger, kept up to date, and the limits they are compared with.

A budget is a check before each attempt, not a reservation: requests under way at that moment may still
overshoot it. What other processes wrote to the ledger counts, and so do estimates; a call without a price
cannot count.
"""

from __future__ import annotations

import logging
import os
import threading
from datetime import datetime, timezone
from decimal import Decimal
from typing import IO, Dict, Iterable, Iterator, Optional, Sequence, Set, Tuple

from llm_orchestrator.exceptions import BudgetExceededError, ConfigurationError
from llm_orchestrator.usage.columns import REPORT_COLUMNS
from llm_orchestrator.usage.days import LocalClock
from llm_orchestrator.usage.ledger import Identity, Ledger, identity
from llm_orchestrator.usage.ledger_csv import LineReader
from llm_orchestrator.usage.record import UsageRecord
from llm_orchestrator.utils.money import ZERO, add_money, format_cost

__all__ = ["Budget", "LedgerTail", "make_budget"]

logger = logging.getLogger(__name__)

#: Share of a budget from which on it warns.
WARNING_SHARE = Decimal("0.8")

_TIME, _COST, _SESSION = map(REPORT_COLUMNS.index, ("timestamp", "cost", "session_id"))


def make_budget(
    enabled: bool, session: Optional[Decimal], day: Optional[Decimal], ledger: Optional[Ledger]
) -> Budget:
    """Make the budget of a tracker."""
    if not enabled:
        raise ConfigurationError(
            "A budget is set, but cost tracking is off, so nothing would be counted. Turn it on."
        )
    return Budget(session, day, ledger)


class Budget:
    """Compares what was spent with the limits, for many threads and for all processes of one ledger."""

    def __init__(self, session: Optional[Decimal], day: Optional[Decimal], ledger: Optional[Ledger]) -> None:
        limits = {"session": session, "day": day}
        self._limits = {kind: None if most is None else Decimal(str(most)) for kind, most in limits.items()}
        self._spent: Dict[str, Dict[str, Decimal]] = {"session": {}, "day": {}}
        self._clock = LocalClock()
        self._tail = LedgerTail(ledger) if ledger else None
        self._warned: Set[Tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._catch_up()  # now, not while the first call waits

    def note(self, record: UsageRecord) -> None:
        """Count a record that is in no ledger file."""
        if record.cost:
            with self._lock:
                self._add(str(record.timestamp), record.session_id, record.cost)

    def check(self, session_id: str, pending: Optional[Decimal] = None) -> None:
        """Refuse to go on when a budget is spent."""
        today, _ = self._clock.read(str(datetime.now(timezone.utc)))
        with self._lock:
            self._catch_up()
            for kind, name in (("session", session_id), ("day", today)):
                limit = self._limits[kind]
                if limit is not None:
                    spent = add_money(self._spent[kind].get(name, ZERO), pending or ZERO)
                    self._compare(kind, name, spent, limit)

    def _compare(self, kind: str, name: str, spent: Decimal, limit: Decimal) -> None:
        if spent >= limit:
            raise BudgetExceededError(
                f"The budget for one {kind} is spent: {format_cost(spent)} of {format_cost(limit)} "
                f"({kind} {name}). Nothing more was sent. Raise cost_tracking.budget.{kind} to go on."
            )
        if spent >= WARNING_SHARE * limit and (kind, name) not in self._warned:
            self._warned.add((kind, name))
            logger.warning(
                "%s of %s has been spent of the budget for %s %s.",
                format_cost(spent),
                format_cost(limit),
                kind,
                name,
            )

    def _catch_up(self) -> None:
        new_rows: Iterable[Sequence[str]] = self._tail.read() if self._tail else ()
        try:
            for cells in new_rows:
                if cells[_COST]:
                    self._add(cells[_TIME], cells[_SESSION], Decimal(cells[_COST]))
        except OSError as error:
            raise ConfigurationError(
                f"The ledger cannot be read, so that no budget can be checked: {error}. "
                "Make the file readable or remove the budget."
            ) from error

    def _add(self, timestamp: str, session_id: str, cost: Decimal) -> None:
        day, _ = self._clock.read(timestamp)
        for kind, name in (("session", session_id), ("day", day)):
            if self._limits[kind] is not None:
                spent = self._spent[kind]
                spent[name] = add_money(spent.get(name, ZERO), cost)

    def renew_after_fork(self) -> None:
        """Forget a lock that a thread of the parent may hold."""
        self._lock = threading.Lock()


class LedgerTail:
    """Reads on in a ledger from where it stopped, through rotations; the first time, all of it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._file: Optional[Identity] = None
        self._reader: Optional[LineReader] = None
        self._offset = 0

    def read(self) -> Iterator[Sequence[str]]:
        """Read the rows that were added since the last time."""
        if not self._is_more():
            return
        for file, path in self._ledger.files(self._file):
            status = os.fstat(file.fileno())
            if identity(status) != self._file or status.st_size < self._offset:  # another one, or emptied
                self._file, self._offset, self._reader = identity(status), 0, None
            file.seek(self._offset)
            for line in _whole_lines(file):
                self._offset += len(line)
                text = line.decode("utf-8-sig", "replace")
                if self._reader is None:
                    self._reader = LineReader(text, path)
                else:
                    cells = self._reader.cells(text)
                    if cells is not None:
                        yield cells

    def _is_more(self) -> bool:
        try:
            status = os.stat(self._ledger.path)
        except FileNotFoundError:
            return True  # the rotated files may hold more
        return identity(status) != self._file or status.st_size != self._offset


def _whole_lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines that are ended: one that is being written is read the next time."""
    for line in file:
        if line.endswith(b"\n"):
            yield line
