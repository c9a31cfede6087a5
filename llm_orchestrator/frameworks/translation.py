"""How errors of the library become those of a framework; each framework has a table of its own."""

from __future__ import annotations

from types import TracebackType
from typing import Callable, Optional, Sequence, Tuple, Type, TypeVar

from llm_orchestrator.exceptions import AllFallbacksFailedError, OrchestratorError

__all__ = ["Translating", "counterpart", "kind_of"]

Theirs = TypeVar("Theirs")


class Translating:
    """Raise what the library raises in a framework's shape, with the library's own error as its cause.

    Not a generator: one would keep the frames of a dropped stream alive on Python 3.9.

    Args:
        translate: Makes the framework's error.
    """

    def __init__(self, translate: Callable[[OrchestratorError], BaseException]) -> None:
        self._translate = translate

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if isinstance(error, OrchestratorError):
            raise self._translate(error) from error


def kind_of(error: OrchestratorError) -> OrchestratorError:
    """The error whose class says what happened: where every model failed, the first failure."""
    first = error.__cause__ if isinstance(error, AllFallbacksFailedError) else None
    return first if isinstance(first, OrchestratorError) else error


def counterpart(
    error: OrchestratorError, table: Sequence[Tuple[Type[OrchestratorError], Theirs]]
) -> Optional[Theirs]:
    """What stands beside the first class of the table that fits."""
    return next((theirs for known, theirs in table if isinstance(error, known)), None)
