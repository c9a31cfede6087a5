"""CostTracker: records what every request used and cost, keeps the sums, and reports them.

Rows go to the ledger file, or stay in memory when there is none; beside the file only running totals are
kept. How a record is made is in ``usage_log``, the file in ``ledger``, prices in ``billing``, limits in
``budget``, the sums of a report in ``usage_report``.
"""

from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Union

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.record import DETAIL_COLUMNS, UsageRecord
from llm_orchestrator.usage.recorder import UsageLog
from llm_orchestrator.usage.report import UsageReport, UsageTotals
from llm_orchestrator.utils.money import format_cost

if TYPE_CHECKING:
    from llm_orchestrator.types import CostDetails, Exchange, LLMResponse

__all__ = ["CostTracker", "UsageRecord", "UsageReport", "UsageTotals", "format_cost"]


class CostTracker(UsageLog):
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

    def price_response(
        self,
        response: LLMResponse,
        price_provider: str,
        base_url: Optional[str] = None,
        *,
        at: Optional[datetime] = None,
        estimated: Optional[Mapping[str, int]] = None,
        exchange: Optional[Exchange] = None,
    ) -> CostDetails:
        """Price an answer from what its provider reported.

        Args:
            response: The answer as the adapter made it.
            price_provider: Whose prices hold, where the user gave none for the provider entry itself.
            base_url: Where the answer came from; None is the vendor's own address.
            at: When the request was sent; None is now.
            estimated: Tokens the provider did not report, by class (``in``, ``out``).
            exchange: What decides the price beside the usage, where it is known.

        Returns:
            The cost and how it came about; its total is None when the price or the usage is unknown.
        """
        return self._billing.price(response, price_provider, base_url, at, estimated, exchange)

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
            self._flush()
            self._budget.check(session_id, pending)

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
        return UsageReport.from_cells(
            self._record_store.cells(start_date, end_date),
            again=lambda: self._record_store.cells(start_date, end_date, DETAIL_COLUMNS),
        )

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
        from llm_orchestrator.usage.export import write_csv

        return self._record_store.export(path, write_csv, start_date, end_date)

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
        from llm_orchestrator.usage.export import write_jsonl

        return self._record_store.export(path, write_jsonl, start_date, end_date)

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
        from llm_orchestrator.usage.export import typed

        return [typed(row) for row in self._record_store.rows(start_date, end_date)]
