"""How the commands show results, notes and errors, in a terminal and in a pipe.

Results go to standard output, everything else to standard error. A pipe gets plain text, neither coloured nor
cut; rich honours NO_COLOR. Text from outside is shown without control characters, which could take over the
terminal.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, nullcontext
from typing import Any, ContextManager, Iterator, NoReturn, Sequence

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_orchestrator.exceptions import (
    ConfigurationError,
    InvalidMessagesError,
    OrchestratorError,
    ProviderSwitchError,
)
from llm_orchestrator.utils.text import harmless, one_line

__all__ = [
    "FAILED",
    "PIPE_CLOSED",
    "WRONG",
    "clean",
    "fail",
    "finish",
    "guarded",
    "note",
    "output",
    "pieces",
    "say",
    "show_table",
    "unwritable",
    "waiting",
]

#: Exit codes: a call or a check failed; the command or the configuration is wrong; Ctrl-C; a closed pipe.
FAILED, WRONG, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141
#: Exit code where the output cannot be written, as sysexits.h has it: a full disk, a device that is gone.
UNWRITABLE = 74

#: Width of the output in a pipe, where nothing is cut.
UNLIMITED = 10_000
#: Width below which a table is shown as a list.
NARROW = 60


class _Console(Console):
    """Lets ``guarded`` handle a closed pipe."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def _console(*, stderr: bool = False) -> Console:
    console = _Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = UNLIMITED
    return console


def output() -> Console:
    """A console for results."""
    return _console()


def clean(text: str) -> str:
    """Show as an escape what a terminal would obey or hide: control characters, and those that turn text."""
    return harmless(text)


class _Pieces:
    """The answer on the screen while it arrives, which may end in the middle of a line."""

    def __init__(self) -> None:
        self._is_open = False

    def write(self, text: str) -> None:
        """Show a piece of an answer."""
        if not text:
            return
        sys.stdout.write(clean(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()
        self._is_open = not text.endswith("\n")

    def end(self) -> None:
        """End an unfinished line."""
        if self._is_open:
            self._is_open = False
            print(flush=True)


pieces = _Pieces()


def say(text: str, style: str = "") -> None:
    """Show a line of the result."""
    output().print(Text(clean(text), style=style), soft_wrap=False)


def note(text: str, style: str = "dim") -> None:
    """Show a line about the result, on standard error."""
    if _same_place():
        pieces.end()
    _console(stderr=True).print(Text(clean(text), style=style))


def _same_place() -> bool:
    """Whether both outputs end up in one place: a terminal, or one pipe."""
    try:
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):  # one of them is closed, or is not a file
        return False


def fail(text: str, code: int) -> NoReturn:
    """Show an error and end the command."""
    note(f"Error: {text}", style="red")
    raise typer.Exit(code)


def waiting(text: str) -> ContextManager[Any]:
    """Show in a terminal that something is in progress."""
    console = _console(stderr=True)
    return console.status(text) if console.is_terminal else nullcontext()


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> None:
    """Show rows as a table, or in a narrow terminal as a list."""
    console = output()
    shown = [[one_line(cell) for cell in row] for row in rows]
    if console.width < NARROW:
        _show_list(console, columns, shown)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in shown:
        table.add_row(*row)
    with console.capture() as captured:
        console.print(table)
    # rich pads the last column with spaces, which do not belong in a pipe.
    console.file.write("".join(line.rstrip() + "\n" for line in captured.get().splitlines()))
    console.file.flush()


def _show_list(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for name, *cells in rows:
        console.print(Text(name, style="bold", overflow="fold"))
        for column, cell in zip(columns[1:], cells):
            if cell:
                console.print(Text(f"  {column}: {cell}", overflow="fold"))


def finish(code: int) -> int:
    """Flush the output; returns the exit code."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return PIPE_CLOSED
    except OSError as error:
        return unwritable(error)
    return code


def _discard_output() -> None:
    """Send the rest nowhere: Python flushes once more at exit, and would report the error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def unwritable(error: OSError) -> int:
    """Say that the output cannot be written; returns the exit code."""
    _discard_output()
    reason = error.strerror or type(error).__name__
    note(f"Error: standard output cannot be written: {reason}. Make room, or write elsewhere.", style="red")
    return UNWRITABLE


@contextmanager
def guarded() -> Iterator[None]:
    """Turn errors, closed pipes and Ctrl-C into a message and an exit code."""
    try:
        yield
    except OrchestratorError as error:
        is_wrong = isinstance(error, (ConfigurationError, InvalidMessagesError, ProviderSwitchError))
        fail(str(error), WRONG if is_wrong else FAILED)
    except BrokenPipeError:
        raise typer.Exit(PIPE_CLOSED) from None
    except OSError as error:  # commands turn those of their own files into errors of the library
        raise typer.Exit(unwritable(error)) from None
    except KeyboardInterrupt:
        note("Stopped.")
        raise typer.Exit(INTERRUPTED) from None
