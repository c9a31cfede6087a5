"""The page behind ``UsageReport.to_html``: what was spent and where it goes, for whoever pays the bill.

``cube`` and ``figures`` sum up rows one by one, ``outlook`` looks at the month, ``answers`` and ``data`` say
what they found to people and to the page's script, ``page`` puts it into one HTML file that loads nothing.
Charts are drawn by Chart.js, which stands beside as it is published.
"""

from __future__ import annotations

import os
from datetime import date, datetime
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterable, Optional, Protocol, Sequence, Union

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.atomic_file import atomic_file

if TYPE_CHECKING:
    from llm_orchestrator.usage.page.budget import MonthBudget
    from llm_orchestrator.usage.report import UsageReport
    from llm_orchestrator.usage.selection import Selection
    from llm_orchestrator.usage.tally import Tally
    from llm_orchestrator.usage.totals import UsageTotals

__all__ = ["make_page", "write_page"]


class Source(Protocol):
    """The rows behind a report, and the sums of those that are not kept."""

    @property
    def selection(self) -> Selection: ...

    @property
    def before(self) -> UsageTotals: ...

    def rows_of_page(self, sums: Any) -> Iterable[Sequence[str]]: ...

    def add_days(self, tally: Tally, selection: Selection) -> None: ...


#: The decimal context is the application's, and may have few digits.
_EXACT = Context(prec=60)
_FIRST_DAY = date(1970, 1, 2)


def make_page(
    report: UsageReport,
    source: Source,
    *,
    title: Optional[str] = None,
    budget: Union[MonthBudget, Decimal, None] = None,
) -> str:
    """Make the page of a report from the rows behind it, and the sums of those that are no longer kept."""
    with localcontext(_EXACT):
        return _page(report, source, title=title, budget=budget)


def _page(
    report: UsageReport,
    source: Source,
    *,
    title: Optional[str],
    budget: Union[MonthBudget, Decimal, None],
) -> str:
    from llm_orchestrator.usage.page.cube import Cube
    from llm_orchestrator.usage.page.figures import Figures
    from llm_orchestrator.usage.page.outlook import outlook_of
    from llm_orchestrator.usage.page.page import render
    from llm_orchestrator.usage.page.sums import PageSums

    sums = PageSums(Cube(report), Figures(), list(report.by_day))
    sums.add_all(source.rows_of_page(sums))
    if source.before.requests:
        sums.cube.add_earlier(min(report.by_day), source.before)
    now = datetime.now()
    selection = source.selection
    outlook = outlook_of(
        report.by_day,
        now.date(),
        start=_local_day(selection.start, now),
        end=_local_day(selection.end, now),
        budget=budget if isinstance(budget, Decimal) else None,
    )
    of_budget = outlook
    if budget is not None and not isinstance(budget, Decimal):
        of_budget = budget.outlook(report.by_day, now.astimezone(), selection.end, source.add_days)
    return render(report, sums.cube, sums.figures, outlook, of_budget=of_budget, title=title, now=now)


def _local_day(moment: Optional[datetime], now: datetime) -> Optional[date]:
    """The local day of a limit; one that is still to come is none."""
    if moment is None or moment >= now.astimezone():
        return None
    # There were no ledgers before, and the first days of all calendars have no local time everywhere.
    return _FIRST_DAY if moment.date() <= _FIRST_DAY else moment.astimezone().date()


def write_page(page: str, path: Union[str, os.PathLike[str]]) -> None:
    """Write a page to a file, which appears only when it is complete."""
    target = Path(path).expanduser()
    try:
        with atomic_file(target) as file:
            file.write(page.encode(errors="replace"))
    except OSError as error:
        raise ConfigurationError(
            f"The page {target} cannot be written: {error.strerror}. Choose another path."
        ) from error
