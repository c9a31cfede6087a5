"""CostTracker: records what every request used and cost, keeps the sums, and reports them.

Rows go to the ledger file, or stay in memory when there is none; beside the file only running totals are
kept. What a row holds is in ``usage_record``, the file in ``ledger``, prices in ``billing``, limits in
``budget``, the sums of a report in ``usage_report``.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import weakref
from collections import deque
from contextlib import suppress
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Deque,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
    Union,
)

from llm_orchestrator.billing import Billing, given, not_billed
from llm_orchestrator.estimation import ESTIMATOR
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.ledger import Ledger
from llm_orchestrator.types import TokenUsage, changed
from llm_orchestrator.usage_record import (
    REPORT_COLUMNS,
    Tokens,
    UsageRecord,
    as_usage,
    as_utc,
    parse_timestamp,
)
from llm_orchestrator.usage_report import (
    ZERO,
    UsageReport,
    UsageTotals,
    add_money,
    format_cost,
    subtract_money,
)

if TYPE_CHECKING:
    from llm_orchestrator.budget import Budget
    from llm_orchestrator.ledger_rows import Row
    from llm_orchestrator.pricing import CostDetails, PriceTable
    from llm_orchestrator.types import LLMResponse

__all__ = ["CostTracker", "UsageRecord", "UsageReport", "UsageTotals", "format_cost"]

logger = logging.getLogger(__name__)

_NO_PRICE = "it has no known price. Add one to price_overrides"
_NO_USAGE = "no usage was reported. Look it up in the provider's own billing"
#: Seconds after which a row that an event loop could not write at once is written without the lock.
OVERDUE = 1.0


class CostTracker:
    """Records usage and cost of every request, for many threads and processes at once.

    Args:
        enabled: False: nothing is stored and nothing is written.
        log_path: The ledger, a CSV file that several processes may share; it is created with the first row.
            None: records are kept in memory only.
        fsync: Wait for the disk after each row.
        rotate_mb: Megabytes from which on the ledger is put aside and a new file begun; None: never.
        session_id: The session of records that name none; None: a new one.
        price_table: Prices for records that come without a cost; None: the table shipped with the library.
        strict_pricing: Refuse models without a known price before anything is sent.
        session_budget: US dollars after which calls of a session are refused; None: no limit.
        day_budget: US dollars after which calls of a day (local time) are refused; None: no limit.

    Raises:
        ConfigurationError: The ledger's folder is missing, the file cannot be written, or it is not a ledger;
            or a budget is set while nothing is counted.
    """

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
        self._ledger: Optional[Ledger] = None
        if enabled and log_path is not None:
            self._ledger = Ledger(log_path, fsync=fsync, rotate_mb=rotate_mb)
        self._budget = _budget(enabled, session_budget, day_budget, self._ledger)
        self._records: List[UsageRecord] = []
        self._session_costs: Dict[str, Decimal] = {}
        self._warned: Set[Tuple[str, str]] = set()
        self._waiting: Deque[Dict[str, Any]] = deque()  # from finalizers
        self._unwritten: Deque[UsageRecord] = deque()  # on their way to the file
        self._lock = threading.Lock()  # of the sums; held for a moment only
        self._file_lock = threading.Lock()
        _living.add(self)

    @property
    def log_path(self) -> Optional[Path]:
        """The ledger file; None when records are kept in memory, or not at all."""
        return self._ledger.path if self._ledger else None

    @property
    def price_table(self) -> PriceTable:
        """The prices in use, loaded when first needed."""
        return self._billing.table

    def price_response(
        self,
        response: LLMResponse,
        price_provider: str,
        base_url: Optional[str] = None,
        *,
        at: Optional[datetime] = None,
        estimated: Optional[Mapping[str, int]] = None,
    ) -> CostDetails:
        """Price an answer from what its provider reported.

        Args:
            response: The answer as the adapter made it.
            price_provider: Whose prices hold, where the user gave none for the provider entry itself.
            base_url: Where the answer came from; None is the vendor's own address.
            at: When the request was sent; None is now.
            estimated: Tokens the provider did not report, by class (``in``, ``out``).

        Returns:
            The cost and how it came about; its total is None when the price or the usage is unknown.
        """
        return self._billing.price(response, price_provider, base_url, at, estimated)

    def recompute(self, row: Union[Mapping[str, Any], UsageRecord]) -> Optional[Decimal]:
        """Price a row of the ledger again, from the usage as the provider reported it.

        A price that ended is never changed in later versions of the table, so the result is the cost that is
        stored, as long as the overrides and the discount that held then are configured.

        Args:
            row: A row, as ``csv.DictReader`` or ``to_dicts`` give it, or a record.

        Returns:
            US dollars; None when the cost is unknown.
        """
        return self._billing.recompute(row.to_row() if isinstance(row, UsageRecord) else row)

    def check_price(self, provider: str, price_provider: str, model: str) -> None:
        """Refuse a model without a known price where the configuration says so; before anything is sent.

        Args:
            provider: Name of the configured provider entry.
            price_provider: Whose prices hold, where the user gave none for the entry itself.
            model: The model to be asked.

        Raises:
            ConfigurationError: ``strict_pricing`` is set and there is no price.
        """
        if not self.strict_pricing:
            return
        today = datetime.now(timezone.utc)
        if not any(self.price_table.knows(owner, model, today) for owner in (provider, price_provider)):
            raise ConfigurationError(
                f"The price of {provider}/{model} is not known, and strict_pricing is set. Nothing was sent. "
                "Add the model to price_overrides, or turn strict_pricing off."
            )

    def check_budget(self, session_id: str, pending: Optional[Decimal] = None) -> None:
        """Refuse to go on when a budget is spent; before anything is sent.

        Args:
            session_id: The session the next request belongs to.
            pending: US dollars that are spent but not recorded yet.

        Raises:
            BudgetExceededError: The budget of the session or of the day is spent.
        """
        if self._budget:
            self._settle()
            self._budget.check(session_id, pending)

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
            base_url: Where the request went; None is the vendor's own address.
            estimated: Tokens the provider did not report, by class (``in``, ``out``). ``cost_details`` must
                know of them.
            billed: False: the provider refused the request, it costs nothing.

        Returns:
            The record as it was stored.

        Raises:
            ValueError: ``tokens`` has a key other than prompt, completion and total.
        """
        usage = as_usage(tokens)
        moment = as_utc(timestamp) or datetime.now(timezone.utc)
        started_at = as_utc(started_at)
        if cost is not None:
            details = given(Decimal(str(cost)), cost_details.status if cost_details else "priced")
        elif cost_details is not None:
            details = cost_details
        elif not billed or _is_rejected(status, status_code, usage):
            details, usage = not_billed(), _NOTHING_USED
        else:
            details = self.price_table.price_tokens(
                provider, model, usage, requested_model=requested_model, at=started_at or moment
            )
        values: Dict[str, Any] = {
            "timestamp": moment,
            "provider": provider,
            "model": model,
            **_tokens(usage, estimated),
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
            "tags": dict(tags or {}),
            "time_to_first_token": time_to_first_token,
            "started_at": started_at,
            "estimated_counts": estimated or {},
            "estimator": ESTIMATOR if estimated else None,
            "cost_details": details,
            "price_provider": details.provider,
            "base_url": base_url and _origin(base_url),
            **_facts(response),
        }
        record = changed(_EMPTY, **values)
        if self.enabled:
            self._settle()
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
        self._settle()
        return self._session_costs.get(session_id or self.session_id, ZERO)

    def get_usage_report(
        self, start_date: Optional[date] = None, end_date: Optional[date] = None
    ) -> UsageReport:
        """Sum up what was used: everything in the ledger file, or this process's records where there is none.

        Args:
            start_date: First moment to count; a naive datetime is local time, a date its first moment.
            end_date: Last moment to count; a naive datetime is local time, a date its last moment.

        Returns:
            The report, readable by attribute and as a mapping.

        Raises:
            ConfigurationError: Meanwhile another program replaced the file by something that is not a ledger.
        """
        return UsageReport.from_cells(self._cells(start_date, end_date))

    def export_to_csv(
        self,
        path: Union[str, Path],
        *,
        start_date: Optional[date] = None,
        end_date: Optional[date] = None,
    ) -> int:
        """Write the same rows that a report reads to a CSV file of their own.

        Args:
            path: The file to write; one that exists is replaced when the new one is complete.
            start_date: First moment to export, as in ``get_usage_report``.
            end_date: Last moment to export, as in ``get_usage_report``.

        Returns:
            Number of rows written.

        Raises:
            ConfigurationError: The file cannot be written, or is the ledger itself.
        """
        from llm_orchestrator.usage_export import write_csv

        return self._export(path, write_csv, start_date, end_date)

    def export_to_jsonl(
        self,
        path: Union[str, Path],
        *,
        start_date: Optional[date] = None,
        end_date: Optional[date] = None,
    ) -> int:
        """Write the same rows as JSON lines: one object a row; money is text, which keeps it exact.

        Args:
            path: The file to write; one that exists is replaced when the new one is complete.
            start_date: First moment to export, as in ``get_usage_report``.
            end_date: Last moment to export, as in ``get_usage_report``.

        Returns:
            Number of rows written.

        Raises:
            ConfigurationError: The file cannot be written, or is the ledger itself.
        """
        from llm_orchestrator.usage_export import write_jsonl

        return self._export(path, write_jsonl, start_date, end_date)

    def to_dicts(
        self, start_date: Optional[date] = None, end_date: Optional[date] = None
    ) -> List[Dict[str, Any]]:
        """List the same rows as dicts, as ``pandas.DataFrame`` takes them.

        Args:
            start_date: First moment to list, as in ``get_usage_report``.
            end_date: Last moment to list, as in ``get_usage_report``.

        Returns:
            One dict for each row: numbers, ``Decimal`` for money, None for what is not known.
        """
        from llm_orchestrator.usage_export import typed

        return [typed(row) for row in self._rows(start_date, end_date)]

    def _export(
        self,
        path: Union[str, Path],
        write: Callable[[Path, Iterable[Row]], int],
        start_date: Optional[date],
        end_date: Optional[date],
    ) -> int:
        target = Path(path).expanduser()
        if self.log_path and target.exists() and self.log_path.exists() and target.samefile(self.log_path):
            raise ConfigurationError(f"{target} is the ledger itself. Export to another file.")
        try:
            return write(target, self._rows(start_date, end_date))
        except OSError as error:
            raise ConfigurationError(
                f"The export {target} cannot be written: {error.strerror}. Choose another path."
            ) from error

    def close(self) -> None:
        """Write what is waiting and give the ledger file back; a record that comes later opens it again."""
        self._settle(wait=True)
        with self._file_lock:
            if self._ledger:
                self._ledger.close()

    def _store(self, record: UsageRecord) -> None:
        with self._lock:
            if record.cost is not None:
                spent = self._session_costs.get(record.session_id, ZERO)
                reported = subtract_money(record.cost, record.estimated_cost or ZERO)
                self._session_costs[record.session_id] = add_money(spent, reported)
            warn = record.cost is None and record.status == "ok" and self._is_new(record)
        if warn:
            self._warn_of_unknown(record)
        if self._ledger is None:
            self._records.append(record)
            if self._budget:
                self._budget.note(record)
        else:
            self._unwritten.append(record)
            self._write(wait=not _on_event_loop())

    def _warn_of_unknown(self, record: UsageRecord) -> None:
        logger.warning(
            "The cost of %s/%s is unknown and not part of any sum%s: %s.",
            record.provider,
            record.model,
            " or budget" if self._budget else "",
            _NO_USAGE if record.usage_status == "missing" else _NO_PRICE,
        )

    def _write(self, *, wait: bool) -> None:
        """Write what is on its way to the file. An event loop waits for no lock; the rows wait instead."""
        while self._unwritten:
            if not self._file_lock.acquire(blocking=wait):
                return  # the thread that holds it writes these, too, or the next record does
            try:
                if not self._write_first(wait):
                    return
            finally:
                self._file_lock.release()

    def _write_first(self, wait: bool) -> bool:
        """Whether the first row is out of the way: written, or reported as lost."""
        if not self._unwritten or self._ledger is None:
            return True
        record = self._unwritten[0]
        try:
            if wait:
                written = self._ledger.append(record.to_row())
            else:
                written = self._ledger.append(record.to_row(), patience=0, insist=_is_overdue(record))
        except Exception as error:  # whatever is wrong with the ledger, the answer was paid for
            self._ledger.close()  # a descriptor that went bad is not used again
            logger.error(
                "A row of the ledger %s could not be written: %s. The row: %s",
                self.log_path,
                error,
                record.to_row(),
            )
            if self._budget:
                self._budget.note(record)
            written = True
        if written:
            self._unwritten.popleft()
        return written

    def _is_new(self, record: UsageRecord) -> bool:
        key = (record.provider, record.model)
        if key in self._warned:
            return False
        self._warned.add(key)
        return True

    def _settle(self, wait: bool = False) -> None:
        """Write what finalizers handed over, and what an event loop could not write at once."""
        if self._waiting:
            handed_over = []
            with suppress(IndexError):  # empty, or another thread was faster
                while True:
                    handed_over.append(self._waiting.popleft())
            for fields in handed_over:
                self.log_usage(**fields)
        if self._unwritten:
            self._write(wait=wait or not _on_event_loop())

    def _rows(self, start_date: Optional[date], end_date: Optional[date]) -> Iterator[Row]:
        is_wanted = _period(start_date, end_date)
        self._settle(wait=True)
        rows = self._ledger.rows() if self._ledger else (record.to_row() for record in list(self._records))
        return (row for row in rows if is_wanted(row["timestamp"]))

    def _cells(self, start_date: Optional[date], end_date: Optional[date]) -> Iterator[Sequence[str]]:
        if self._ledger is None:
            rows = self._rows(start_date, end_date)
            return ([row[name] for name in REPORT_COLUMNS] for row in rows)
        is_wanted = _period(start_date, end_date)
        self._settle(wait=True)
        return (cells for cells in self._ledger.cells() if is_wanted(cells[0]))

    def _renew_after_fork(self) -> None:
        # The parent's lock may be held by a thread that does not exist here, and a shared descriptor shares
        # its file lock; what waits to be written is written by the parent.
        self._lock, self._file_lock = threading.Lock(), threading.Lock()
        self._waiting.clear()
        self._unwritten.clear()
        if self._ledger:
            self._ledger.close()
        if self._budget:
            self._budget.renew_after_fork()


_NOTHING_USED = TokenUsage(source="none")
_EMPTY = UsageRecord(datetime.min, "", "", None, None, None, None, "", "")


def _budget(
    enabled: bool, session: Optional[Decimal], day: Optional[Decimal], ledger: Optional[Ledger]
) -> Optional[Budget]:
    if session is None and day is None:
        return None
    if not enabled:
        raise ConfigurationError(
            "A budget is set, but cost tracking is off: nothing would be counted. Enable it or drop the budget."
        )
    from llm_orchestrator.budget import Budget

    return Budget(session, day, ledger)


def _is_rejected(status: str, status_code: Optional[int], usage: TokenUsage) -> bool:
    # Without a status, after a timeout for instance, the request may have been billed: its cost is unknown.
    rejected = status == "error" and status_code is not None and status_code >= 400
    return rejected and usage.total_tokens is None


def _tokens(usage: TokenUsage, estimated: Optional[Mapping[str, int]]) -> Dict[str, Any]:
    """The columns of tokens: what was told, and nothing that had to be estimated."""
    guessed = estimated or {}
    prompt = None if "in" in guessed else usage.prompt_tokens
    completion = None if "out" in guessed else usage.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": None if guessed else usage.total_tokens,
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "usage_status": usage.source,
    }


def _facts(response: Optional[LLMResponse]) -> Dict[str, Any]:
    """What an audit needs of an answer."""
    if response is None:
        return {}
    exchange = response.exchange
    facts: Dict[str, Any] = {"finish_reason": response.raw_finish_reason}
    if exchange is not None:
        from llm_orchestrator.pricing.facts import price_facts

        facts["api"] = exchange.api or None
        facts["usage_raw"] = response.usage.raw
        facts["price_facts"] = price_facts(
            exchange.request, exchange.headers, response.raw_response or {}
        )
    return facts


def _origin(base_url: str) -> str:
    """Scheme and host: they decide the price, and a path or query may hold what is nobody's business."""
    return "/".join(base_url.split("/", 3)[:3])


def _period(start_date: Optional[date], end_date: Optional[date]) -> Callable[[str], bool]:
    """Tell whether a timestamp lies between two dates."""
    start, end = as_utc(start_date), as_utc(end_date, end_of_day=True)
    if start is None and end is None:
        return lambda timestamp: True

    def is_wanted(timestamp: str) -> bool:
        moment = parse_timestamp(timestamp)
        return (not start or start <= moment) and (not end or moment <= end)

    return is_wanted


def _on_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _is_overdue(record: UsageRecord) -> bool:
    return (datetime.now(timezone.utc) - record.timestamp).total_seconds() > OVERDUE


def _new_id() -> str:
    return os.urandom(16).hex()


_living: weakref.WeakSet[CostTracker] = weakref.WeakSet()


def _renew_all_after_fork() -> None:
    for tracker in list(_living):
        tracker._renew_after_fork()


def _settle_all() -> None:
    for tracker in list(_living):
        tracker._settle(wait=True)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all_after_fork)
atexit.register(_settle_all)
