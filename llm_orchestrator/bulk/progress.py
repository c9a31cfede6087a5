"""Progress of a run: a bar on standard error, or a function of the application."""

from __future__ import annotations

import time
from typing import Any, Callable, Optional, Tuple, Union

from llm_orchestrator.bulk.results import BulkProgress
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.money import format_sum

__all__ = ["Bar", "listener_of", "progress_line"]

#: Seconds between two looks of the bar.
REFRESH = 0.1


def listener_of(
    progress: Union[bool, Callable[[BulkProgress], None], None],
) -> Tuple[Optional[Callable[[BulkProgress], None]], Optional[Bar]]:
    """Find the function to tell, and the bar behind it where there is one."""
    if progress is True:
        bar = Bar()
        return bar.show, bar
    return (progress if callable(progress) else None), None


class Bar:
    """A bar on standard error; in a pipe nothing is shown.

    Raises:
        ConfigurationError: rich is not installed.
    """

    def __init__(self) -> None:
        try:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn
        except ImportError as error:
            raise ConfigurationError(
                'progress=True needs rich. Run: pip install "llm-orchestrator[cli]", or pass a function.'
            ) from error
        console = Console(stderr=True)
        columns = BarColumn(bar_width=20), TextColumn("{task.description}", markup=False)
        self._bar: Any = Progress(
            *columns, console=console, auto_refresh=False, disable=not console.is_terminal
        )
        self._task: Any = None
        self._shown_at = 0.0

    def show(self, progress: BulkProgress) -> None:
        """Show how far the run is."""
        now = time.monotonic()
        is_last = progress.total == progress.summary.rows
        if now - self._shown_at < REFRESH and not is_last and progress.note is None:
            return
        self._shown_at = now
        if self._task is None:
            self._bar.start()
            self._task = self._bar.add_task("", total=progress.total)
        self._bar.update(
            self._task,
            description=progress_line(progress),
            completed=progress.summary.rows,
            total=progress.total,
            refresh=True,
        )

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._task is not None:
            self._bar.stop()
            self._task = None


def progress_line(progress: BulkProgress) -> str:
    """One line: rows, failures, speed, cost, time left."""
    summary = progress.summary
    rows = f"{summary.rows:,}" + (f" of {progress.total:,}" if progress.total is not None else "")
    parts = [f"{rows} rows", f"{summary.failed:,} failed", f"{progress.rows_per_second:,.1f} a second"]
    parts.append(format_sum(summary.cost, summary.unpriced))
    if progress.note is not None:
        parts.append(progress.note)
    left = progress.seconds_left
    if left is not None:
        minutes, seconds = divmod(int(left), 60)
        parts.append(f"{minutes:d}:{seconds:02d} left")
    return ", ".join(parts)
