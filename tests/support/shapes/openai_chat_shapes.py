"""Builders of OpenAI's Chat JSON: replies, and the events of a stream."""

from __future__ import annotations

from typing import Any, Optional

from tests.support.shapes.openai_shapes import Json

USAGE: Json = {
    "prompt_tokens": 12,
    "completion_tokens": 5,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
IMAGE: Json = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
FILE: Json = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}


def completion(finish: Any = "stop", usage: Any = USAGE, **message: Any) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "served-1",
        "choices": [choice],
        "usage": usage,
    }


def chunk(finish: Optional[str] = None, **delta: Any) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "served-1"}
    return {**head, "choices": [choice]}


USAGE_CHUNK: Json = {**chunk(), "choices": [], "usage": USAGE}


def wire_call(identifier: Optional[str], name: str, arguments: Any, **more: Any) -> Json:
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


WIRE_CALLS = [wire_call("call_1", "weather", '{"city": "Bern"}'), wire_call("call_2", "time", "{}")]


SIGNED = {"extra_content": {"google": {"thought_signature": "c2ln+/=="}}}
