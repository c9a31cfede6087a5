"""The recorder keeps records: each goes to the store and is added to the cost of its session.

A budget of a ledger file reads it when it is checked; only a record that is in no file is counted when it is
kept. One of a database is settled by the calls. One recorder serves many threads; after a fork it begins anew
in the child, and at the end of the program it writes what still waits.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections import deque
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, List, Mapping, Optional, Protocol, Set, Tuple

from llm_orchestrator.usage.recent import MOST_SESSIONS
from llm_orchestrator.usage.record import UsageRecord
from llm_orchestrator.usage.selection import ALL, Selection
from llm_orchestrator.usage.store import AnyLedger, RecordStore
from llm_orchestrator.utils.money import ZERO, add_money, subtract_money
from llm_orchestrator.utils.plural import number_of

if TYPE_CHECKING:
    from llm_orchestrator.usage.limits import BudgetStatus
    from llm_orchestrator.usage.reservation import BudgetRequest

__all__ = ["Recorder"]

logger = logging.getLogger(__name__)

_NO_PRICE = "it has no known price. Add one to price_overrides"
_NO_PRICING = "it could not be priced. The log says why"
_NO_USAGE = "no usage was reported. Look it up in the provider's own billing"
#: In place of a count that was told.
_TOLD = -1
_BAD_USAGE = "the reported usage is not valid. Look it up in the provider's own billing"


class AnyBudget(Protocol):
    """What a budget does: that of a ledger file is checked, that of a database reserved and settled."""

    def request(
        self, session_id: str, tags: Mapping[str, str], amount: Callable[[], Decimal], seconds: float
    ) -> Optional[BudgetRequest]: ...

    def check(self, session_id: str, tags: Mapping[str, str], pending: Decimal) -> None: ...

    def note(self, record: UsageRecord) -> None: ...

    def spend(self, session_id: str, tags: Mapping[str, str], cost: Decimal) -> None: ...

    def status(self, session_id: str, tags: Optional[Mapping[str, str]]) -> List[BudgetStatus]: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def renew_after_fork(self) -> None: ...


class Recorder:
    """Keeps records, for many threads and processes at once.

    Attributes:
        store: Where the records are, to be read back.
        budget: What limits the calls; None: nothing does.
    """

    def __init__(self, ledger: Optional[AnyLedger], budget: Optional[AnyBudget]) -> None:
        self.store = RecordStore(ledger, budget.note if budget else None)
        self.budget = budget
        # By session, the last used at the end: its cost, and whether that is all of it.
        self._session_costs: Dict[str, Tuple[Decimal, bool]] = {}
        self._forgot_sessions = False
        # By session: how many calls are not in its cost.
        self._left_out: Dict[str, int] = {}
        self._warned: Set[Tuple[str, str]] = set()
        self._handed_over: Deque[Callable[[], Any]] = deque()  # by finalizers
        self._lock = threading.Lock()
        _living.add(self)

    def add(self, record: UsageRecord) -> None:
        """Keep a record; a ledger that cannot be written is logged and never raised."""
        self._log_handed_over()
        with self._lock:
            if record.cost is not None:
                self._add_to_session(record.session_id, record.cost, record.estimated_cost)
            is_unknown = record.cost is None and record.status == "ok"
            if is_unknown or record.estimated_cost:
                self._leave_out(record.session_id)
            warn = is_unknown and self._is_new(record)
        if warn:
            self._warn_of_unknown(record)
        self.store.add(record)

    def hand_over(self, log: Callable[[], Any]) -> None:
        """Leave logging a record to the next use; takes no lock and touches no file."""
        self._handed_over.append(log)

    def session_cost(self, session_id: str) -> Decimal:
        """What this process spent in a session, without estimates."""
        self.flush()
        with self._lock:
            cost, is_all = self._session_costs.get(session_id, (ZERO, not self._forgot_sessions))
        return cost if is_all else self._cost_in_records(session_id)

    def warn_of_left_out(self, session_id: str) -> None:
        """Say, once, how many calls are not in the cost of a session."""
        with self._lock:
            left_out = self._left_out.get(session_id, 0)
            if left_out > 0:
                self._left_out[session_id] = _TOLD
        if left_out > 0:
            logger.warning(
                "The cost of session %s leaves out %s: what they cost is unknown, or only estimated. The "
                "usage report has them.",
                session_id,
                number_of(left_out, "call"),
            )

    def _cost_in_records(self, session_id: str) -> Decimal:
        from llm_orchestrator.usage.report import UsageReport

        kept = (
            Selection(session=session_id) if self.store.ledger else ALL
        )  # in memory only the sums hold all of it
        found = UsageReport.of(self.store, kept).by_session.get(session_id)
        return found.cost if found else ZERO

    def check_budget(self, session_id: str, tags: Mapping[str, str], pending: Decimal) -> None:
        """Refuse to go on when a budget is spent."""
        if self.budget:
            self.flush()
            self.budget.check(session_id, tags, pending)

    def budget_status(self, session_id: str, tags: Optional[Mapping[str, str]]) -> List[BudgetStatus]:
        """What is left of each budget."""
        self.flush()
        return self.budget.status(session_id, tags) if self.budget else []

    def flush(self, wait: Optional[bool] = None) -> None:
        """Write what finalizers handed over, and what an event loop could not write at once."""
        self._log_handed_over()
        self.store.flush(wait=wait)

    def _log_handed_over(self) -> None:
        if not self._handed_over:
            return
        handed_over = []
        with suppress(IndexError):  # empty, or another thread was faster
            while True:
                handed_over.append(self._handed_over.popleft())
        for log in handed_over:
            log()

    def close(self) -> None:
        """Write what is waiting and give the ledger file back; a record that comes later opens it again."""
        self.flush(wait=True)
        self.store.close()
        if self.budget:
            self.budget.close()

    def _add_to_session(self, session_id: str, cost: Decimal, estimate: Optional[Decimal]) -> None:
        reported = subtract_money(cost, estimate) if estimate else cost
        known, is_all = self._session_costs.pop(session_id, (ZERO, not self._forgot_sessions))
        self._session_costs[session_id] = add_money(known, reported), is_all
        if len(self._session_costs) > MOST_SESSIONS:
            del self._session_costs[next(iter(self._session_costs))]
            self._forgot_sessions = True

    def _leave_out(self, session_id: str) -> None:
        known = self._left_out.get(session_id, 0)
        if known != _TOLD:
            self._left_out[session_id] = known + 1
        if len(self._left_out) > MOST_SESSIONS:
            del self._left_out[next(iter(self._left_out))]

    def _is_new(self, record: UsageRecord) -> bool:
        key = (record.provider, record.model)
        if key in self._warned:
            return False
        self._warned.add(key)
        return True

    def _warn_of_unknown(self, record: UsageRecord) -> None:
        logger.warning(
            "The cost of %s/%s is unknown and not part of any sum%s: %s.",
            record.provider,
            record.model,
            " or budget" if self.budget else "",
            _why_unknown(record),
        )

    def _renew_after_fork(self) -> None:
        self._lock = threading.Lock()
        self._handed_over.clear()  # the parent writes it
        self.store.renew_after_fork()
        if self.budget:
            self.budget.renew_after_fork()


def _why_unknown(record: UsageRecord) -> str:
    if record.usage_status == "missing":
        return _NO_USAGE
    details = record.cost_details
    if details and "error" in details.unpriced:
        return _NO_PRICING
    return _BAD_USAGE if details and "invalid_usage" in details.unpriced else _NO_PRICE


_living: weakref.WeakSet[Recorder] = weakref.WeakSet()


def _renew_all_after_fork() -> None:
    for recorder in list(_living):
        recorder._renew_after_fork()


def _flush_all() -> None:
    for recorder in list(_living):
        recorder.flush(wait=True)
        recorder.store.settle()
        if recorder.budget:
            recorder.budget.flush()
        recorder.store.report_lost()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all_after_fork)
atexit.register(_flush_all)
