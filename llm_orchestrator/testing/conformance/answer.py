"""``Answer``: what the provider's server is to send, independent of a protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

from llm_orchestrator.types import ToolCall
from llm_orchestrator.utils.values import Value

__all__ = ["KEY", "Answer"]

#: The key of the provider under test.
KEY = "secret-0123456789-abcdef"


@dataclass(frozen=True, eq=False, repr=False)
class Answer(Value):
    """What the provider's server is to send, independent of a protocol.

    Attributes:
        pieces: The text, in the pieces of a stream.
        finish: Why the answer ends: a value of ``FinishReason``, or an unknown word.
        prompt_tokens: What the model read; None when the server does not report it.
        completion_tokens: What the model wrote; None when the server does not report it.
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
