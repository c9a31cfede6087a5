"""CostTracker: records what every request used and cost, keeps the sums, and reports them.

It holds the parts that do so: ``usage.recorder`` keeps records and sums, ``usage.reader`` gives them back,
``usage.billing`` knows prices, ``usage.attempts`` makes the record of an attempt.
"""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Mapping, Optional, Union

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.types import CostDetails, Exchange, LLMResponse
from llm_orchestrator.usage.database import open_database
from llm_orchestrator.usage.ledger import Ledger
from llm_orchestrator.usage.logged import logged_request, new_id
from llm_orchestrator.usage.reader import RecordReader
from llm_orchestrator.usage.record import UsageRecord
from llm_orchestrator.usage.recorder import Recorder
from llm_orchestrator.usage.selection import exported, selected
from llm_orchestrator.utils.lazy import LazyModule
from llm_orchestrator.utils.money import ZERO, format_cost
from llm_orchestrator.utils.packaged import is_packaged
from llm_orchestrator.utils.signatures import takes_parameters_of
from llm_orchestrator.utils.threads import NoThreadError, in_thread

if TYPE_CHECKING:
    from llm_orchestrator import pricing
    from llm_orchestrator.usage import billing, budgets, limits, report, reservation
    from llm_orchestrator.usage.report import UsageReport, UsageTotals
else:  # imported with the first price, budget and report
    pricing = LazyModule("llm_orchestrator.pricing")
    billing = LazyModule("llm_orchestrator.usage.billing")
    budgets = LazyModule("llm_orchestrator.usage.budgets")
    limits = LazyModule("llm_orchestrator.usage.limits")
    reservation = LazyModule("llm_orchestrator.usage.reservation")
    report = LazyModule("llm_orchestrator.usage.report")

__all__ = ["CostTracker", "UsageRecord", "UsageReport", "UsageTotals", "format_cost"]


class CostTracker:
    """Records usage and cost of every request, for many threads and processes at once.

    Args:
        enabled: False: nothing is stored and nothing is written.
        log_path: The ledger, a CSV file that several processes may share; it is created with the first row.
            None: records are kept in memory only.
        fsync: Wait for the disk after each row.
        rotate_mb: Size in megabytes at which the ledger is renamed and a new file begun; None: never.
        session_id: The session of records that name none; None: a new one.
        price_table: Prices for records that come without a cost; None: the table shipped with the library.
        strict_pricing: Refuse models without a known price before anything is sent.
        session_budget: US dollars after which calls of a session are refused; None: no limit.
        day_budget: US dollars after which calls of a day are refused; None: no limit.
        budget: The budgets as they stand in the configuration, in place of these two, such as ``{"month":
            300, "timezone": "Europe/Berlin", "tags": {"customer": {"month": 50}}}``; None: no others.
        database_url: A database as the ledger, in place of ``log_path``, which many machines may share:
            ``postgresql+psycopg://USER@HOST/DATABASE`` or ``sqlite:///FILE``. Needs the extra ``database``.
        spool_path: The folder where rows wait on their way to the database, made when it is missing; all
            processes of a machine may share it. None: ``llm_orchestrator/spool`` in the user's cache folder.

    Raises:
        ConfigurationError: The ledger's folder is missing, the file cannot be written, or it is not a ledger;
            the database's URL or driver is wrong, or the spool cannot be written; a budget is set while
            nothing is counted; or the library's own price table is missing.
    """

    def __init__(
        self,
        *,
        enabled: bool = True,
        log_path: Union[str, Path, None] = "./llm_costs.csv",
        fsync: bool = False,
        rotate_mb: Optional[float] = None,
        session_id: Optional[str] = None,
        price_table: Optional[pricing.PriceTable] = None,
        strict_pricing: bool = False,
        session_budget: Optional[Decimal] = None,
        day_budget: Optional[Decimal] = None,
        database_url: Optional[str] = None,
        spool_path: Union[str, Path, None] = None,
        budget: Optional[Mapping[str, Any]] = None,
    ) -> None:
        self.enabled = enabled
        self.session_id = session_id or new_id()
        self.strict_pricing = strict_pricing
        self._given_table = price_table
        self._priced_by: Optional[billing.Billing] = None
        if enabled and price_table is None:
            _check_prices()
        has_file = enabled and log_path and not database_url
        file = Ledger(log_path, fsync=fsync, rotate_mb=rotate_mb) if has_file and log_path else None
        shared = open_database(database_url, spool_path, fsync=fsync) if enabled and database_url else None
        given = {"session": session_budget, "day": day_budget}
        wanted = {**(budget or {}), **{kind: most for kind, most in given.items() if most is not None}}
        limited = budgets.make_budget(wanted, file, database_url, enabled=enabled) if wanted else None
        self._recorder = Recorder(shared or file, limited)
        self._reader = RecordReader(self._recorder.store)

    @property
    def _billing(self) -> billing.Billing:
        if self._priced_by is None:
            self._priced_by = billing.Billing(self._given_table)
        return self._priced_by

    def _price_tokens(self, *counts: Any) -> CostDetails:
        return self._billing.price_tokens(*counts)

    @property
    def log_path(self) -> Optional[Path]:
        """The ledger file; None when records are kept in a database, in memory, or not at all."""
        ledger = self._recorder.store.ledger
        return ledger.path if isinstance(ledger, Ledger) else None

    @property
    def ledger_name(self) -> Optional[str]:
        """Which ledger it is, to be shown: a file, or a database without its password; None without one."""
        ledger = self._recorder.store.ledger
        return str(ledger) if ledger else None

    @property
    def price_table(self) -> pricing.PriceTable:
        """The prices in use, loaded when first needed."""
        return self._billing.table

    def add(self, record: UsageRecord) -> None:
        """Keep the record of an attempt; every record passes through here.

        A ledger that cannot be written is logged as an error and never raised: the answer was paid for.

        Args:
            record: The record, complete.
        """
        if self.enabled:
            self._recorder.add(record)

    @takes_parameters_of(logged_request)  # its parameters, too, are documented here
    def log_usage(self, *given: Any, **fields: Any) -> UsageRecord:  # noqa: D417
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
            response: The answer as far as it came; the row keeps why the model stopped.
            base_url: Where the request went; None is the vendor's own address.
            estimated: Tokens the provider did not report, by class (``in``, ``out``). ``cost_details`` must
                know of them.
            billed: False: the provider refused the request, it costs nothing.

        Returns:
            The record as it was stored.

        Raises:
            ValueError: ``tokens`` has a key other than prompt, completion and total, or a value that is not a
                count; or ``cost`` is not an amount of money.
        """
        record = logged_request(*given, **fields).record(self.session_id, self._price_tokens)
        self.add(record)
        self.spend_budget(record.session_id, record.tags, record.cost or ZERO)
        return record

    def log_usage_later(self, **fields: Any) -> None:
        """Hand over what ``log_usage`` would record, for finalizers: takes no lock and touches no file.

        The record is written with the next record, report or export, or by ``close``.

        Args:
            **fields: The arguments of ``log_usage``, by name.
        """
        fields.setdefault("timestamp", datetime.now(timezone.utc))
        self._recorder.hand_over(partial(self.log_usage, **fields))

    def get_session_cost(self, session_id: Optional[str] = None) -> Decimal:
        """Return what this process spent in a session, for the usage that providers reported.

        Args:
            session_id: The session; None: the tracker's own.

        Returns:
            US dollars; calls with an unknown price are not in it, nor are estimates.
        """
        return self._recorder.session_cost(session_id or self.session_id)

    def warn_of_left_out(self, session_id: Optional[str] = None) -> None:
        """Log a warning, once for a session, where ``get_session_cost`` leaves out calls.

        Args:
            session_id: The session; None: the tracker's own.
        """
        self._recorder.warn_of_left_out(session_id or self.session_id)

    def call_ids(self) -> Iterator[str]:
        """Read which calls stand in the ledger file.

        Returns:
            The id of its call for each row, one at a time; none where there is no file.
        """
        return self._recorder.store.call_ids()

    def close(self) -> None:
        """Write what is waiting and give the ledger back; a record that comes later opens it again.

        A ledger in a database is waited for, at most 10 seconds; what then still waits is carried over by the
        next program that uses the same spool.
        """
        self._recorder.close()

    async def aclose(self) -> None:
        """The same from an event loop, which goes on while a database is waited for."""
        if self.log_path is not None or self.ledger_name is None:
            self.close()
            return
        try:
            await in_thread(self.close)
        except NoThreadError:  # the program ends
            self.close()

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
            exchange: What else decides the price: the API, the request that was sent, headers. None: the
                answer's counts are priced.

        Returns:
            The cost and how it came about; its total is None when the price or the usage is unknown.
        """
        return self._billing.price(
            response, price_provider, base_url, at=at, estimated=estimated, exchange=exchange
        )

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

    def check_budget(
        self,
        session_id: str,
        pending: Optional[Decimal] = None,
        tags: Optional[Mapping[str, str]] = None,
    ) -> None:
        """Refuse to go on when a budget is spent; before anything is sent.

        With a ledger in a database nothing is checked here: what a call may cost is reserved before it.

        Args:
            session_id: The session the next request belongs to.
            pending: US dollars that are spent but not recorded yet.
            tags: The tags of the call.

        Raises:
            BudgetExceededError: A budget that applies to the call is spent.
        """
        self._recorder.check_budget(session_id, tags or {}, pending or ZERO)

    def budget_status(
        self, session_id: Optional[str] = None, tags: Optional[Mapping[str, str]] = None
    ) -> List[limits.BudgetStatus]:
        """Tell what is left of each budget in this session, day and month.

        Args:
            session_id: The session; None: the tracker's own.
            tags: The tags of a call, for the budgets that apply to it; None: of tags, every value that
                occurred in the period.

        Returns:
            One status for each budget. What is spent is None, and a warning logged, when the database cannot
            be asked.
        """
        return self._recorder.budget_status(session_id or self.session_id, tags)

    def request_budget(
        self, session_id: str, tags: Mapping[str, str], amount: Callable[[], Decimal], seconds: float
    ) -> Optional[reservation.BudgetRequest]:
        """Ask for what a call may cost of its budgets, where the ledger is a database; for the library.

        Args:
            session_id: The session the call belongs to.
            tags: Its tags.
            amount: Tells US dollars that it may cost; not called where no budget applies.
            seconds: How long it may take; afterwards its reservation ends by itself.

        Returns:
            What takes the reservation; None where there is none to take.
        """
        limited = self._recorder.budget
        return limited.request(session_id, tags, amount, seconds) if limited else None

    def spend_budget(self, session_id: str, tags: Mapping[str, str], cost: Decimal) -> None:
        """Count what a call has spent without a reservation, where the ledger is a database; for the library.

        Args:
            session_id: The session the call belongs to.
            tags: Its tags.
            cost: US dollars.
        """
        if self._recorder.budget:
            self._recorder.budget.spend(session_id, tags, cost)

    @takes_parameters_of(selected)  # its parameters, too, are documented here
    def get_usage_report(self, *moments: Any, **wanted: Any) -> report.UsageReport:  # noqa: D417
        """Sum up what was used: everything in the ledger, or this process's records where there is none.

        What waits on its way to a database is carried over first, for at most 10 seconds.

        Args:
            start_date: First moment to count; a naive datetime is local time, a date its first moment.
            end_date: Last moment to count; a naive datetime is local time, a date its last moment.
            provider: Count only what this provider entry answered.
            model: Count only what this model answered.
            tags: Count only calls with all these tags; an empty value stands for calls without the tag.

        Returns:
            The report, readable by attribute and as a mapping.

        Raises:
            ConfigurationError: Meanwhile another program replaced the file by something that is not a ledger;
                or the database cannot be read.
            TypeError: An argument is not of its type.
        """
        return self._reader.report(selected(*moments, **wanted))

    @takes_parameters_of(exported)
    def export_to_csv(self, *path: Any, **wanted: Any) -> int:  # noqa: D417
        """Write the same rows that a report reads to a CSV file of their own.

        Args:
            path: The file to write; one that exists is replaced when the new one is complete.
            start_date: First moment to export, as in ``get_usage_report``; so are the others.
            end_date: Last moment to export.
            provider: Export only rows of this provider entry.
            model: Export only rows of this model.
            tags: Export only rows of calls with these tags.

        Returns:
            Number of rows written.

        Raises:
            ConfigurationError: The file cannot be written, or is the ledger itself.
        """
        return self._reader.to_csv(*exported(*path, **wanted))

    @takes_parameters_of(exported)
    def export_to_jsonl(self, *path: Any, **wanted: Any) -> int:  # noqa: D417
        """Write the same rows as JSON lines: one object a row; money is a string, which keeps it exact.

        Args:
            path: The file to write; one that exists is replaced when the new one is complete.
            start_date: First moment to export, as in ``get_usage_report``; so are the others.
            end_date: Last moment to export.
            provider: Export only rows of this provider entry.
            model: Export only rows of this model.
            tags: Export only rows of calls with these tags.

        Returns:
            Number of rows written.

        Raises:
            ConfigurationError: The file cannot be written, or is the ledger itself.
        """
        return self._reader.to_jsonl(*exported(*path, **wanted))

    @takes_parameters_of(exported)
    def export_to_parquet(self, *path: Any, **wanted: Any) -> int:  # noqa: D417
        """Write the same rows as a Parquet file, with the types of ``to_arrow``.

        Args:
            path: The file to write; one that exists is replaced when the new one is complete.
            start_date: First moment to export, as in ``get_usage_report``; so are the others.
            end_date: Last moment to export.
            provider: Export only rows of this provider entry.
            model: Export only rows of this model.
            tags: Export only rows of calls with these tags.

        Returns:
            Number of rows written.

        Raises:
            ConfigurationError: The file cannot be written, or is the ledger itself; or the extra
                ``arrow`` is not installed.
        """
        return self._reader.to_parquet(*exported(*path, **wanted))

    @takes_parameters_of(selected)
    def to_dicts(self, *moments: Any, **wanted: Any) -> List[Dict[str, Any]]:  # noqa: D417
        """List the same rows as dicts, as ``pandas.DataFrame`` takes them.

        Args:
            start_date: First moment to list, as in ``get_usage_report``; so are the others.
            end_date: Last moment to list.
            provider: List only rows of this provider entry.
            model: List only rows of this model.
            tags: List only rows of calls with these tags.

        Returns:
            One dict for each row: numbers, ``datetime`` in UTC, ``Decimal`` for money, a dict of tags, None
            for what is not known.
        """
        return self._reader.to_dicts(selected(*moments, **wanted))

    @takes_parameters_of(selected)
    def to_arrow(self, *moments: Any, **wanted: Any) -> Any:  # noqa: D417
        """Make an Arrow table of the same rows, which pandas, polars and DuckDB take as it is.

        Args:
            start_date: First moment to list, as in ``get_usage_report``; so are the others.
            end_date: Last moment to list.
            provider: List only rows of this provider entry.
            model: List only rows of this model.
            tags: List only rows of calls with these tags.

        Returns:
            A ``pyarrow.Table`` with the columns of the ledger: moments in UTC, tags as a map, money with 20
            decimal places, null for what is not known.

        Raises:
            ConfigurationError: The extra ``arrow`` is not installed.
        """
        return self._reader.to_arrow(selected(*moments, **wanted))


def _check_prices() -> None:
    """Say now that the price table is missing, or every cost would be unknown without a word."""
    if not is_packaged("llm_orchestrator.pricing", "prices.json"):
        raise ConfigurationError(
            "The price table of llm_orchestrator, prices.json, is not where the library is. Install it "
            "again; a frozen program has to take the library's data files along, as PyInstaller does."
        )


def __getattr__(name: str) -> Any:
    """The reports are imported when they are first asked for: most programs never do."""
    if name not in ("UsageReport", "UsageTotals"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(report, name)
