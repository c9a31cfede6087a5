"""``FakeReply``: one answer of a ``FakeProvider``, where a string does not say enough."""

from __future__ import annotations

import json
import re
from collections import abc
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, List, Mapping, Optional, Sequence, Tuple, Union, cast

from llm_orchestrator.types import (
    FinishReason,
    LLMRequest,
    TokenLogprob,
    TokenUsage,
    ToolCall,
    parse_arguments,
)
from llm_orchestrator.utils.values import Value

__all__ = ["FakeCall", "FakeReply", "as_asked", "is_object"]

#: A tool call as a script may write it.
FakeCall = Union[ToolCall, Tuple[str, Any], Mapping[str, Any]]
#: The key of an answer whose schema is not an object's: providers take no other at the root.
_WRAPPED = "value"


@dataclass(frozen=True, eq=False, repr=False)
class FakeReply(Value):
    """One answer of a FakeProvider.

    Attributes:
        text: The answer's text; the joined chunks when left out. A pydantic object, a dataclass, a dict or a
            list becomes JSON, as a model writes it where a call has a ``response_format``.
        chunks: The pieces of text of a stream; the words of the text when left out.
        tool_calls: Tool calls of the answer: ``ToolCall`` objects, ``(name, arguments)``, or dicts with
            ``name``, ``arguments`` and perhaps ``id``, or in the OpenAI Chat form. Arguments are a dict, a
            pydantic object, or text, which need not be JSON.
        reasoning: The reasoning text.
        refusal: Why the answer was refused.
        finish_reason: Why the model stopped, a ``FinishReason`` or its word such as ``"length"``; by default
            ``tool_calls`` with tool calls, else ``stop``.
        usage: Tokens; by default the number of words.
        error: Raised instead of an answer, or by a stream after its chunks.
        delay: Seconds to wait before the answer, and before each further chunk of a stream.
        vectors: For ``embed``: a vector for each text of the request. An entry of the script with vectors
            answers no other request.
        logprobs: How likely each token of the text was, ``TokenLogprob`` objects; given to the calls that ask
            for ``logprobs``.

    Raises:
        TypeError: ``text`` or the arguments of a tool call cannot be written as JSON, ``tool_calls`` has
            something else than tool calls, or there is no such ``finish_reason``.
    """

    text: Any = None
    chunks: Optional[Sequence[str]] = None
    tool_calls: Sequence[FakeCall] = ()
    reasoning: Optional[str] = None
    refusal: Optional[str] = None
    finish_reason: Union[FinishReason, str, None] = None
    usage: Optional[TokenUsage] = None
    error: Optional[Exception] = None
    delay: float = 0.0
    vectors: Optional[Sequence[Sequence[float]]] = None
    logprobs: Sequence[TokenLogprob] = ()

    def __post_init__(self) -> None:
        if isinstance(self.tool_calls, (str, abc.Mapping)) or not isinstance(self.tool_calls, abc.Sequence):
            raise _not_a_call(self.tool_calls)
        calls = [_tool_call(call, number) for number, call in enumerate(self.tool_calls, start=1)]
        object.__setattr__(self, "tool_calls", tuple(calls))  # the class is frozen
        if self.finish_reason is not None:
            object.__setattr__(self, "finish_reason", _finish_reason(self.finish_reason))
        _text_of(self.text)  # says now that it is not JSON

    @property
    def calls(self) -> Sequence[ToolCall]:
        """The tool calls in the form of an answer's."""
        return cast("Sequence[ToolCall]", self.tool_calls)

    @property
    def pieces(self) -> List[str]:
        """The pieces of text of a stream."""
        if self.chunks is not None:
            return list(self.chunks)
        return re.findall(r"\s*\S+|\s+$", _text_of(self.text))


def is_object(value: object) -> bool:
    """Whether a value of a script is an object that an answer holds as JSON."""
    if isinstance(value, type):
        return False
    return isinstance(value, abc.Mapping) or hasattr(value, "model_dump_json") or is_dataclass(value)


def as_asked(reply: FakeReply, request: LLMRequest) -> FakeReply:
    """The reply as a model would give it: an object as text, and nothing that was not asked for."""
    if reply.logprobs and not request.logprobs:
        reply = replace(reply, logprobs=())
    if reply.text is None or isinstance(reply.text, str):
        return reply
    text = _text_of(reply.text)
    return replace(reply, text=f'{{"{_WRAPPED}": {text}}}' if _is_wrapped(text, request) else text)


def _is_wrapped(text: str, request: LLMRequest) -> bool:
    """Whether the schema wants the value under a key, which it does not have yet."""
    asked = (request.response_format or {}).get("json_schema") or {}
    if list(asked.get("schema", {}).get("properties", ())) != [_WRAPPED]:
        return False
    value = json.loads(text)
    return not isinstance(value, dict) or list(value) != [_WRAPPED]


def _text_of(value: Any) -> str:
    """A text as it is; anything else as JSON, by the names that a pydantic class has in its schema."""
    if value is None or isinstance(value, str):
        return value or ""
    from pydantic_core import PydanticSerializationError, to_json  # not needed by a script of texts

    try:
        return json.dumps(json.loads(to_json(value, by_alias=True)), ensure_ascii=False)
    except (PydanticSerializationError, ValueError) as error:
        raise TypeError(
            f"{value!r} cannot be written as JSON: {error}. Pass text, JSON values or pydantic objects."
        ) from None


def _finish_reason(given: Union[FinishReason, str]) -> FinishReason:
    words = [reason.value for reason in FinishReason]
    if given not in words:
        raise TypeError(f"finish_reason is {given!r}. Use one of {', '.join(words)}.")
    return FinishReason(given)


def _tool_call(call: FakeCall, number: int) -> ToolCall:
    if isinstance(call, ToolCall):
        return call
    written: Any = call
    if isinstance(written, tuple) and len(written) == 2:
        written = {"name": written[0], "arguments": written[1]}
    function = written.get("function", written) if isinstance(written, abc.Mapping) else None
    if not isinstance(function, abc.Mapping) or not isinstance(function.get("name"), str):
        raise _not_a_call(call)
    name, identifier = function["name"], written.get("id")
    raw = _text_of(function.get("arguments", {}))
    return ToolCall(identifier or f"call_{number}", name, parse_arguments(raw), raw)


def _not_a_call(given: Any) -> TypeError:
    return TypeError(
        f"{given!r} in tool_calls is not a tool call. Pass a list of ToolCall objects, of (name, arguments), "
        'or of dicts: {"name": ..., "arguments": {...}}.'
    )
