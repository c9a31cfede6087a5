"""The sums over a group of calls."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Iterator, Mapping, Optional

from llm_orchestrator.utils.money import known_cost

__all__ = ["Readable", "UsageTotals"]


class Readable(Mapping[str, Any]):
    """Lets the fields of a dataclass be read as a mapping too."""

    def __getitem__(self, key: str) -> Any:
        return self.__dict__[key]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.__dict__ if name[0] != "_")

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True, eq=False)
class UsageTotals(Readable):
    """Sums over some calls; readable by attribute and as a mapping.

    Attributes:
        requests: Number of calls, however many attempts each took.
        tokens: Prompt and completion tokens, as far as reported.
        cost: US dollars for the usage that providers reported.
        estimated_cost: US dollars for the usage that had to be estimated; not part of ``cost``.
        unpriced_requests: Number of calls whose cost, or a part of it, is unknown.
        estimated_requests: Number of calls that ``estimated_cost`` is for.
    """

    requests: int
    tokens: int
    cost: Decimal
    estimated_cost: Decimal
    unpriced_requests: int
    estimated_requests: int = 0

    @property
    def known_cost(self) -> Optional[Decimal]:
        """``cost``, or None where no call has a known price: unknown is not zero."""
        return known_cost(self.cost, self.requests, self.unpriced_requests)
