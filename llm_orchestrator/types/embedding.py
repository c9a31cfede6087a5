"""What ``embed`` returns: a vector for each text."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, List, Optional, Tuple

from llm_orchestrator.types.cost import CostDetails
from llm_orchestrator.types.response import MISSING_USAGE, Attempt, TokenUsage
from llm_orchestrator.utils.money import format_cost
from llm_orchestrator.utils.values import Value

__all__ = ["EmbeddingResponse"]


@dataclass(frozen=True, eq=False, repr=False)
class EmbeddingResponse(Value):
    """The vectors of a call of ``embed``.

    Attributes:
        vectors: A vector for each text, in the order of the texts; all have the same length.
        model: Model that served them, as the provider names it.
        provider: Name of the configured provider entry.
        requested_model: Model that was asked for.
        usage: How many tokens were read, in all requests together.
        cost: Price in US dollars; None when it is not known.
        cost_details: How the cost was computed.
        session_id: The session the call belongs to.
        attempts: Every request sent for these vectors, in order, failed ones too.
        latency: Seconds from the call to the last vector.
        warnings: Where the library deviated from what was asked, one sentence each.
    """

    vectors: List[List[float]] = field(repr=False)
    model: str
    provider: str
    requested_model: Optional[str] = None
    usage: TokenUsage = MISSING_USAGE
    cost: Optional[Decimal] = None
    cost_details: Optional[CostDetails] = field(default=None, repr=False)
    session_id: Optional[str] = None
    attempts: Tuple[Attempt, ...] = ()
    latency: Optional[float] = None
    warnings: Tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say how many vectors there are, of which length, and what they cost."""
        length = len(self.vectors[0]) if self.vectors else 0
        total = "unknown" if self.usage.total_tokens is None else self.usage.total_tokens
        shape = f"{len(self.vectors)} vectors of {length} numbers"
        return f"{shape} ({self.provider}/{self.model}, {total} tokens, {format_cost(self.cost)})"[:200]

    def as_array(self, dtype: Any = "float32") -> Any:
        """Return the vectors as one numpy array; numpy must be installed.

        Args:
            dtype: The type of its numbers, as numpy knows it. No provider computes more than ``float32``.

        Returns:
            A ``numpy.ndarray`` with a row for each text.

        Raises:
            ConfigurationError: numpy is not installed.
        """
        from importlib import import_module

        from llm_orchestrator.exceptions import ConfigurationError  # which imports this package

        try:
            numpy = import_module("numpy")
        except ImportError as error:
            raise ConfigurationError(
                f"as_array needs numpy, which cannot be imported ({error}). "
                "Run: pip install numpy, or use vectors."
            ) from error
        return numpy.asarray(self.vectors, dtype=dtype)
