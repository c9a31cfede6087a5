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
    Any,
    Callable,
    ClassVar,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Union,
)

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.tally import Tally
from llm_orchestrator.usage.totals import Readable, UsageTotals
from llm_orchestrator.utils.money import format_cost, known_cost, subtract_money
from llm_orchestrator.utils.plural import number_of

__all__ = [
    "UsageReport",
    "UsageTotals",
]


#: The kinds of groups of a report.
KINDS = ("provider", "model", "session", "tag", "day")


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
    _source: ClassVar[Optional[_Source]] = None

    @classmethod
    def from_cells(
        cls,
        rows: Iterable[Sequence[str]],
        again: Optional[Callable[[], Iterable[Sequence[str]]]] = None,
        earlier: Optional[Tally] = None,
    ) -> UsageReport:
        """Sum up ledger rows, one by one.

        Args:
            rows: For every row one string for each of ``REPORT_COLUMNS``.
            again: Reads the same rows again, with ``DETAIL_COLUMNS``, for ``to_html``.
            earlier: The sums of rows that are not there any more; the others are added to it.

        Returns:
            The report.
        """
        tally = Tally() if earlier is None else earlier
        before = tally.rows
        for cells in rows:
            tally.add(cells)
        overall, groups = tally.totals()
        report = cls(
            total_requests=overall.requests,
            total_tokens=overall.tokens,
            total_cost=overall.cost,
            unpriced_requests=overall.unpriced_requests,
            estimated_cost=overall.estimated_cost,
            estimated_requests=overall.estimated_requests,
            **groups,
        )
        if again:
            object.__setattr__(report, "_source", _Source(again, tally.rows - before))
        return report

    def __getstate__(self) -> Dict[str, Any]:
        """Leave the ledger behind: a copy in another process is the sums alone."""
        return dict(self)

    def to_html(self, path: Union[str, os.PathLike[str], None] = None) -> str:
        """Make a page to look at: spend over time, tokens, caching, failures, latency, and tables that sort.

        It is one file that needs no network, in light and dark, and reads well on paper. The rows behind the
        report are read a second time, for what its sums do not hold.

        Args:
            path: The file to write; one that exists is replaced. None writes none.

        Returns:
            The page.

        Raises:
            ConfigurationError: The extra ``report`` is not installed, the rows are not at hand (the report
                was copied), or the file cannot be written.
        """
        from llm_orchestrator.usage.page import make_page, write_page

        if self._source is None:
            raise ConfigurationError(
                "The page needs the rows behind the report, which a copied report has left behind. "
                "Call to_html on the report that get_usage_report returned."
            )
        page = make_page(self, self._source.rows())
        if path is not None:
            write_page(page, path)
        return page

    def grouped(self, by: str) -> Mapping[str, UsageTotals]:
        """Find the sums of one kind of groups.

        Args:
            by: ``provider``, ``model``, ``session``, ``tag``, ``day``, or ``tag:NAME`` for one tag's values.

        Returns:
            The sums by name. Those of one tag have a group with an empty name for the calls without it, so
            that they add up to the whole.

        Raises:
            ValueError: There are no such groups.
        """
        kind, _, tag = by.partition(":")
        if kind not in KINDS or (tag and kind != "tag") or by.endswith(":"):
            raise ValueError(f"A report has no groups by {by!r}. Use {', '.join(KINDS)} or tag:NAME.")
        groups: Mapping[str, UsageTotals] = self[f"by_{kind}"]
        return self._by_value_of(tag) if tag else groups

    def _by_value_of(self, tag: str) -> Mapping[str, UsageTotals]:
        found = {
            name.partition("=")[2]: totals
            for name, totals in self.by_tag.items()
            if name.startswith(f"{tag}=")
        }
        rest = UsageTotals(
            requests=self.total_requests - sum(group.requests for group in found.values()),
            tokens=self.total_tokens - sum(group.tokens for group in found.values()),
            cost=_rest_of(self.total_cost, (group.cost for group in found.values())),
            estimated_cost=_rest_of(self.estimated_cost, (group.estimated_cost for group in found.values())),
            unpriced_requests=self.unpriced_requests
            - sum(group.unpriced_requests for group in found.values()),
            estimated_requests=self.estimated_requests
            - sum(group.estimated_requests for group in found.values()),
        )
        return {**found, "": rest} if rest.requests else found

    def to_dicts(self, by: Optional[str] = None) -> List[Dict[str, Any]]:
        """List the sums as flat dicts, as ``pandas.DataFrame`` takes them.

        Args:
            by: As for ``grouped``; None lists all kinds.

        Returns:
            One dict for each group: ``by``, ``name``, and the fields of ``UsageTotals``.

        Raises:
            ValueError: There are no such groups.
        """
        return [
            {"by": kind, "name": name, **totals}
            for kind in ((by,) if by else KINDS)
            for name, totals in self.grouped(kind).items()
        ]

    def _repr_html_(self) -> str:
        from llm_orchestrator.usage.page.notebook import report_as_html

        return report_as_html(self)

    def __str__(self) -> str:
        """The totals in one line."""
        reported = known_cost(self.total_cost, self.total_requests, self.unpriced_requests)
        return (
            f"{number_of(self.total_requests, 'call')}, {number_of(self.total_tokens, 'token')}: "
            f"reported {format_cost(reported)} + estimated {format_cost(self.estimated_cost)} "
            f"({number_of(self.estimated_requests, 'call')}) + unpriced {self.unpriced_requests:,}"
        )


def _rest_of(total: Decimal, parts: Iterable[Decimal]) -> Decimal:
    for part in parts:
        total = subtract_money(total, part)
    return total


class _Source(NamedTuple):
    """The rows behind a report."""

    again: Callable[[], Iterable[Sequence[str]]]
    size: int

    def rows(self) -> Iterable[Sequence[str]]:
        """Read them again, without those that came since."""
        return islice(self.again(), self.size)
