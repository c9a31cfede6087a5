"""The command ``costs``: what was used and spent, as a table, CSV, JSON or an HTML page."""

# No postponed annotations: on Python 3.9 typer finds no options in them.
import enum
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional

import typer

from llm_orchestrator.calls.tracker import configured_tracker
from llm_orchestrator.cli.budgets import print_budgets
from llm_orchestrator.cli.cost_formats import print_csv, print_json, print_table
from llm_orchestrator.cli.periods import Period, chosen_period
from llm_orchestrator.cli.settings import ConfigOption, load_without_keys
from llm_orchestrator.cli.tags import wanted_tags
from llm_orchestrator.cli.terminal import note, say, waiting
from llm_orchestrator.cost_tracker import CostTracker
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.budgets import make_limits
from llm_orchestrator.usage.budgets import month_budget as month_budget_of
from llm_orchestrator.usage.groups import by_kinds
from llm_orchestrator.usage.limits import BudgetStatus
from llm_orchestrator.usage.report import UsageReport
from llm_orchestrator.utils.suggestions import did_you_mean

__all__ = ["costs"]


class Format(str, enum.Enum):
    """How costs are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


_PRINTERS = {Format.TABLE: print_table, Format.CSV: print_csv, Format.JSON: print_json}


def _option(name: str, metavar: str, text: str) -> Any:
    return typer.Option(name, metavar=metavar, help=text, show_default=False)


_Ledger = Annotated[Optional[Path], _option("--ledger", "FILE", "The ledger; default: the configured one.")]
_By = Annotated[
    Optional[List[str]],
    _option(
        "--by",
        "KIND",
        "What to group by: model (default), provider, day, month, session, tag, or tag:NAME for one tag's "
        "values. Give it twice for both together.",
    ),
]
_Tags = Annotated[
    Optional[List[str]],
    _option("--tag", "NAME=VALUE", "Only calls with this tag; `NAME=` for those without it. Repeatable."),
]
_Model = Annotated[Optional[str], _option("--model", "MODEL", "Only what this model answered.")]
_Provider = Annotated[Optional[str], _option("--provider", "NAME", "Only what this provider entry answered.")]
_Since = Annotated[
    Optional[str],
    _option("--since", "WHEN", "From this month, day or time on: 2026-11, 2026-11-01, today, 24h, 7d."),
]
_Until = Annotated[Optional[str], _option("--until", "WHEN", "Up to this month, day or time, included.")]
_ThisMonth = Annotated[
    bool, typer.Option("--month", help="Only this month; or the one that follows: 2026-10.")
]
_LastMonth = Annotated[bool, typer.Option("--last-month", help="Only last month.")]
_Which = Annotated[
    Optional[str], typer.Argument(metavar="MONTH", help="After --month: which one, as 2026-10.")
]
_Format = Annotated[Format, typer.Option("--format", "-f", help="How to print them.")]
_Budget = Annotated[
    bool, typer.Option("--budget", help="Show what is left of each budget instead; --tag says of which.")
]
_Html = Annotated[Optional[Path], _option("--html", "FILE", "Write a page with charts instead.")]
_Title = Annotated[Optional[str], _option("--title", "TEXT", "The heading of that page.")]
_MonthBudget = Annotated[
    Optional[float],
    typer.Option(
        "--month-budget",
        metavar="DOLLARS",
        min=0.01,
        help="For a month: that page says whether it will hold. Default: the configured one.",
        show_default=False,
    ),
]


def costs(
    which: _Which = None,
    config: ConfigOption = None,
    ledger: _Ledger = None,
    by: _By = None,
    tag: _Tags = None,
    model: _Model = None,
    provider: _Provider = None,
    since: _Since = None,
    until: _Until = None,
    this_month: _ThisMonth = False,
    last_month: _LastMonth = False,
    form: _Format = Format.TABLE,
    html: _Html = None,
    title: _Title = None,
    month_budget: _MonthBudget = None,
    budget: _Budget = False,
) -> None:
    """Sum up what was used and spent, from the ledger. Needs no network and no key."""
    if budget:
        _budgets(config, ledger, tag, form)
        return
    kinds = _kinds(by or ["model"])
    limits = _period(since, until, this_month, which, last_month)
    only: Dict[str, Any] = {"model": model, "provider": provider, "tags": wanted_tags(tag or [])}
    if (title is not None or month_budget is not None) and html is None:
        option = "--month-budget" if title is None else "--title"
        raise typer.BadParameter("it is for the page. Add --html FILE.", param_hint=option)
    with closing(_tracker(config, ledger)) as tracker:
        with waiting("Reading the ledger ..."):
            report = tracker.get_usage_report(*limits, **only)
            _note_what_is_unknown(report, tracker, limits, only)
        if html:
            report.to_html(html, title=title, budget=month_budget or _month_budget(config, ledger, only))
            say(f"Wrote {html}.")
        else:
            _PRINTERS[form](report, kinds)


def _budgets(config: Optional[Path], ledger: Optional[Path], tag: Optional[List[str]], form: Format) -> None:
    if ledger:
        raise typer.BadParameter("budgets are those of the configuration. Leave --ledger out.")
    with closing(_tracker(config, None)) as tracker:
        if _is_missing(tracker):  # a report says so itself
            note(f"There is no ledger {tracker.log_path} yet. The first call creates it.", style="yellow")
        print_budgets(tracker, wanted_tags(tag) if tag else None, form.value)


def _kinds(by: List[str]) -> List[str]:
    try:
        by_kinds(by)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--by") from None
    return by


def _period(
    since: Optional[str], until: Optional[str], this_month: bool, which: Optional[str], last_month: bool
) -> Period:
    if which and not this_month:
        raise typer.BadParameter(f"{which} stands alone. Put --month before it.", param_hint="MONTH")
    this = (which or f"{date.today():%Y-%m}") if this_month else None
    return chosen_period(since, until, this, last_month=last_month)


def _tracker(config: Optional[Path], ledger: Optional[Path]) -> CostTracker:
    if ledger:
        if not ledger.exists():
            raise ConfigurationError(f"There is no ledger {ledger}. Pass the file set as log_path.")
        return CostTracker(log_path=ledger)
    tracker = configured_tracker(load_without_keys(config).cost_tracking)
    if tracker.ledger_name is None:
        raise ConfigurationError(
            "The configuration has no ledger. Set cost_tracking.log_path or database_url, or pass a file "
            "with --ledger."
        )
    return tracker


def _is_missing(tracker: CostTracker) -> bool:
    return tracker.log_path is not None and not tracker.log_path.exists()


def _month_budget(
    config: Optional[Path], ledger: Optional[Path], only: Dict[str, Any]
) -> Optional[BudgetStatus]:
    """The configured budget for a month of the calls that are shown, and of no others."""
    if ledger or only["model"] or only["provider"]:
        return None  # a ledger that was named may be of another configuration
    settings = load_without_keys(config).cost_tracking
    url = settings.database_url.get_secret_value() if settings.database_url else None
    return month_budget_of(make_limits(settings.budget.model_dump(), url), only["tags"])


def _note_what_is_unknown(
    report: UsageReport, tracker: CostTracker, limits: Period, only: Dict[str, Any]
) -> None:
    """Where nothing was found, say which condition no call of the period fulfils: it may be misspelt."""
    if report.total_requests or not any(only.values()) or _is_missing(tracker):
        return
    whole = tracker.get_usage_report(*limits)
    wanted = [("model", only["model"], whole.by_model), ("provider", only["provider"], whole.by_provider)]
    wanted += [("tag", f"{name}={value}", whole.by_tag) for name, value in only["tags"].items() if value]
    for kind, name, known in wanted:
        if name is not None and name not in known:
            note(
                f"No call of this period has the {kind} {name!r}. {did_you_mean(name, known)}", style="yellow"
            )
