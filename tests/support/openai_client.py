"""``chat.completions.create`` in the four ways as one function: what it told, whole or put together from chunks."""

from __future__ import annotations

from typing import Any, Dict, List

from llm_orchestrator import LLMOrchestrator
from llm_orchestrator.frameworks.openai import ChatCompletion, ChatCompletionChunk
from tests.support.scripted_server import MODEL
from tests.support.ways import run_async

__all__ = ["Told", "create"]


class Told:
    """An answer as a program would keep it.

    Attributes:
        message: The assistant's message as a dict.
        finish_reason: Why the answer ended.
        usage: The usage, or None.
        response: The library's own answer.
        logprobs: How likely each token was, as plain values.
    """

    def __init__(
        self, message: Dict[str, Any], finish_reason: Any, usage: Any, response: Any, logprobs: List[Any]
    ) -> None:
        self.message = message
        self.finish_reason = finish_reason
        self.usage = usage
        self.response = response
        self.logprobs = logprobs


def create(orchestrator: LLMOrchestrator, way: str, messages: Any = "", **arguments: Any) -> Told:
    """Ask in one of the four ways."""
    arguments = {"model": MODEL, "messages": messages or [{"role": "user", "content": "Hi"}], **arguments}
    if "streamed" in way:
        arguments = {"stream": True, "stream_options": {"include_usage": True}, **arguments}
    if way == "whole":
        return _whole(orchestrator.openai.chat.completions.create(**arguments))
    if way == "streamed":
        return _put_together(list(orchestrator.openai.chat.completions.create(**arguments)))
    return run_async(orchestrator, lambda: _acreate(orchestrator, way, arguments))


async def _acreate(orchestrator: LLMOrchestrator, way: str, arguments: Any) -> Told:
    made = await orchestrator.aopenai.chat.completions.create(**arguments)
    return _put_together([chunk async for chunk in made]) if "streamed" in way else _whole(made)


def _whole(completion: ChatCompletion) -> Told:
    (choice,) = completion.choices
    assert completion.object == "chat.completion"
    message = choice.message.model_dump()
    return Told(
        message, choice.finish_reason, completion.usage, completion.llm_response, _logprobs_of(choice)
    )


def _put_together(chunks: List[ChatCompletionChunk]) -> Told:
    """Do what programs do with chunks: join the pieces."""
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    message: Dict[str, Any] = {"content": None, "tool_calls": None}
    *pieces, last = chunks
    assert last.choices == []
    for chunk in pieces:
        (choice,) = chunk.choices
        delta = choice.delta.model_dump(exclude_none=True)
        for piece in delta.pop("tool_calls", []):
            _add_piece(message, piece)
        message["content"] = (message["content"] or "") + delta.pop("content", "") or None
        message.update(delta)
    assert [chunk.choices[0].finish_reason for chunk in pieces[:-1]] == [None] * (len(pieces) - 1)
    logprobs = [token for chunk in pieces for token in _logprobs_of(chunk.choices[0])]
    return Told(message, pieces[-1].choices[0].finish_reason, last.usage, last.llm_response, logprobs)


def _logprobs_of(choice: Any) -> List[Any]:
    return [] if choice.logprobs is None else [token.model_dump() for token in choice.logprobs.content]


def _add_piece(message: Dict[str, Any], piece: Dict[str, Any]) -> None:
    calls: List[Dict[str, Any]] = message["tool_calls"] or []
    message["tool_calls"] = calls
    if piece["index"] == len(calls):
        calls.append({"id": piece["id"], "type": piece["type"], "function": {"name": "", "arguments": ""}})
    for name, text in piece["function"].items():
        calls[piece["index"]]["function"][name] += text
