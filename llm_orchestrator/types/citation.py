"""``Citation``: a source that an answer names for something it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from llm_orchestrator.utils.values import Value

__all__ = ["Citation"]


@dataclass(frozen=True, eq=False, repr=False)
class Citation(Value):
    """A source of an answer, in the same words for every provider; what it did not tell is None.

    Attributes:
        url: Address of the source.
        title: Title of the source, or the name of its file.
        text: What the source says, word for word.
        file_id: The provider's id of the file.
        start: Position in ``content`` where what is said by the source begins, in characters.
        end: Position behind its last character.
        raw: The citation as the provider sent it.
    """

    url: Optional[str] = None
    title: Optional[str] = None
    text: Optional[str] = None
    file_id: Optional[str] = None
    start: Optional[int] = None
    end: Optional[int] = None
    raw: Any = field(default=None, repr=False)
