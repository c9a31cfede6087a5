"""What a scenario has the provider's server say, in the words of no protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

from llm_orchestrator.types import ToolCall

__all__ = ["KEY", "Answer"]

#: The key that providers are made with.
KEY = "secret-0123456789-abcdef"


@dataclass(frozen=True)
class Answer:
    """What the provider's server is to say, in the words of no protocol.

    Attributes:
        pieces: The text, as a stream delivers it.
        finish: Why the answer ends: a value of ``FinishReason``, or a word that nobody knows.
        prompt_tokens: What the model read; None when the server does not tell.
        completion_tokens: What the model wrote; None when the server does not tell.
        tool_calls: Tool calls, after the text.
        model: The model that answers.
    """

    pieces: Tuple[str, ...] = ("Hello", " from", " the", " server.")
    finish: str = "stop"
    prompt_tokens: Optional[int] = 12
    completion_tokens: Optional[int] = 5
    tool_calls: Tuple[ToolCall, ...] = ()
    model: str = "conformance-model"

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)
