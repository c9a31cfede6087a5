"""What a page sums up of the calls of a report, row by row or from the sums of a database."""

from __future__ import annotations

from typing import Iterable, NamedTuple, Sequence

from llm_orchestrator.usage.page.cube import Cube
from llm_orchestrator.usage.page.figures import Figures

__all__ = ["PageSums"]


class PageSums(NamedTuple):
    """The sums of a page.

    Attributes:
        cube: Who spent what, and when.
        figures: How requests went, by model.
        days: The local days on which there are calls.
    """

    cube: Cube
    figures: Figures
    days: Sequence[str]

    def add_all(self, rows: Iterable[Sequence[str]]) -> None:
        """Add rows one by one, the last ones."""
        for row in rows:
            self.cube.add(row)
            self.figures.add(row)
        self.cube.finish()
