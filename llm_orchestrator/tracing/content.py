"""Prompts, answers and tools in the form of the conventions: JSON strings of messages made of parts."""

from __future__ import annotations

import json
from typing import Any, Dict, List

from llm_orchestrator.hooks import CallEvent, ToolEvent
from llm_orchestrator.tracing.attributes import answer_of
from llm_orchestrator.types import JSON, EmbeddingRequest, LLMResponse, Message, ToolCall, parts_of

__all__ = ["content_attributes", "tool_content"]


def content_attributes(event: CallEvent) -> Dict[str, str]:
    """The attributes with the messages, the tools and the answer of a call."""
    attributes = {}
    if event.request is not None:
        attributes["gen_ai.input.messages"] = _text([_input(message) for message in event.request.messages])
        if event.request.tools:
            attributes["gen_ai.tool.definitions"] = _text(event.request.tools)
    answer = answer_of(event)
    if answer is not None and not isinstance(event.request, EmbeddingRequest):  # vectors are not shown
        attributes["gen_ai.output.messages"] = _text([_output(answer)])
    return attributes


def tool_content(event: ToolEvent) -> Dict[str, str]:
    """The attributes with the arguments and the result of a tool."""
    attributes = {"gen_ai.tool.call.arguments": _exportable(event.tool_call.arguments_text())}
    if event.result is not None:
        attributes["gen_ai.tool.call.result"] = _text(event.result.text)
    return attributes


def _input(message: Message) -> JSON:
    if message.role == "tool":
        result = {"type": "tool_call_response", "id": message.tool_call_id, "response": message.text}
        return {"role": message.role, "parts": [result]}
    parts = [_part(part) for part in parts_of(message, 0)]
    return {"role": message.role, "parts": parts + [_call(call) for call in message.tool_calls]}


def _output(answer: LLMResponse) -> JSON:
    parts: List[JSON] = [{"type": "reasoning", "content": answer.reasoning}] if answer.reasoning else []
    text = answer.content or answer.refusal
    parts += [{"type": "text", "content": text}] if text else []
    parts += [_call(call) for call in answer.tool_calls]
    return {"role": "assistant", "parts": parts, "finish_reason": answer.finish_reason.value}


def _part(part: JSON) -> JSON:
    """A part of a message; of images and files only the type, because they may have megabytes."""
    if part.get("type") == "text":
        return {"type": "text", "content": part.get("text")}
    return {"type": part.get("type")}


def _call(call: ToolCall) -> JSON:
    arguments = call.raw_arguments if call.arguments is None else call.arguments
    return {"type": "tool_call", "id": call.id, "name": call.name, "arguments": arguments}


def _text(value: Any) -> str:
    return _exportable(json.dumps(value, ensure_ascii=False, default=str))


def _exportable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate cannot be exported
