"""Puts the commands together, and handles errors, Ctrl-C, closed pipes and logs for all of them."""

# No postponed annotations: on Python 3.9 typer finds no options in them.
import logging
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from llm_orchestrator import __version__
from llm_orchestrator.cli.ask import ask
from llm_orchestrator.cli.chat import chat
from llm_orchestrator.cli.check import check
from llm_orchestrator.cli.costs import costs
from llm_orchestrator.cli.init import init
from llm_orchestrator.cli.journal import journal
from llm_orchestrator.cli.ledger import ledger
from llm_orchestrator.cli.map import map_rows
from llm_orchestrator.cli.models import models
from llm_orchestrator.cli.price import price
from llm_orchestrator.cli.terminal import PIPE_CLOSED, finish, guarded, note, unwritable

__all__ = ["app", "run"]

HELP = """Talk to large language models, and see what it costs.

Start with `llm-orchestrator init openai`, then `check`, then `ask "Hello"`.
"""


class _Guarded(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        with guarded():
            try:
                return super().invoke(ctx)
            except typer.BadParameter as error:
                error.message = error.message.removeprefix("Value error, ")  # which pydantic adds
                raise


# Typer's tracebacks show local variables, which may hold a key.
app = typer.Typer(
    name="llm-orchestrator",
    cls=_Guarded,
    help=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (init, check, models, ask, chat, costs, price):
    app.command()(command)
app.command("map")(map_rows)
app.add_typer(journal, name="journal")
app.add_typer(ledger, name="ledger")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"llm-orchestrator {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log every attempt on standard error.")
    ] = False,
) -> None:
    _show_logs(logging.DEBUG if verbose else logging.WARNING)


class _Notes(logging.Handler):
    """Shows the library's log records on standard error, except an error that the command reports anyway."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "llm_orchestrator.calls.reporter" or record.levelno < logging.ERROR:
            note(record.getMessage(), style="yellow" if record.levelno >= logging.WARNING else "dim")


def _show_logs(level: int) -> None:
    logger = logging.getLogger("llm_orchestrator")
    logger.handlers = [_Notes()]
    logger.propagate = False
    logger.setLevel(level)


def run() -> int:
    """Run the command line; returns its exit code."""
    if sys.stdout is None:  # the parent process closed it
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # for as long as the program runs
    if hasattr(sys.stdout, "reconfigure"):  # for characters that the terminal's encoding lacks
        sys.stdout.reconfigure(errors="replace")
    try:
        app()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.__context__, BrokenPipeError):  # while showing the help
            code = PIPE_CLOSED
    except OSError as error:  # while showing the help
        code = unwritable(error)
    return finish(code)
