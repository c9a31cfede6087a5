"""Builders of OpenAI's Responses JSON: replies, and the events of a stream."""

from __future__ import annotations

from typing import Any, List, Optional

from tests.support.shapes.openai_shapes import Json

USAGE: Json = {
    "input_tokens": 12,
    "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 2},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 17,
}
HI: Json = {"type": "message", "role": "user", "content": "Hi"}
SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "integer"}}}


def answer(*output: Json, status: str = "completed", **fields: Any) -> Json:
    return {
        "id": "resp_1",
        "object": "response",
        "status": status,
        "error": None,
        "model": "served-1",
        "output": list(output),
        "usage": USAGE,
        **fields,
    }


def said(text: str, number: int = 1, **fields: Any) -> Json:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    head = {"id": f"msg_{number}", "type": "message", "status": "completed", "role": "assistant"}
    return {**head, "content": [part], **fields}


def thought(text: str, encrypted: Optional[str] = "ZW5j+/==", number: int = 1) -> Json:
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {
        "id": f"rs_{number}",
        "type": "reasoning",
        "summary": summary,
        "encrypted_content": encrypted,
    }


def called(identifier: str, name: str, arguments: str) -> Json:
    return {
        "id": f"fc_{identifier}",
        "type": "function_call",
        "status": "completed",
        "call_id": identifier,
        "name": name,
        "arguments": arguments,
    }


def refused(text: str) -> Json:
    return said("", content=[{"type": "refusal", "refusal": text}])


SEARCH: Json = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
CUSTOM: Json = {"id": "ctc_1", "type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x = 1"}
CALL_ITEMS = [called("call_1", "weather", '{"city": "Bern"}'), called("call_2", "time", "{}")]


def of_item(kind: str, index: int, **fields: Any) -> Json:
    return {"type": f"response.{kind}", "output_index": index, "item_id": f"item_{index}", **fields}


def added(index: int, item: Json) -> Json:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(index: int, item: Json) -> Json:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def text_events(index: int, item: Json, *pieces: str) -> List[Json]:
    deltas = [of_item("output_text.delta", index, content_index=0, delta=piece) for piece in pieces]
    return [added(index, {**item, "content": []}), *deltas, done(index, item)]


def call_events(index: int, item: Json, *pieces: str) -> List[Json]:
    deltas = [of_item("function_call_arguments.delta", index, delta=piece) for piece in pieces]
    return [added(index, {**item, "arguments": ""}), *deltas, done(index, item)]


def begun() -> Json:
    return {"type": "response.created", "response": answer(status="in_progress", usage=None)}


def ended(response: Json) -> Json:
    return {"type": f"response.{response['status']}", "response": response}


def message_item(role: str, content: Any) -> Json:
    return {"type": "message", "role": role, "content": content}
