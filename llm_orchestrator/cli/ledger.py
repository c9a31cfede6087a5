"""The commands ``ledger upgrade``, ``import``, ``export``, ``status`` and ``prune``, for a database."""

# No postponed annotations: on Python 3.9 typer finds no options in them.
from contextlib import closing, contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Iterator, List, Optional

import typer

from llm_orchestrator.calls.tracker import configured_tracker
from llm_orchestrator.cli.periods import chosen_period
from llm_orchestrator.cli.settings import ConfigOption, load_without_keys
from llm_orchestrator.cli.tags import wanted_tags
from llm_orchestrator.cli.terminal import FAILED, note, say, waiting
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.database import open_database
from llm_orchestrator.usage.record import as_utc
from llm_orchestrator.utils.plural import number_of

if TYPE_CHECKING:
    from llm_orchestrator.usage.database.ledger import DatabaseLedger
    from llm_orchestrator.usage.database.upkeep import Status

__all__ = ["ledger"]

ledger = typer.Typer(no_args_is_help=True, help="Look after the ledger in a database.")

_Csv = Annotated[Path, typer.Argument(metavar="FILE", help="A CSV ledger.", show_default=False)]
_Out = Annotated[
    Path, typer.Argument(metavar="OUT", help="A .csv, .jsonl or .parquet file.", show_default=False)
]
_Since = Annotated[
    Optional[str], typer.Option("--since", metavar="WHEN", help="From this month, day or time on.")
]
_Until = Annotated[
    Optional[str], typer.Option("--until", metavar="WHEN", help="Up to this month, day or time, included.")
]
_LastMonth = Annotated[bool, typer.Option("--last-month", help="Only last month.")]
_Tags = Annotated[
    Optional[List[str]],
    typer.Option(
        "--tag",
        metavar="NAME=VALUE",
        help="Only calls with this tag; `NAME=` for those without it. Repeatable.",
        show_default=False,
    ),
]
_Before = Annotated[
    str, typer.Option("--before", metavar="DATE", help="The first day to keep.", show_default=False)
]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@ledger.command()
def upgrade(config: ConfigOption = None) -> None:
    """Bring the tables of an older version to this one; an empty database gets its tables."""
    with _opened(config) as opened:
        from llm_orchestrator.usage.database.setup import NEWEST
        from llm_orchestrator.usage.database.upgrading import upgrade as upgrade_tables

        before = upgrade_tables(opened.engine)
    say(f"The tables are of version {NEWEST}{'' if before == NEWEST else f'; they were of {before}'}.")


@ledger.command("import")
def import_file(file: _Csv, config: ConfigOption = None) -> None:
    """Bring in a CSV ledger, its rotated files too; a row that was brought in before is not doubled."""
    with _opened(config) as opened:
        from llm_orchestrator.usage.database.importing import import_csv

        with waiting("Bringing it in ..."):
            found = import_csv(opened.writer, file.expanduser())
    say(f"{number_of(found.new, 'row')} brought in; {found.rows - found.new:,} were there already.")
    if found.broken:
        note(f"Left out: {number_of(found.broken, 'broken line')} of {file}.", style="yellow")


@ledger.command()
def export(
    out: _Out,
    config: ConfigOption = None,
    since: _Since = None,
    until: _Until = None,
    last_month: _LastMonth = False,
    tag: _Tags = None,
) -> None:
    """Copy the rows of the ledger to a file, as programs and spreadsheets read it."""
    (start, end), tags = chosen_period(since, until, last_month=last_month), wanted_tags(tag or [])
    tracker = configured_tracker(load_without_keys(config).cost_tracking)
    writers = {
        ".csv": tracker.export_to_csv,
        ".jsonl": tracker.export_to_jsonl,
        ".parquet": tracker.export_to_parquet,
    }
    write = writers.get(out.suffix.lower())
    if write is None:
        raise typer.BadParameter(f"use a name that ends in {', '.join(writers)}", param_hint="OUT")
    if tracker.ledger_name is None:
        raise ConfigurationError("The configuration has no ledger. Set cost_tracking.database_url.")
    with closing(tracker), waiting("Copying ..."):
        count = write(out, start_date=start, end_date=end, tags=tags)
    say(f"Wrote {number_of(count, 'row')} to {out}.")


@ledger.command()
def status(config: ConfigOption = None) -> None:
    """Tell whether the database takes rows, what is in it, and what waits on its way."""
    with _opened(config) as opened:
        from llm_orchestrator.usage.database.upkeep import status_of

        found = status_of(opened)
        if not load_without_keys(config).cost_tracking.budget.is_set:
            found = found._replace(budget_problem=None)  # nobody misses what is not used
        say(f"Ledger: {opened}")
        _say_what_is_stored(found)
        say(f"On the way: {number_of(found.waiting, 'row')}, in {opened.spool.folder}")
        if found.in_use:
            say(f"Of programs that run: {number_of(found.in_use, 'row')}")
        for path in found.refused:
            note(f"Rows that the database refused lie in {path}.", style="yellow")
    if found.problem or found.budget_problem:
        raise typer.Exit(FAILED)


def _say_what_is_stored(found: "Status") -> None:
    if found.problem:
        note(f"It takes no rows: {found.problem}", style="red")
    if found.budget_problem:
        note(f"It takes rows, and keeps no budgets: {found.budget_problem}", style="yellow")
    if found.version is None:
        say("Tables: none yet; the first row makes them." if not found.problem else "Tables: not known")
        return
    say(f"Tables: version {found.version}")
    rows, first, last = found.stored
    span = f", from {_shown(first)} to {_shown(last)}" if first and last else ""
    say(f"Rows: {rows:,}{span}")


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


@ledger.command()
def prune(before: _Before, config: ConfigOption = None, yes: _Yes = False) -> None:
    """Remove what is older than a day; export it first."""
    moment = as_utc(_day(before))
    assert moment is not None, "a day is a moment"
    with _opened(config) as opened:
        from llm_orchestrator.usage.database import upkeep

        count = upkeep.count_before(opened, moment)
        question = f"Remove {number_of(count, 'row')} from before {before} of {opened}? They are gone then."
        if count and not yes and not typer.confirm(question, err=True):
            raise typer.Exit(FAILED)
        removed = upkeep.prune(opened, moment)
    budgets = f", and {number_of(removed.budgets, 'budget')} that ended before" if removed.budgets else ""
    say(f"Removed {number_of(removed.rows, 'row')}{budgets}.")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("write a day as 2026-11-01", param_hint="--before") from None


@contextmanager
def _opened(config: Optional[Path]) -> Iterator["DatabaseLedger"]:
    """The configured database; what only the server knows is told as what is wrong with the configuration."""
    settings = load_without_keys(config).cost_tracking
    if settings.database_url is None:
        raise ConfigurationError(
            "The configuration has no ledger in a database. Set cost_tracking.database_url."
        )
    opened = open_database(settings.database_url.get_secret_value(), settings.spool_path)
    with closing(opened), opened.explained("used"):
        yield opened
