"""The events of a stream: pieces of text, reasoning and tool calls, and the marks between answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence, Union

from llm_orchestrator.types.messages import Message
from llm_orchestrator.types.response import LLMResponse
from llm_orchestrator.utils.values import Value

__all__ = [
    "AnswerEvent",
    "OutputRejected",
    "ReasoningDelta",
    "StreamEvent",
    "TextDelta",
    "ToolCallDelta",
    "ToolResults",
]


@dataclass(frozen=True, eq=False, repr=False)
class TextDelta(Value):
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True, eq=False, repr=False)
class ReasoningDelta(Value):
    """A piece of the model's visible reasoning."""

    text: str


@dataclass(frozen=True, eq=False, repr=False)
class ToolCallDelta(Value):
    """A piece of one tool call; pieces of several calls may interleave.

    Attributes:
        index: Which call of the answer the piece belongs to, counted from 0.
        id: The call's id, with its first piece.
        name: The tool's name, with its first piece; a host that sends it in pieces, in the first ones.
        arguments: A fragment of the arguments' JSON text.
    """

    index: int
    id: Optional[str] = None
    name: Optional[str] = None
    arguments: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class OutputRejected(Value):
    """The mark that the answer so far does not fit ``response_format``: with ``reask``, another one follows.

    Attributes:
        reason: What is wrong with which field, as the model was told.
        response: The answer that does not fit; it was paid for.
    """

    reason: str
    response: LLMResponse


@dataclass(frozen=True, eq=False, repr=False)
class ToolResults(Value):
    """The mark that a turn of ``run_stream`` called tools, which have run: the next turn follows.

    Attributes:
        response: The answer that called them.
        results: The tool messages that were sent back, in the order of the calls.
    """

    response: LLMResponse
    results: Sequence[Message]


#: What comes from a provider.
StreamEvent = Union[TextDelta, ReasoningDelta, ToolCallDelta]
#: What an application reads.
AnswerEvent = Union[StreamEvent, OutputRejected, ToolResults]
