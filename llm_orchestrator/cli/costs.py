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
from llm_orchestrator.usage.report import UsageReport, UsageTotals
from llm_orchestrator.utils.money import format_cost, known_cost

__all__ = ["costs"]


class Group(str, enum.Enum):
    """What costs are grouped by."""

    MODEL = "model"
    PROVIDER = "provider"
    DAY = "day"
    SESSION = "session"
    TAG = "tag"


class Format(str, enum.Enum):
    """How costs are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


_AGO = re.compile(r"(\d{1,5})([dhw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def costs(
    config: ConfigOption = None,
    ledger: Annotated[
        Optional[Path],
        typer.Option(
            "--ledger", metavar="FILE", help="The ledger; default: the configured one.", show_default=False
        ),
    ] = None,
    by: Annotated[Group, typer.Option("--by", help="What to group costs by.")] = Group.MODEL,
    since: Annotated[
        Optional[str],
        typer.Option(
            "--since",
            metavar="WHEN",
            help="From this day or time on: 2026-11-01, today, 24h, 7d.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        Optional[str],
        typer.Option("--until", metavar="WHEN", help="Up to this day or time.", show_default=False),
    ] = None,
    form: Annotated[Format, typer.Option("--format", "-f", help="How to print them.")] = Format.TABLE,
    html: Annotated[
        Optional[Path],
        typer.Option("--html", metavar="FILE", help="Write a page with charts instead.", show_default=False),
    ] = None,
) -> None:
    """Sum up what was used and spent, from the ledger. Needs no network and no key."""
    start, end = _moment(since, "--since"), _moment(until, "--until")
    tracker = _tracker(config, ledger)
    if tracker.log_path and not tracker.log_path.exists():
        note(f"There is no ledger {tracker.log_path} yet. The first call creates it.", style="yellow")
    with waiting("Reading the ledger ..."):
        report = tracker.get_usage_report(start, end)
        if html:
            report.to_html(html)
    if html:
        say(f"Wrote {html}.")
    elif form is Format.JSON:
        print(json.dumps(_document(report), indent=2))
    elif form is Format.CSV:
        _write_csv(report.to_dicts(by.value))
    else:
        _show(report, by.value)


def _moment(text: Optional[str], option: str) -> Optional[date]:
    """Read a day, a time, or a span back from now."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago:
        return datetime.now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    if text == "today":
        return date.today()
    try:
        return date.fromisoformat(text) if len(text) == len("2026-11-01") else datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            "use a day (2026-11-01), today, or a span (24h, 7d, 4w)", param_hint=option
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


def _show(report: UsageReport, by: str) -> None:
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
        for name, group in _sorted(report[f"by_{by}"], by)
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
        f"by_{kind.value}": [
            {name: _plain(value) for name, value in group.items() if name != "by"}
            for group in report.to_dicts(kind.value)
        ]
        for kind in Group
    }
    return {**totals, **groups}


def _plain(value: Any) -> Any:
    """Money as a string, so that it stays exact."""
    return format(value, "f") if isinstance(value, Decimal) else value
