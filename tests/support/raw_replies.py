"""Replies with JSON that no dialect would write by itself: shapes of other hosts, and faults inside an answer."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional, Sequence, Tuple

from llm_orchestrator import LLMOrchestrator, LLMResponse
from tests.support.scripted_server import Dialect, Reply
from tests.support.scripted_server.replies import json_reply
from tests.support.scripted_server.wire_base import cut_stream

__all__ = [
    "CHUNK",
    "ITEM",
    "TEXT",
    "WHOLE_ITEM",
    "choice",
    "chunk",
    "completion",
    "ended",
    "events_of",
    "message",
    "raw",
    "raw_stream",
    "response_json",
    "shaped",
]

Json = Dict[str, Any]

#: What every chunk of a streamed completion repeats.
CHUNK = {"id": "c1", "object": "chat.completion.chunk", "model": "scripted-1"}
USAGE = {"prompt_tokens": 12, "completion_tokens": 6, "total_tokens": 18}


def raw_stream(events: Sequence[Json], end: str = "", **changes: Any) -> Reply:
    """A stream of these events; ``end`` is text after them, such as Chat's ``[DONE]``."""
    data = [json.dumps(event) for event in events] + ([end] if end else [])
    content = "".join(f"data: {text}\n\n" for text in data).encode()
    reply = Reply(headers={"content-type": "text/event-stream"}, chunks=cut_stream(content, "awkward"))
    return reply.but(**changes)


def raw(way: str, document: Json, events: Sequence[Json], end: str = "") -> Reply:
    """The same answer, whole or as a stream, as the way of calling asks for."""
    return raw_stream(events, end) if "streamed" in way else json_reply(document)


# ---------------------------------------------------------------- Chat, as other hosts write it


def choice(message: Optional[Json] = None, finish: Optional[str] = "stop", **fields: Any) -> Json:
    """A choice of a completion."""
    return {"index": 0, "finish_reason": finish, **({"message": message} if message else {}), **fields}


def completion(*choices: Json, **fields: Any) -> Json:
    """A whole completion."""
    return {**CHUNK, "object": "chat.completion", "choices": list(choices), "usage": USAGE, **fields}


def message(**fields: Any) -> Json:
    """The message of a choice."""
    return {"role": "assistant", **fields}


def chunk(delta: Optional[Json] = None, finish: Optional[str] = None, **fields: Any) -> Json:
    """A chunk of a streamed completion with one choice."""
    said = {"delta": delta} if delta is not None else {}
    return {**CHUNK, "choices": [{"index": 0, "finish_reason": finish, **said, **fields}]}


# ---------------------------------------------------------------- Responses

ITEM: Json = {"type": "message", "id": "m1", "role": "assistant"}
TEXT: Json = {"type": "output_text", "text": "Hello.", "annotations": []}
WHOLE_ITEM: Json = {**ITEM, "status": "completed", "content": [TEXT]}


def response_json(*output: Json, status: str = "completed", **fields: Any) -> Json:
    """A response with these items."""
    usage = {"input_tokens": 12, "output_tokens": 6, "total_tokens": 18}
    head = {"id": "r1", "object": "response", "status": status, "model": "scripted-1"}
    return {**head, "output": list(output), "usage": usage, **fields}


def ended(*output: Json, **fields: Any) -> Json:
    """The last event of a stream, with these items."""
    return {"type": "response.completed", "response": response_json(*output, **fields)}


# ---------------------------------------------------------------- any


def shaped(dialect: Dialect, way: str, content: Any) -> Reply:
    """An answer whose content is this, whatever it is."""
    if dialect.name == "chat":
        chunks = [chunk({"role": "assistant", "content": content}), chunk({}, "stop")]
        return raw(way, completion(choice(message(content=content))), chunks, "[DONE]")
    if dialect.name == "responses":
        item = {**ITEM, "content": content}
        return raw(way, response_json(item), [ended(item)])
    if dialect.name == "anthropic":
        head = {"type": "message", "role": "assistant", "model": "m", "usage": {"input_tokens": 1}}
        whole = {**head, "content": content, "stop_reason": "end_turn"}
        return raw(way, whole, [{"type": "message_start", "message": whole}, {"type": "message_stop"}])
    candidate = {"content": {"parts": content, "role": "model"}, "finishReason": "STOP"}
    return raw(way, {"candidates": [candidate]}, [{"candidates": [candidate]}])


def events_of(orchestrator: LLMOrchestrator) -> Tuple[List[Any], LLMResponse]:
    """The events of a streamed answer, and the answer."""
    stream = orchestrator.send_streaming_request("Hi")
    events = list(stream.events())
    assert stream.response is not None
    return events, stream.response
