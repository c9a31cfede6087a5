"""Prompts, answers and tools as the conventions want them in a span: JSON texts of messages made of parts."""

from __future__ import annotations

import json
from typing import Any, Dict, List

from llm_orchestrator.hooks import CallEvent
from llm_orchestrator.tracing.attributes import answer_of
from llm_orchestrator.types import JSON, LLMResponse, Message, ToolCall

__all__ = ["content_attributes"]


def content_attributes(event: CallEvent) -> Dict[str, str]:
    """Write down what was asked and answered."""
    attributes = {}
    if event.request is not None:
        attributes["gen_ai.input.messages"] = _text([_asked(turn) for turn in event.request.messages])
        if event.request.tools:
            attributes["gen_ai.tool.definitions"] = _text(event.request.tools)
    answer = answer_of(event)
    if answer is not None:
        attributes["gen_ai.output.messages"] = _text([_answered(answer)])
    return attributes


def _asked(turn: Message) -> JSON:
    if turn.role == "tool":
        result = {"type": "tool_call_response", "id": turn.tool_call_id, "response": turn.text}
        return {"role": turn.role, "parts": [result]}
    if turn.content is None or isinstance(turn.content, str):
        parts = _texts(turn.content or "")
    else:
        parts = [_part(part) for part in turn.content]
    return {"role": turn.role, "parts": parts + [_call(call) for call in turn.tool_calls]}


def _answered(answer: LLMResponse) -> JSON:
    parts: List[JSON] = [{"type": "reasoning", "content": answer.reasoning}] if answer.reasoning else []
    parts += _texts(answer.content or answer.refusal or "")
    parts += [_call(call) for call in answer.tool_calls]
    return {"role": "assistant", "parts": parts, "finish_reason": answer.finish_reason.value}


def _texts(text: str) -> List[JSON]:
    return [{"type": "text", "content": text}] if text else []


def _part(part: JSON) -> JSON:
    """A part of a message; of images and files only their kind, for a span is no place for megabytes."""
    if part.get("type") == "text":
        return {"type": "text", "content": part.get("text")}
    return {"type": part.get("type")}


def _call(call: ToolCall) -> JSON:
    arguments = call.raw_arguments if call.arguments is None else call.arguments
    return {"type": "tool_call", "id": call.id, "name": call.name, "arguments": arguments}


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace").decode("utf-8")  # half a character would not travel
