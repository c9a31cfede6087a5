"""The page behind ``UsageReport.to_html``: what was used and spent, to look at; needs the extra ``report``.

``figures`` sums up rows one by one, ``charts`` draws the sums with plotly, ``page`` puts charts and tables
into one HTML file that loads nothing from anywhere.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Iterable, Sequence, Union

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.atomic_file import atomic_file

if TYPE_CHECKING:
    from llm_orchestrator.usage.report import UsageReport

__all__ = ["make_page", "write_page"]


def make_page(report: UsageReport, rows: Iterable[Sequence[str]]) -> str:
    """Make the page of a report."""
    try:
        import plotly  # noqa: F401  # so that nothing else that is missing is taken for it
    except ImportError as error:
        raise ConfigurationError(
            'The page needs a plotting library. Run: pip install "llm-orchestrator[report]".'
        ) from error
    from llm_orchestrator.usage.page.figures import Figures
    from llm_orchestrator.usage.page.page import render

    return render(report, Figures.of(rows))


def write_page(page: str, path: Union[str, os.PathLike[str]]) -> None:
    """Write a page to a file, which appears only when it is complete."""
    target = Path(path).expanduser()
    try:
        with atomic_file(target) as file:
            file.write(page.encode())
    except OSError as error:
        raise ConfigurationError(
            f"The page {target} cannot be written: {error.strerror}. Choose another path."
        ) from error
