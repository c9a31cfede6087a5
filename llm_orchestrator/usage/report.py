"""Sums over ledger rows, for people and programs, and how an amount of money is shown.

Rows are summed up as they are read, in memory that does not grow with their number. Reported and estimated
money are never blended, and calls whose price is unknown are counted, not taken as free.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
    overload,
)

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.groups import KINDS, Naming, by_kind, by_kinds
from llm_orchestrator.usage.limits import BudgetStatus
from llm_orchestrator.usage.selection import ALL, Selection
from llm_orchestrator.usage.store import RecordStore
from llm_orchestrator.usage.tally import Tally
from llm_orchestrator.usage.totals import Readable, UsageTotals
from llm_orchestrator.utils.money import format_cost, known_cost, subtract_money
from llm_orchestrator.utils.numbers import is_amount
from llm_orchestrator.utils.plural import number_of

if TYPE_CHECKING:
    from llm_orchestrator.usage.page.budget import MonthBudget

__all__ = [
    "UsageReport",
    "UsageTotals",
]

#: How a report groups.
_GROUPINGS = {f"by_{kind}": (kind,) for kind in KINDS}
#: The name of the calls that are kept as sums only, in groups that need their rows.
EARLIER = "(earlier calls)"


@dataclass(frozen=True, eq=False)
class UsageReport(Readable):
    """What was used and spent; readable by attribute and as a mapping.

    Attributes:
        total_requests: Number of calls, however many attempts each took.
        total_tokens: Prompt and completion tokens, as far as reported.
        total_cost: US dollars for the usage that providers reported.
        unpriced_requests: Number of calls whose cost, or a part of it, is unknown.
        estimated_cost: US dollars for the usage that had to be estimated; not part of ``total_cost``.
        by_provider: The same sums for each provider entry.
        by_model: The same sums for each model that answered.
        by_session: The same sums for each session.
        by_tag: The same sums for each tag, written ``name=value``; a call with two tags counts in both.
        by_day: The same sums for each day, ``YYYY-MM-DD`` in local time.
        estimated_requests: Number of calls that ``estimated_cost`` is for.
    """

    total_requests: int
    total_tokens: int
    total_cost: Decimal
    unpriced_requests: int
    estimated_cost: Decimal
    by_provider: Mapping[str, UsageTotals]
    by_model: Mapping[str, UsageTotals]
    by_session: Mapping[str, UsageTotals]
    by_tag: Mapping[str, UsageTotals]
    by_day: Mapping[str, UsageTotals]
    estimated_requests: int = 0
    _untagged: ClassVar[Optional[UsageTotals]] = None
    _source: ClassVar[Optional[_Source]] = None
    _waiting: ClassVar[int] = 0

    @classmethod
    def of(cls, store: RecordStore, selection: Selection = ALL) -> UsageReport:
        """Sum up the records of a store, one by one.

        Args:
            store: Where the records are.
            selection: Which of them are meant.

        Returns:
            The report.
        """
        selection = store.pinned(selection)
        tally, rows = store.report_source(selection, _GROUPINGS)
        before = tally.totals()[0]
        size = tally.add_all(rows, None if selection.is_all else selection.has)
        overall, groups = tally.totals()
        untagged = groups["by_tag"].pop("", None)
        report = cls(
            total_requests=overall.requests,
            total_tokens=overall.tokens,
            total_cost=overall.cost,
            unpriced_requests=overall.unpriced_requests,
            estimated_cost=overall.estimated_cost,
            estimated_requests=overall.estimated_requests,
            **groups,
        )
        object.__setattr__(report, "_untagged", untagged)
        object.__setattr__(report, "_waiting", store.waiting)
        known_size = None if selection.as_of else size
        object.__setattr__(report, "_source", _Source(store, selection, known_size, before))
        return report

    def __getstate__(self) -> Dict[str, Any]:
        """Leave the ledger behind: a copy in another process is the sums alone."""
        return {name: value for name, value in self.__dict__.items() if name != "_source"}

    @property
    def known_cost(self) -> Optional[Decimal]:
        """``total_cost``, or None where no call has a known price: unknown is not zero."""
        return known_cost(self.total_cost, self.total_requests, self.unpriced_requests)

    @property
    def waiting_rows(self) -> int:
        """Rows that could not be carried to the database yet, so that the report lacks them."""
        return self._waiting

    def to_html(
        self,
        path: Union[str, os.PathLike[str], None] = None,
        *,
        title: Optional[str] = None,
        budget: Union[BudgetStatus, Decimal, float, str, None] = None,
    ) -> str:
        """Make a page for whoever pays the bill: this month, last month, a forecast, and who spent it.

        It is one file that needs no network, in light and dark, and reads well on paper. The rows behind the
        report are read a second time, for what its sums do not hold.

        Args:
            path: The file to write; one that exists is replaced. None writes none.
            title: The heading of the page; None is a general one.
            budget: US dollars for a calendar month in local time, which the month's spend and its forecast
                are compared with; or one of ``budget_status()`` that is for a month: then the calls it is
                for are looked at, over the very month it is for. None compares with none.

        Returns:
            The page.

        Raises:
            ConfigurationError: The rows are not at hand (the report was copied), or the file cannot be
                written.
            ValueError: ``budget`` is not an amount of money above zero, or for no month.
        """
        from llm_orchestrator.usage.page import make_page, write_page

        limit = None if budget is None else _budget_of(budget)
        page = make_page(self, self._rows, title=title, budget=limit)
        if path is not None:
            write_page(page, path)
        return page

    @property
    def _rows(self) -> _Source:
        if self._source is None:
            raise ConfigurationError(
                "This needs the rows behind the report, which a copied report has left behind. "
                "Call it on the report that get_usage_report returned."
            )
        return self._source

    @overload
    def grouped(self, by: str) -> Mapping[str, UsageTotals]: ...

    @overload
    def grouped(self, by: Union[List[str], Tuple[str, ...]]) -> Mapping[Tuple[str, ...], UsageTotals]: ...

    def grouped(self, by: Union[str, List[str], Tuple[str, ...]]) -> Mapping[Any, UsageTotals]:
        """Find the sums of one kind of groups, or of several kinds together.

        The groups add up to the whole: tokens and money exactly, with a group for calls without a tag. A call
        that asked two models, or has two tags where the kind is ``tag``, is counted in both of their groups;
        with ``tag`` its money is, too.

        Args:
            by: ``provider``, ``model``, ``session``, ``tag``, ``day``, ``month``, or ``tag:NAME`` for one
                tag's values; or a list of them, such as ``["tag:customer", "model"]``, for which the rows
                behind the report are read a second time, as they are for months.

        Returns:
            The sums by name, or by a tuple of names where ``by`` is a list. The name of calls without the
            tag is empty.

        Raises:
            ValueError: There are no such groups.
            ConfigurationError: The rows are needed and not at hand, as the report was copied.
        """
        if not isinstance(by, str):
            return self._read_again(by, by_kinds(by), (EARLIER,) * len(by))
        naming = by_kind(by)
        if by.startswith("tag:"):
            return self._by_value_of(by[len("tag:") :])
        if by == "tag" and self._untagged:
            return {**self.by_tag, "": self._untagged}
        groups: Mapping[str, UsageTotals] = (
            self[f"by_{by}"] if by in KINDS else self._read_again((by,), naming, EARLIER)
        )
        return groups

    def _read_again(self, kinds: Sequence[str], naming: Naming, earlier: Any) -> Dict[Any, UsageTotals]:
        tally, source = Tally({"groups": naming}), self._rows
        rows = source.store.rows_to_add(tally, source.selection, {"groups": kinds})
        tally.add_all(islice(rows, source.size), source.selection.has)
        groups = tally.totals()[1]["groups"]
        before = self._rows.before
        return {**groups, earlier: before} if before.requests else groups

    def _by_value_of(self, tag: str) -> Mapping[str, UsageTotals]:
        found = {
            name[len(tag) + 1 :]: totals
            for name, totals in self.by_tag.items()
            if name.startswith(f"{tag}=") and name != f"{tag}="
        }
        rest = self._without(found.values())
        return {**found, "": rest} if any(rest.values()) else found

    def _without(self, groups: Iterable[UsageTotals]) -> UsageTotals:
        """What is left of the whole without some groups."""
        found = list(groups)
        return UsageTotals(
            requests=max(0, self.total_requests - sum(group.requests for group in found)),
            tokens=self.total_tokens - sum(group.tokens for group in found),
            cost=_rest_of(self.total_cost, (group.cost for group in found)),
            estimated_cost=_rest_of(self.estimated_cost, (group.estimated_cost for group in found)),
            unpriced_requests=max(
                0, self.unpriced_requests - sum(group.unpriced_requests for group in found)
            ),
            estimated_requests=max(
                0, self.estimated_requests - sum(group.estimated_requests for group in found)
            ),
        )

    def to_dicts(self, by: Union[str, List[str], Tuple[str, ...], None] = None) -> List[Dict[str, Any]]:
        """List the sums as flat dicts, as ``pandas.DataFrame`` takes them.

        Args:
            by: As for ``grouped``; None lists all kinds that the report holds.

        Returns:
            One dict for each group: ``by`` and ``name``, or where ``by`` is a list a name for each kind under
            the kind; and the fields of ``UsageTotals``. ``cost`` is None where no call has a known price.

        Raises:
            ValueError: There are no such groups.
            ConfigurationError: As in ``grouped``.
        """
        if by is None:
            return [group for kind in KINDS for group in self.to_dicts(kind)]
        if isinstance(by, str):
            return [{"by": by, "name": name, **_sums(sums)} for name, sums in self.grouped(by).items()]
        return [{**dict(zip(by, names)), **_sums(sums)} for names, sums in self.grouped(by).items()]

    def to_arrow(self, by: Union[str, List[str], Tuple[str, ...], None] = None) -> Any:
        """The same as ``to_dicts`` as an Arrow table, which pandas, polars and DuckDB take as it is.

        Args:
            by: As for ``to_dicts``.

        Returns:
            A ``pyarrow.Table``; money has 20 decimal places.

        Raises:
            ValueError: There are no such groups.
            ConfigurationError: The extra ``arrow`` is not installed; or as in ``grouped``.
        """
        from llm_orchestrator.usage.arrow import to_table

        names = ("by", "name") if by is None or isinstance(by, str) else tuple(by)
        return to_table(self.to_dicts(by), {**dict.fromkeys(names, str), **_SUMS})

    def _repr_html_(self) -> str:
        from llm_orchestrator.usage.page.notebook import report_as_html

        return report_as_html(self)

    def __str__(self) -> str:
        """The totals in one line."""
        lacks = f" + {number_of(self._waiting, 'row')} on the way" if self._waiting else ""
        return (
            f"{number_of(self.total_requests, 'call')}, {number_of(self.total_tokens, 'token')}: "
            f"reported {format_cost(self.known_cost)} + estimated {format_cost(self.estimated_cost)} "
            f"({number_of(self.estimated_requests, 'call')}) + unpriced {self.unpriced_requests:,}{lacks}"
        )


def _budget_of(budget: Union[BudgetStatus, Decimal, float, str]) -> Union[MonthBudget, Decimal]:
    if isinstance(budget, BudgetStatus):
        from llm_orchestrator.usage.page.budget import MonthBudget

        return MonthBudget.of(budget)
    try:
        amount = Decimal(str(budget))
    except ArithmeticError:
        amount = Decimal(0)
    if not is_amount(amount) or amount <= 0:
        raise ValueError(f"{budget!r} is not a budget. Use US dollars above 0, or None.")
    return amount


def _rest_of(total: Decimal, parts: Iterable[Decimal]) -> Decimal:
    for part in parts:
        total = subtract_money(total, part)
    return total


#: What the sums of a group are.
_SUMS: Mapping[str, type] = {
    **dict.fromkeys(("requests", "tokens"), int),
    **dict.fromkeys(("cost", "estimated_cost"), Decimal),
    **dict.fromkeys(("unpriced_requests", "estimated_requests"), int),
}


def _sums(totals: UsageTotals) -> Dict[str, Any]:
    return {**totals, "cost": totals.known_cost}


class _Source(NamedTuple):
    """The rows behind a report, and the sums of those that are not kept."""

    store: RecordStore
    selection: Selection
    size: Optional[int]  # None where the selection alone says which rows they were
    before: UsageTotals

    def rows_of_page(self, sums: Any) -> Iterable[Sequence[str]]:
        """The rows that a page has to add up itself, without those that came since."""
        rows = islice(self.store.page_rows(sums, self.selection), self.size)
        return filter(self.selection.has, rows)

    def add_days(self, tally: Tally, selection: Selection) -> None:
        """Add others to a tally by ``by_day``, without those that came since."""
        if self.selection.as_of:
            selection = selection.pinned(self.selection.as_of)
        rows = self.store.rows_to_add(tally, selection, {"by_day": ("day",)})
        tally.add_all(islice(rows, self.size), selection.has)
