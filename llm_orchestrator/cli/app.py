"""Puts the commands together, and runs them with one rule for errors, Ctrl-C, closed pipes and logs."""

# No postponed annotations: on Python 3.9 typer finds no options in them.
import logging
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from llm_orchestrator import __version__
from llm_orchestrator.cli import asking, chatting, checking, costs, models, price, starting
from llm_orchestrator.cli.terminal import PIPE_CLOSED, finish, guarded, note

__all__ = ["app", "run"]

HELP = """Talk to large language models, and see what it costs.

Begin with `llm-orchestrator init openai`, then `check`, then `ask "Hello"`.
"""


class _Guarded(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        with guarded():
            try:
                return super().invoke(ctx)
            except typer.BadParameter as error:
                error.message = error.message.removeprefix("Value error, ")  # pydantic's word, inside typer
                raise


# A traceback with local variables could show a key.
app = typer.Typer(
    name="llm-orchestrator",
    cls=_Guarded,
    help=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("init")(starting.init)
app.command("check")(checking.check)
app.command("models")(models.models)
app.command("ask")(asking.ask)
app.command("chat")(chatting.chat)
app.command("costs")(costs.costs)
app.command("price")(price.price)


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
        bool, typer.Option("--verbose", "-v", help="Tell what is going on, with every attempt.")
    ] = False,
) -> None:
    _show_logs(logging.DEBUG if verbose else logging.WARNING)


class _Notes(logging.Handler):
    """Shows log records of the library on standard error, but not an error that ends the command anyway."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "llm_orchestrator.calls.record" or record.levelno < logging.ERROR:
            note(record.getMessage(), style="yellow" if record.levelno >= logging.WARNING else "dim")


def _show_logs(level: int) -> None:
    logger = logging.getLogger("llm_orchestrator")
    logger.handlers = [_Notes()]
    logger.propagate = False
    logger.setLevel(level)


def run() -> int:
    """Run the command that the command line names."""
    if sys.stdout is None:  # closed by whoever started the program
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # for as long as the program runs
    if hasattr(sys.stdout, "reconfigure"):  # an answer may hold what the terminal's encoding has no bytes for
        sys.stdout.reconfigure(errors="replace")
    try:
        app()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.__context__, BrokenPipeError):  # while the help was shown
            code = PIPE_CLOSED
    return finish(code)
