"""The command ``costs``: what was used and spent, as a table, CSV, JSON or an HTML page."""

# No postponed annotations: on Python 3.9 typer finds no options in them.
import csv
import enum
import json
import re
import sys
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Dict, List, Mapping, Optional, Tuple

import typer

from llm_orchestrator.calls.tracker import configured_tracker
from llm_orchestrator.cli.settings import ConfigOption, load_without_keys
from llm_orchestrator.cli.terminal import note, say, show_table, waiting
from llm_orchestrator.cost_tracker import CostTracker
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.report import KINDS, UsageReport, UsageTotals
from llm_orchestrator.utils.money import format_cost, known_cost

__all__ = ["costs"]


class Format(str, enum.Enum):
    """How costs are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


_AGO = re.compile(r"(\d{1,5})([dhw])")
_MONTH = re.compile(r"\d{4}-\d{2}")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def costs(
    config: ConfigOption = None,
    ledger: Annotated[
        Optional[Path],
        typer.Option(
            "--ledger", metavar="FILE", help="The ledger; default: the configured one.", show_default=False
        ),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            "--by",
            metavar="KIND",
            help="What to group by: model, provider, day, session, tag, or tag:NAME for one tag's values.",
        ),
    ] = "model",
    since: Annotated[
        Optional[str],
        typer.Option(
            "--since",
            metavar="WHEN",
            help="From this month, day or time on: 2026-11, 2026-11-01, today, 24h, 7d.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        Optional[str],
        typer.Option(
            "--until", metavar="WHEN", help="Up to this month, day or time, included.", show_default=False
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", "-f", help="How to print them.")] = Format.TABLE,
    html: Annotated[
        Optional[Path],
        typer.Option("--html", metavar="FILE", help="Write a page with charts instead.", show_default=False),
    ] = None,
) -> None:
    """Sum up what was used and spent, from the ledger. Needs no network and no key."""
    start, end = _moment(since, "--since"), _moment(until, "--until", is_end=True)
    tracker = _tracker(config, ledger)
    if tracker.log_path and not tracker.log_path.exists():
        note(f"There is no ledger {tracker.log_path} yet. The first call creates it.", style="yellow")
    with waiting("Reading the ledger ..."):
        report = tracker.get_usage_report(start, end)
        if html:
            report.to_html(html)
        groups = _groups(report, by)
    if html:
        say(f"Wrote {html}.")
    elif form is Format.JSON:
        print(json.dumps(_document(report), indent=2))
    elif form is Format.CSV:
        _write_csv(report.to_dicts(by))
    else:
        _show(report, by, groups)


def _groups(report: UsageReport, by: str) -> Mapping[str, UsageTotals]:
    try:
        return report.grouped(by)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--by") from None


def _moment(text: Optional[str], option: str, *, is_end: bool = False) -> Optional[date]:
    """Read a month, a day, a time, or a span back from now; a month is its first or its last day."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago:
        return datetime.now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    if text == "today":
        return date.today()
    try:
        if _MONTH.fullmatch(text):
            first = date.fromisoformat(f"{text}-01")
            return (first + timedelta(days=31)).replace(day=1) - timedelta(days=1) if is_end else first
        return date.fromisoformat(text) if len(text) == len("2026-11-01") else datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            "use a month (2026-11), a day (2026-11-01), today, or a span (24h, 7d, 4w)", param_hint=option
        ) from None


def _tracker(config: Optional[Path], ledger: Optional[Path]) -> CostTracker:
    if ledger:
        if not ledger.exists():
            raise ConfigurationError(f"There is no ledger {ledger}. Pass the file set as log_path.")
        return CostTracker(log_path=ledger)
    tracker = configured_tracker(load_without_keys(config).cost_tracking)
    if tracker.log_path is None:
        raise ConfigurationError(
            "The configuration has no ledger. Set cost_tracking.log_path, or pass a file with --ledger."
        )
    return tracker


def _show(report: UsageReport, by: str, groups: Mapping[str, UsageTotals]) -> None:
    columns = (by, "calls", "tokens", "cost", "estimated", "unpriced")
    rows = [
        (
            name or "(none)",
            f"{group.requests:,}",
            f"{group.tokens:,}",
            format_cost(known_cost(group.cost, group.requests, group.unpriced_requests)),
            format_cost(group.estimated_cost) if group.estimated_requests else "",
            f"{group.unpriced_requests:,}" if group.unpriced_requests else "",
        )
        for name, group in _sorted(groups, by)
    ]
    if rows:
        show_table(columns, rows, numbers=columns[1:])
    elif report.total_requests:  # every call has a model, a day ...; only tags are optional
        note("No call has a tag. Set tags with `ask --tag NAME=VALUE`, or with tags= in a program.")
    say(str(report), style="bold")


def _sorted(groups: Mapping[str, UsageTotals], by: str) -> List[Tuple[str, UsageTotals]]:
    """Days in order, everything else by cost."""
    if by == "day":
        return sorted(groups.items(), key=lambda item: item[0])
    return sorted(groups.items(), key=lambda item: item[1].cost + item[1].estimated_cost, reverse=True)


def _write_csv(groups: List[Dict[str, Any]]) -> None:
    columns = (
        "by",
        "name",
        "requests",
        "tokens",
        "cost",
        "estimated_cost",
        "unpriced_requests",
        "estimated_requests",
    )
    writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _plain(value) for name, value in group.items()} for group in groups)


def _document(report: UsageReport) -> Dict[str, Any]:
    totals = {name: _plain(value) for name, value in report.items() if not name.startswith("by_")}
    groups = {
        f"by_{kind}": [
            {name: _plain(value) for name, value in group.items() if name != "by"}
            for group in report.to_dicts(kind)
        ]
        for kind in KINDS
    }
    return {**totals, **groups}


def _plain(value: Any) -> Any:
    """Money as a string, so that it stays exact."""
    return format(value, "f") if isinstance(value, Decimal) else value
