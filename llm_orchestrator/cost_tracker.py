"""CostTracker: records what every request used and cost, keeps the sums, and reports them.

Rows go to the ledger file, or stay in memory when there is none; beside the file only running totals are
kept. What a row holds is in ``usage_record``, the file in ``ledger``, the sums of a report in
``usage_report``, prices in ``pricing``.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import deque
from contextlib import suppress
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Deque, Dict, Iterable, List, Mapping, Optional, Set, Tuple, Union

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.ledger import Ledger, Row, write_csv
from llm_orchestrator.types import TokenUsage
from llm_orchestrator.usage_record import Tokens, UsageRecord, as_usage, as_utc, parse_timestamp
from llm_orchestrator.usage_report import ZERO, UsageReport, UsageTotals, add_money, format_cost

if TYPE_CHECKING:
    from llm_orchestrator.pricing import CostDetails, PriceTable
    from llm_orchestrator.types import LLMResponse

__all__ = ["CostTracker", "UsageRecord", "UsageReport", "UsageTotals", "format_cost"]

logger = logging.getLogger(__name__)

_NO_PRICE = "it has no known price. Add one to price_overrides"
_NO_USAGE = "no usage was reported. Look it up in the provider's own billing"


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

    Raises:
        ConfigurationError: The ledger's folder is missing, the file cannot be written, or it is not a ledger.
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
    ) -> None:
        self.enabled = enabled
        self.session_id = session_id or _new_id()
        self._price_table = price_table
        self._ledger: Optional[Ledger] = None
        if enabled and log_path is not None:
            self._ledger = Ledger(log_path, fsync=fsync, rotate_mb=rotate_mb)
        self._records: List[UsageRecord] = []
        self._session_costs: Dict[str, Decimal] = {}
        self._warned: Set[Tuple[str, str]] = set()
        self._waiting: Deque[Dict[str, Any]] = deque()
        self._lock = threading.Lock()
        _living.add(self)

    @property
    def log_path(self) -> Optional[Path]:
        """The ledger file; None when records are kept in memory, or not at all."""
        return self._ledger.path if self._ledger else None

    @property
    def price_table(self) -> PriceTable:
        """The prices in use, loaded when first needed."""
        if self._price_table is None:
            from llm_orchestrator.pricing import PriceTable

            self._price_table = PriceTable()
        return self._price_table

    def price_response(
        self, response: LLMResponse, price_provider: str, base_url: Optional[str] = None
    ) -> CostDetails:
        """Price an answer from what its provider reported.

        Args:
            response: The answer as the adapter made it.
            price_provider: Whose prices hold, where the user gave none for the provider entry itself.
            base_url: Where the answer came from; None is the vendor's own address.

        Returns:
            The cost and how it came about; its total is None when the price or the usage is unknown.
        """
        try:
            details = self._priced(response, response.provider, base_url)
            if details.status == "unpriced" and price_provider != response.provider:
                details = self._priced(response, price_provider, base_url)
        except Exception:  # whatever is wrong with a price, the answer was paid for and has to arrive
            from llm_orchestrator.pricing import CostDetails

            logger.exception("%s/%s could not be priced.", response.provider, response.model)
            details = CostDetails("unpriced", unpriced=("error",))
        return details

    def _priced(self, response: LLMResponse, price_provider: str, base_url: Optional[str]) -> CostDetails:
        usage, exchange = response.usage, response.exchange
        now = datetime.now(timezone.utc)
        if exchange is None or usage.raw is None:
            return self.price_table.price_tokens(
                price_provider, response.model, usage, requested_model=response.requested_model, at=now
            )
        return self.price_table.price(
            price_provider,
            response.model,
            # A list is a stream's: the table then knows that counts of a stream that broke off are no final
            # ones.
            [usage.raw] if usage.source == "partial" else usage.raw,
            requested_model=response.requested_model,
            api=exchange.api or None,
            at=now,
            base_url=base_url,
            headers=exchange.headers,
            request=exchange.request,
            response=response.raw_response,
        )

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

        Returns:
            The record as it was stored.

        Raises:
            ValueError: ``tokens`` has a key other than prompt, completion and total.
        """
        usage = as_usage(tokens)
        moment = as_utc(timestamp) or datetime.now(timezone.utc)
        if cost is None and cost_details is None and _is_rejected(status, status_code, usage):
            cost, price_status = ZERO, "free"
        elif cost is not None:
            cost, price_status = Decimal(str(cost)), cost_details.status if cost_details else "priced"
        else:
            details = cost_details or self.price_table.price_tokens(
                provider, model, usage, requested_model=requested_model, at=moment
            )
            cost, price_status = details.total, details.status
        record = UsageRecord(
            timestamp=moment,
            provider=provider,
            model=model,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
            cost=cost,
            session_id=session_id or self.session_id,
            call_id=call_id or _new_id(),
            attempt=attempt,
            final=final,
            status=status,
            error_type=error_type,
            status_code=status_code,
            request_id=request_id,
            requested_model=requested_model,
            cached_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            usage_status=usage.source,
            price_status=price_status,
            streamed=streamed,
            latency=latency,
            tags=dict(tags or {}),
        )
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
        return UsageReport.from_rows(self._rows(start_date, end_date))

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
        target = Path(path).expanduser()
        if self.log_path and target.exists() and self.log_path.exists() and target.samefile(self.log_path):
            raise ConfigurationError(f"{target} is the ledger itself. Export to another file.")
        try:
            return write_csv(target, self._rows(start_date, end_date))
        except OSError as error:
            raise ConfigurationError(
                f"The export {target} cannot be written: {error.strerror}. Choose another path."
            ) from error

    def close(self) -> None:
        """Write what is waiting and give the ledger file back; a record that comes later opens it again."""
        self._settle()
        with self._lock:
            if self._ledger:
                self._ledger.close()

    def _store(self, record: UsageRecord) -> None:
        with self._lock:
            if record.cost is not None and record.usage_status != "estimated":
                spent = self._session_costs.get(record.session_id, ZERO)
                self._session_costs[record.session_id] = add_money(spent, record.cost)
            warn = record.cost is None and record.status == "ok" and self._is_new(record)
            failure = self._write(record)
        if warn:
            logger.warning(
                "The cost of %s/%s is unknown and not part of any sum: %s.",
                record.provider,
                record.model,
                _NO_USAGE if record.usage_status == "missing" else _NO_PRICE,
            )
        if failure:
            logger.error(
                "A row of the ledger %s could not be written: %s. The row: %s",
                self.log_path,
                failure,
                record.to_row(),
            )

    def _write(self, record: UsageRecord) -> Optional[Exception]:
        """The error that kept the record out of the ledger, if there was one."""
        if self._ledger is None:
            self._records.append(record)
            return None
        try:
            self._ledger.append(record.to_row())
        except (OSError, ConfigurationError) as error:
            self._ledger.close()  # a descriptor that went bad is not used again
            return error
        return None

    def _is_new(self, record: UsageRecord) -> bool:
        key = (record.provider, record.model)
        if key in self._warned:
            return False
        self._warned.add(key)
        return True

    def _settle(self) -> None:
        """Write what finalizers handed over."""
        if not self._waiting:
            return
        handed_over = []
        with suppress(IndexError):  # empty, or another thread was faster
            while True:
                handed_over.append(self._waiting.popleft())
        for fields in handed_over:
            self.log_usage(**fields)

    def _rows(self, start_date: Optional[date], end_date: Optional[date]) -> Iterable[Row]:
        start, end = as_utc(start_date), as_utc(end_date, end_of_day=True)
        self._settle()
        rows = self._ledger.rows() if self._ledger else (record.to_row() for record in list(self._records))
        for row in rows:
            moment = parse_timestamp(row["timestamp"]) if start or end else None
            if moment is None or ((not start or start <= moment) and (not end or moment <= end)):
                yield row

    def _renew_after_fork(self) -> None:
        # The parent's lock may be held by a thread that does not exist here, and a shared descriptor shares
        # its file lock; what waits to be written is written by the parent.
        self._lock = threading.Lock()
        self._waiting.clear()
        if self._ledger:
            self._ledger.close()


def _is_rejected(status: str, status_code: Optional[int], usage: TokenUsage) -> bool:
    # Providers do not charge for a request they answer with an error status (Anthropic help centre: "Failed
    # requests aren't charged"; Gemini billing FAQ on 400 and 500; OpenAI flex processing guide on 429).
    # Without a status, after a timeout for instance, the request may have been billed: its cost is unknown.
    rejected = status == "error" and status_code is not None and status_code >= 400
    return rejected and usage.total_tokens is None


def _new_id() -> str:
    return os.urandom(16).hex()


_living: weakref.WeakSet[CostTracker] = weakref.WeakSet()


def _renew_all_after_fork() -> None:
    for tracker in list(_living):
        tracker._renew_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all_after_fork)
