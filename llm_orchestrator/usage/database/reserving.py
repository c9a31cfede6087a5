"""Budgets that hold for many machines: a call reserves what it may cost, and settles what it did cost.

Both are done by one thread, one after the other, so that a call finds what the calls before it have settled.
A reservation is waited for, a settlement is not. While the database cannot be asked, the limits decide
whether calls go on; what they spend is counted as soon as it can.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import Future, TimeoutError
from contextlib import suppress
from decimal import Decimal
from typing import (
    Callable,
    Deque,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
    Union,
)
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from llm_orchestrator.exceptions import BudgetExceededError
from llm_orchestrator.usage.budget import is_nearly_spent, warn_of_nearly_spent
from llm_orchestrator.usage.database.budget import BudgetTable, Key, Verdict
from llm_orchestrator.usage.database.carrier import reason_of
from llm_orchestrator.usage.database.outage import Outage
from llm_orchestrator.usage.database.writing import is_about_a_row
from llm_orchestrator.usage.limits import BudgetLimits, BudgetStatus, Claim
from llm_orchestrator.usage.record import UsageRecord
from llm_orchestrator.usage.reservation import NO_ANSWER, BudgetRequest, Reservation
from llm_orchestrator.utils.money import ZERO, add_money, format_cost, subtract_money
from llm_orchestrator.utils.worker import SerialWorker, SilenceError

__all__ = ["DatabaseBudget"]

logger = logging.getLogger(__name__)

#: Seconds that a call waits for the database.
TIMEOUT = 1.0
#: Seconds after which a database that gave no answer is asked again; no call waits for that.
PAUSE = 5.0
#: Seconds that the end of the program, and ``close``, wait for what was spent to be counted.
PATIENCE = 2.0
#: So many sums are remembered for the time in which the database is away.
_REMEMBERED = 10_000

Answer = TypeVar("Answer")
#: What came of asking for a reservation; a text says why the database could not be asked.
_Outcome = Union[Verdict, str]


class _Settlement(NamedTuple):
    """What a call has spent of its budgets, and the hold that ends with it."""

    hold: Optional[UUID]
    spent: Mapping[Key, Decimal]
    is_again: bool = False


class DatabaseBudget:
    """The budgets of one ledger in a database, for many threads and loops at once.

    Attributes:
        worker: Does what needs the database.
    """

    def __init__(self, limits: BudgetLimits, url: str) -> None:
        self._limits = limits
        self.worker = SerialWorker("llm-budget", TIMEOUT)
        self._table = BudgetTable(url, TIMEOUT, self.worker.go_on)
        self._spent: Dict[Key, Decimal] = {}  # as far as this process knows
        self._held: Dict[Key, Decimal] = {}  # by calls of this process
        self._warned: Set[Key] = set()
        self._lock = threading.Lock()
        self._unsettled: Deque[_Settlement] = deque()
        self._outage = Outage(self._ask_again, lambda: PAUSE)
        self._is_closed = False

    # ---------------------------------------------------------------- for calls

    def request(
        self, session_id: str, tags: Mapping[str, str], amount: Callable[[], Decimal], seconds: float
    ) -> Optional[BudgetRequest]:
        """What asks for a reservation; None where no budget applies."""
        claims = self._limits.claims(session_id, tags)
        if not claims:
            return None
        return BudgetRequest(self, claims, amount() if self._limits.reserve else ZERO, seconds)

    def check(self, session_id: str, tags: Mapping[str, str], pending: Decimal) -> None:
        """Check nothing: a call has reserved what it may cost."""

    def note(self, record: UsageRecord) -> None:
        """Count nothing: a call settles what it has cost."""

    def spend(self, session_id: str, tags: Mapping[str, str], cost: Decimal) -> None:
        """Count what was spent without a reservation."""
        claims = self._limits.claims(session_id, tags)
        if claims and cost:
            self._submit(_Settlement(None, {claim.key: cost for claim in claims}))

    def status(self, session_id: str, tags: Optional[Mapping[str, str]]) -> List[BudgetStatus]:
        """What is left of each budget; without ``tags``, of every value of a tag that occurred."""
        claims = self._limits.claims(session_id, tags or {})
        groups = list(self._limits.tag_claims()) if tags is None else []
        keys, prefixes = [claim.key for claim in claims], [group.key for group in groups]
        asked = self.worker.submit(lambda: self._asked(lambda: self._table.sums(keys, prefixes)))
        try:
            sums = self.worker.wait(asked)
        except SilenceError:
            sums = NO_ANSWER
        if isinstance(sums, str):
            self._note_away(sums)
            return [claim.status(None) for claim in claims]
        found = [claim for group in groups for claim in group.found_in(sums)]
        return [claim.status(*sums[claim.key]) for claim in [*claims, *found]]

    def _asked(self, question: Callable[[], Answer]) -> Union[Answer, str]:
        """What the database answers, after all was counted; a text says why it gives no answer."""
        self._count_all()
        if self._unsettled:
            return self._outage.reason or NO_ANSWER
        try:
            answer = question()
        except Exception as error:  # noqa: BLE001 (whatever is wrong, on_unreachable decides)
            return reason_of(error)
        self._note_back()
        return answer

    # ---------------------------------------------------------------- a reservation

    def ask(self, claims: Sequence[Claim], amount: Decimal, seconds: float) -> Future[_Outcome]:
        """Have a reservation asked for, unless it is known that nobody would answer."""
        self._is_closed = False
        reason = self._outage.reason
        if reason:
            known: Future[_Outcome] = Future()
            known.set_result(reason)
            return known
        return self.worker.submit(lambda: self._reserve(claims, amount, seconds))

    def _reserve(self, claims: Sequence[Claim], amount: Decimal, seconds: float) -> _Outcome:
        verdict = self._asked(lambda: self._table.reserve(claims, amount, seconds))
        if isinstance(verdict, Verdict):
            with self._lock:
                for key, (spent, _) in verdict.sums.items():
                    _remember(self._spent, key, spent)
        return verdict

    def give_back(self, asked: Future[_Outcome]) -> None:
        """Give back what is, or will be, granted to somebody who does not wait for it any more."""
        asked.cancel()
        asked.add_done_callback(self._give_back)

    def _give_back(self, asked: Future[_Outcome]) -> None:
        verdict = None if asked.cancelled() or asked.exception() else asked.result()
        if isinstance(verdict, Verdict) and verdict.hold is not None:
            self._submit(_Settlement(verdict.hold, dict.fromkeys(verdict.sums, ZERO)))

    def conclude(self, claims: Sequence[Claim], amount: Decimal, outcome: _Outcome) -> Reservation:
        """Make the reservation, or the error, of what came of asking."""
        if isinstance(outcome, str):
            self._note_away(outcome)
            if self._limits.refuses_unreachable:
                raise self._refusal(claims[0], outcome)
            outcome = Verdict(None, {claim.key: self._known(claim.key) for claim in claims})
            is_refused = False
        else:
            is_refused = outcome.hold is None
        if outcome.hold is None:
            full = [claim for claim in claims if not claim.fits(*outcome.sums[claim.key], amount)]
            if full or is_refused:  # what others held may have been given back meanwhile
                claim = (full or claims)[0]
                raise claim.exceeded(*outcome.sums[claim.key], amount)
        self._note_held(claims, amount)
        self._warn_of_nearly_spent(claims)
        return Reservation(self, claims, amount, outcome.hold)

    def _known(self, key: Key) -> Tuple[Decimal, Decimal]:
        with self._lock:
            return self._spent.get(key, ZERO), self._held.get(key, ZERO)

    def _note_held(self, claims: Sequence[Claim], amount: Decimal) -> None:
        with self._lock:
            for claim in claims:
                self._held[claim.key] = add_money(self._held.get(claim.key, ZERO), amount)

    def _warn_of_nearly_spent(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            spent, _ = self._known(claim.key)
            if claim.key not in self._warned and is_nearly_spent(claim, spent):
                self._warned.add(claim.key)
                warn_of_nearly_spent(claim, spent)

    def _refusal(self, claim: Claim, reason: str) -> BudgetExceededError:
        return BudgetExceededError(
            f"The budgets in {self._table.name} cannot be checked: {reason} Nothing was sent. "
            "Try again later, or set cost_tracking.budget.on_unreachable to allow.",
            budget=claim.scope,
            period=claim.period,
            limit=claim.limit,
            until=claim.until,
        )

    # ---------------------------------------------------------------- a settlement

    def settle(self, claims: Sequence[Claim], amount: Decimal, hold: Optional[UUID], cost: Decimal) -> None:
        """End a reservation; the caller does not wait for it."""
        with self._lock:
            for claim in claims:
                left = subtract_money(self._held.pop(claim.key, ZERO), amount)
                if left:
                    self._held[claim.key] = left
        if cost or hold is not None:
            self._submit(_Settlement(hold, {claim.key: cost for claim in claims}))

    def _submit(self, settlement: _Settlement) -> None:
        self.worker.submit(lambda: self._count(settlement))

    def _count(self, settlement: _Settlement) -> None:
        with self._lock:
            for key, cost in settlement.spent.items():
                _remember(self._spent, key, add_money(self._spent.get(key, ZERO), cost))
        self._unsettled.append(settlement)
        if not self._outage.reason:
            self._count_all()

    def _count_all(self) -> None:
        """Count what was settled, the oldest first; what cannot be counted now waits until it can."""
        while self._unsettled:
            hold, spent, is_again = first = self._unsettled[0]
            try:
                self._table.settle(hold, spent, is_again=is_again)
            except Exception as error:  # noqa: BLE001 (whatever is wrong, the call is over and was paid)
                if not (isinstance(error, DBAPIError) and is_about_a_row(error)):
                    self._keep_unsettled(first, error)
                    return
                logger.error("What a call has spent is not counted in its budgets: %s", reason_of(error))
            self._unsettled.popleft()

    def _keep_unsettled(self, first: _Settlement, error: Exception) -> None:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            self._unsettled[0] = first._replace(is_again=True)
        self._join_unsettled()
        self._note_away(reason_of(error))

    def _join_unsettled(self) -> None:
        """Make one of all that end no hold, so that a long time without a database takes no memory."""
        joined: Dict[Key, Decimal] = {}
        for hold, spent, _ in self._unsettled:
            for key, cost in spent.items() if hold is None else ():
                joined[key] = add_money(joined.get(key, ZERO), cost)
        self._unsettled = deque(one for one in self._unsettled if one.hold is not None)
        if joined:
            self._unsettled.append(_Settlement(None, joined))

    # ---------------------------------------------------------------- the database goes and comes

    def _note_away(self, reason: str) -> None:
        if not self._is_closed and self._outage.begin(reason):
            logger.warning(
                "The budgets in %s cannot be checked: %s Until they can, %s.",
                self._table.name,
                reason,
                (
                    "calls are refused"
                    if self._limits.refuses_unreachable
                    else "calls are compared with what this process knows was spent"
                ),
            )

    def _note_back(self) -> None:
        if self._outage.end():
            logger.info("The budgets in %s can be checked again.", self._table.name)

    def _ask_again(self) -> None:
        """Ask a database that is away whether it still is, after what waits to be counted."""
        outcome = self.worker.submit(lambda: self._asked(lambda: self._table.sums([]))).result()
        if isinstance(outcome, str):
            self._note_away(outcome)

    def flush(self) -> None:
        """Wait, for a short time, until all that was spent is counted, and say what is not."""
        if not self.worker.is_idle or self._unsettled:
            self._finish(self._count_all)

    def close(self) -> None:
        """Count what is to be counted, and give the connection back; a later call opens another one."""
        self._finish(self._count_and_close)
        self._is_closed = True  # nobody needs to know any more when it is back; a later call asks it itself
        self._outage.end()

    def _count_and_close(self) -> None:
        self._count_all()
        self._table.close()

    def _finish(self, work: Callable[[], None]) -> None:
        with suppress(TimeoutError):  # of a database that is silent; what is left is told below
            self.worker.submit(work).result(PATIENCE)
        left = self._unsettled.copy()
        if left:
            most = max((max(one.spent.values()) for one in left), default=ZERO)
            logger.warning(
                "What %d call(s) have spent is not counted in the budgets of %s, up to %s each: %s",
                len(left),
                self._table.name,
                format_cost(most),
                self._outage.reason or NO_ANSWER,
            )

    def renew_after_fork(self) -> None:
        """Begin anew in a child process; what waits and what is held is the parent's."""
        self._lock = threading.Lock()
        self.worker.renew()
        self._table.renew_after_fork()
        self._held.clear()
        self._unsettled.clear()
        self._outage.renew()


def _remember(sums: Dict[Key, Decimal], key: Key, amount: Decimal) -> None:
    """Keep a sum, and forget the one that was not used for longest where there are too many."""
    sums.pop(key, None)
    sums[key] = amount
    if len(sums) > _REMEMBERED:
        del sums[next(iter(sums))]
