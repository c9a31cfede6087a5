"""The log of usage: makes a record of every request, keeps it, and adds up what a session cost.

What was used, when and why it cost what it did becomes a ``UsageRecord`` here, which goes to
the ``RecordStore``. Beside them only running totals are kept.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections import deque
from contextlib import suppress
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Deque, Dict, Mapping, Optional, Set, Tuple, Union

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.billing import (
    NOTHING_USED,
    Billing,
    audit_facts,
    given,
    is_refused,
    not_billed,
    origin,
    reported_tokens,
)
from llm_orchestrator.usage.estimates import ESTIMATOR
from llm_orchestrator.usage.ledger import Ledger
from llm_orchestrator.usage.record import Tokens, UsageRecord, as_usage, as_utc
from llm_orchestrator.usage.store import RecordStore
from llm_orchestrator.utils.money import ZERO, add_money, subtract_money

if TYPE_CHECKING:
    from llm_orchestrator.pricing import PriceTable
    from llm_orchestrator.types import CostDetails, Exchange, LLMResponse
    from llm_orchestrator.usage.budget import Budget

__all__ = ["UsageLog"]

logger = logging.getLogger(__name__)

_NO_PRICE = "it has no known price. Add one to price_overrides"
_NO_USAGE = "no usage was reported. Look it up in the provider's own billing"
_BAD_USAGE = "the usage that was reported makes no sense. Look it up in the provider's own billing"


class UsageLog:
    """Records usage, for many threads and processes at once; its arguments are those of ``CostTracker``."""

    def __init__(
        self,
        enabled: bool = True,
        log_path: Union[str, Path, None] = "./llm_costs.csv",
        *,
        fsync: bool = False,
        rotate_mb: Optional[float] = None,
        session_id: Optional[str] = None,
        price_table: Optional[PriceTable] = None,
        strict_pricing: bool = False,
        session_budget: Optional[Decimal] = None,
        day_budget: Optional[Decimal] = None,
    ) -> None:
        self.enabled = enabled
        self.session_id = session_id or _new_id()
        self.strict_pricing = strict_pricing
        self._billing = Billing(price_table)
        keeps_file = enabled and log_path is not None
        ledger = Ledger(log_path, fsync=fsync, rotate_mb=rotate_mb) if keeps_file and log_path else None
        self._budget = _budget(enabled, session_budget, day_budget, ledger)
        self._record_store = RecordStore(ledger, self._note_unwritten)
        self._session_costs: Dict[str, Decimal] = {}
        self._warned: Set[Tuple[str, str]] = set()
        self._waiting: Deque[Dict[str, Any]] = deque()  # from finalizers
        self._lock = threading.Lock()
        _living.add(self)

    @property
    def log_path(self) -> Optional[Path]:
        """The ledger file; None when records are kept in memory, or not at all."""
        return self._record_store.ledger.path if self._record_store.ledger else None

    @property
    def price_table(self) -> PriceTable:
        """The prices in use, loaded when first needed."""
        return self._billing.table

    def log_usage(
        self,
        provider: str,
        model: str,
        tokens: Tokens,
        session_id: Optional[str] = None,
        *,
        cost: Optional[Decimal] = None,
        cost_details: Optional[CostDetails] = None,
        status: str = "ok",
        call_id: Optional[str] = None,
        attempt: int = 1,
        final: bool = True,
        requested_model: Optional[str] = None,
        request_id: Optional[str] = None,
        error_type: Optional[str] = None,
        status_code: Optional[int] = None,
        latency: Optional[float] = None,
        streamed: bool = False,
        tags: Optional[Mapping[str, str]] = None,
        timestamp: Optional[datetime] = None,
        started_at: Optional[datetime] = None,
        time_to_first_token: Optional[float] = None,
        response: Optional[LLMResponse] = None,
        exchange: Optional[Exchange] = None,
        base_url: Optional[str] = None,
        estimated: Optional[Mapping[str, int]] = None,
        billed: bool = True,
    ) -> UsageRecord:
        """Record one request that was sent.

        A ledger that cannot be written is logged as an error and never raised: the answer was paid for.

        Args:
            provider: Name of the configured provider entry.
            model: Model that answered; for a failed attempt the one asked.
            tokens: A mapping with the keys prompt, completion and total, a ``TokenUsage``, or None when
                unknown.
            session_id: The session; None: the tracker's own.
            cost: US dollars, when they are known already.
            cost_details: How the call was priced, when it is priced already. Without either the price table
                prices the tokens; an unknown price stays None.
            status: ``ok``, ``error``, ``interrupted`` or ``cancelled``.
            call_id: The same for all attempts of one call; None: the row is a call of its own.
            attempt: Position of the request within its call, counted from 1.
            final: Whether the call ended with this request.
            requested_model: Model that was asked.
            request_id: The provider's id of the request.
            error_type: Name of the error class.
            status_code: HTTP status. A request answered with an error status costs nothing.
            latency: Seconds the request took.
            streamed: Whether the answer was streamed.
            tags: The tags given to the call.
            timestamp: When the request ended; naive is local time, None is now.
            started_at: When it was sent, which decides the price; None: as ``timestamp``.
            time_to_first_token: Seconds until the first piece of a streamed answer.
            response: The answer as far as it came, for what an audit needs: the raw usage, the finish reason.
            exchange: What decided its price beside the usage.
            base_url: Where the request went; None is the vendor's own address.
            estimated: Tokens the provider did not report, by class (``in``, ``out``). ``cost_details`` must
                know of them.
            billed: False: the provider refused the request, it costs nothing.

        Returns:
            The record as it was stored.

        Raises:
            ValueError: ``tokens`` has a key other than prompt, completion and total, or a value that is no
                count; or ``cost`` is no amount of money.
        """
        usage = as_usage(tokens)
        moment = as_utc(timestamp) or datetime.now(timezone.utc)
        started_at = as_utc(started_at)
        if cost is not None:
            details = given(cost, cost_details.status if cost_details else "priced")
        elif cost_details is not None:
            details = cost_details
        elif not billed or is_refused(status, status_code, usage):
            details, usage = not_billed(), NOTHING_USED
        else:
            details = self.price_table.price_tokens(
                provider, model, usage, requested_model=requested_model, at=started_at or moment
            )
        values: Dict[str, Any] = {
            "timestamp": moment,
            "provider": provider,
            "model": model,
            **reported_tokens(usage, estimated),
            "cost": details.total,
            "session_id": session_id or self.session_id,
            "call_id": call_id or _new_id(),
            "attempt": attempt,
            "final": final,
            "status": status,
            "error_type": error_type,
            "status_code": status_code,
            "request_id": request_id,
            "requested_model": requested_model,
            "price_status": details.status,
            "streamed": streamed,
            "latency": latency,
            "tags": {str(name): str(value) for name, value in tags.items()} if tags else {},
            "time_to_first_token": time_to_first_token,
            "started_at": started_at,
            "estimated_counts": estimated or {},
            "estimator": ESTIMATOR if estimated else None,
            "cost_details": details,
            "price_provider": details.provider,
            "base_url": base_url and origin(base_url),
            **audit_facts(response, exchange),
        }
        record = UsageRecord.of(values)
        if self.enabled:
            self._flush()
            self._store(record)
        return record

    def log_usage_later(self, **fields: Any) -> None:
        """Hand over what ``log_usage`` would record, for finalizers: takes no lock and touches no file.

        The record is written with the next record, report or export, or by ``close``.

        Args:
            **fields: The arguments of ``log_usage``, by name.
        """
        fields.setdefault("timestamp", datetime.now(timezone.utc))
        self._waiting.append(fields)

    def get_session_cost(self, session_id: Optional[str] = None) -> Decimal:
        """Tell what this process spent in a session, for the usage that providers reported.

        Args:
            session_id: The session; None: the tracker's own.

        Returns:
            US dollars; calls with an unknown price are not in it, nor are estimates.
        """
        self._flush()
        return self._session_costs.get(session_id or self.session_id, ZERO)

    def close(self) -> None:
        """Write what is waiting and give the ledger file back; a record that comes later opens it again."""
        self._flush(wait=True)
        self._record_store.close()

    def _store(self, record: UsageRecord) -> None:
        with self._lock:
            if record.cost is not None:
                spent = self._session_costs.get(record.session_id, ZERO)
                estimate = record.estimated_cost
                reported = subtract_money(record.cost, estimate) if estimate else record.cost
                self._session_costs[record.session_id] = add_money(spent, reported)
            warn = record.cost is None and record.status == "ok" and self._is_new(record)
        if warn:
            self._warn_of_unknown(record)
        self._record_store.add(record)

    def _note_unwritten(self, record: UsageRecord) -> None:
        if self._budget:
            self._budget.note(record)

    def _warn_of_unknown(self, record: UsageRecord) -> None:
        logger.warning(
            "The cost of %s/%s is unknown and not part of any sum%s: %s.",
            record.provider,
            record.model,
            " or budget" if self._budget else "",
            _why_unknown(record),
        )

    def _is_new(self, record: UsageRecord) -> bool:
        key = (record.provider, record.model)
        if key in self._warned:
            return False
        self._warned.add(key)
        return True

    def _flush(self, wait: Optional[bool] = None) -> None:
        """Write what finalizers handed over, and what an event loop could not write at once."""
        if self._waiting:
            handed_over = []
            with suppress(IndexError):  # empty, or another thread was faster
                while True:
                    handed_over.append(self._waiting.popleft())
            for fields in handed_over:
                self.log_usage(**fields)
        self._record_store.flush(wait=wait)

    def _renew_after_fork(self) -> None:
        self._lock = threading.Lock()
        self._waiting.clear()  # the parent writes it
        self._record_store.renew_after_fork()
        if self._budget:
            self._budget.renew_after_fork()


def _why_unknown(record: UsageRecord) -> str:
    if record.usage_status == "missing":
        return _NO_USAGE
    details = record.cost_details
    return _BAD_USAGE if details and "invalid_usage" in details.unpriced else _NO_PRICE


def _budget(
    enabled: bool, session: Optional[Decimal], day: Optional[Decimal], ledger: Optional[Ledger]
) -> Optional[Budget]:
    if session is None and day is None:
        return None
    if not enabled:
        raise ConfigurationError(
            "A budget is set, but cost tracking is off: nothing would be counted. Turn it on."
        )
    from llm_orchestrator.usage.budget import Budget

    return Budget(session, day, ledger)


def _new_id() -> str:
    return os.urandom(16).hex()


_living: weakref.WeakSet[UsageLog] = weakref.WeakSet()


def _renew_all_after_fork() -> None:
    for log in list(_living):
        log._renew_after_fork()


def _flush_all() -> None:
    for log in list(_living):
        log._flush(wait=True)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all_after_fork)
atexit.register(_flush_all)
