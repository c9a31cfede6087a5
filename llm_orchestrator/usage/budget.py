"""What may still be spent by a ledger file: its sums, kept up to date, and the limits they are compared with.

Such a budget is a check before each attempt, not a reservation: requests under way at that moment may still
overshoot it. What other processes wrote to the ledger counts, and so do estimates; a call without a price
cannot count.
"""

from __future__ import annotations

import logging
import os
import threading
from decimal import Decimal
from typing import IO, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.columns import REPORT_COLUMNS
from llm_orchestrator.usage.groups import tags_of
from llm_orchestrator.usage.ledger import Identity, Ledger, identity
from llm_orchestrator.usage.ledger_csv import LineReader
from llm_orchestrator.usage.limits import BudgetLimits, BudgetStatus, Claim
from llm_orchestrator.usage.record import UsageRecord
from llm_orchestrator.utils.money import ZERO, add_money, format_cost

__all__ = ["LedgerBudget", "LedgerTail", "is_nearly_spent", "warn_of_nearly_spent"]

logger = logging.getLogger(__name__)

#: Share of a budget from which on it warns.
WARNING_SHARE = Decimal("0.8")

_TIME, _COST, _SESSION, _TAGS = map(REPORT_COLUMNS.index, ("timestamp", "cost", "session_id", "tags"))


class LedgerBudget:
    """Compares what a ledger says was spent with the limits, for many threads and all its processes.

    Args:
        limits: The budgets.
        ledger: The file with the sums; None: those of this process.
    """

    def __init__(self, limits: BudgetLimits, ledger: Optional[Ledger]) -> None:
        self._limits = limits
        self._spent: Dict[Tuple[str, str], Decimal] = {}
        self._tail = LedgerTail(ledger) if ledger else None
        self._warned: Set[Tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._catch_up()  # now, not while the first call waits

    def note(self, record: UsageRecord) -> None:
        """Count a record that is in no ledger file."""
        if record.cost:
            with self._lock:
                self._add(str(record.timestamp), record.session_id, record.tags, record.cost)

    def check(self, session_id: str, tags: Mapping[str, str], pending: Decimal) -> None:
        """Refuse to go on when a budget is spent; ``pending`` is spent, and not recorded yet."""
        claims = self._limits.claims(session_id, tags)
        with self._lock:
            self._catch_up()
            for claim in claims:
                self._compare(claim, add_money(self._spent.get(claim.key, ZERO), pending))

    def status(self, session_id: str, tags: Optional[Mapping[str, str]]) -> List[BudgetStatus]:
        """What is left of each budget; without ``tags``, of every value of a tag that occurred."""
        claims = self._limits.claims(session_id, tags or {})
        with self._lock:
            self._catch_up()
            if tags is None:
                for group in self._limits.tag_claims():
                    claims += group.found_in(self._spent)
            return [claim.status(self._spent.get(claim.key, ZERO)) for claim in claims]

    def request(
        self, session_id: str, tags: Mapping[str, str], amount: Callable[[], Decimal], seconds: float
    ) -> None:
        """Reserve nothing: a file can only be read."""

    def spend(self, session_id: str, tags: Mapping[str, str], cost: Decimal) -> None:
        """Count nothing: the row in the ledger counts."""

    def flush(self) -> None:
        """Wait for nothing."""

    def close(self) -> None:
        """Keep the sums, for a later call."""

    def _compare(self, claim: Claim, spent: Decimal) -> None:
        if not claim.fits(spent, ZERO, ZERO):
            raise claim.exceeded(spent)
        if claim.key not in self._warned and is_nearly_spent(claim, spent):
            self._warned.add(claim.key)
            warn_of_nearly_spent(claim, spent)

    def _catch_up(self) -> None:
        new_rows: Iterable[Sequence[str]] = self._tail.read() if self._tail else ()
        try:
            for cells in new_rows:
                if cells[_COST]:
                    tags = tags_of(cells[_TAGS]) if self._limits.uses_tags else {}
                    self._add(cells[_TIME], cells[_SESSION], tags, Decimal(cells[_COST]))
        except OSError as error:
            raise ConfigurationError(
                f"The ledger cannot be read, so that no budget can be checked: {error}. "
                "Make the file readable or remove the budget."
            ) from error

    def _add(self, timestamp: str, session_id: str, tags: Mapping[str, str], cost: Decimal) -> None:
        for key in self._limits.keys(timestamp, session_id, tags):
            self._spent[key] = add_money(self._spent.get(key, ZERO), cost)

    def renew_after_fork(self) -> None:
        """Forget a lock that a thread of the parent may hold."""
        self._lock = threading.Lock()


def is_nearly_spent(claim: Claim, spent: Decimal) -> bool:
    """Whether so much of a budget is spent that it is time to say so."""
    return spent >= WARNING_SHARE * claim.limit


def warn_of_nearly_spent(claim: Claim, spent: Decimal) -> None:
    """Say that a budget comes to its end."""
    logger.warning(
        "%s of %s has been spent of the budget for %s %s.",
        format_cost(spent),
        format_cost(claim.limit),
        claim.scope,
        claim.period,
    )


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
