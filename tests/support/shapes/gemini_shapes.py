"""Gemini's JSON and our messages in short, for the tests of the Gemini adapter."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterable, List, Optional, Tuple

from llm_orchestrator.providers.gemini_adapter import GeminiAdapter
from llm_orchestrator.providers.wire import StreamState
from llm_orchestrator.types import LLMRequest, LLMResponse, Message, StreamEvent, ToolCall

Json = Dict[str, Any]
ADAPTER = GeminiAdapter("gemini", api_key="sk-test-0123456789")
SIGNATURE = "CiQB++//8gc2lnbmF0dXJl=="
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def user(content: Any = "Hi") -> Message:
    return Message("user", content)


def system(content: Any) -> Message:
    return Message("system", content)


def assistant(content: Any = None, *identifiers: str) -> Message:
    calls = tuple(ToolCall(identifier, "weather", {"city": identifier}) for identifier in identifiers)
    return Message("assistant", content, tool_calls=calls)


def result(identifier: str, content: Any = "sunny") -> Message:
    return Message("tool", content, tool_call_id=identifier)


def request(*messages: Message, **parameters: Any) -> LLMRequest:
    return LLMRequest("some-model", messages or (user(),), **parameters)


def body(*messages: Message, **parameters: Any) -> Json:
    """The body as it is sent: defaults, options and all, through JSON."""
    _, wire = ADAPTER.prepare(request(*messages, **parameters), stream=False)
    sent: Json = json.loads(json.dumps(wire.body))
    return sent


def contents(*messages: Message) -> List[Json]:
    found: List[Json] = body(*messages)["contents"]
    return found


def turn(role: str, *parts: Json) -> Json:
    return {"role": role, "parts": list(parts)}


def text(value: str, **more: Any) -> Json:
    return {"text": value, **more}


def call(name: str = "weather", args: Any = None, **more: Any) -> Json:
    function = {"name": name} if args is None else {"name": name, "args": args}
    return {"functionCall": {**function, **more.pop("function", {})}, **more}


def response(name: str, value: Any, **more: Any) -> Json:
    return {"functionResponse": {"name": name, "response": value, **more}}


USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 4, "totalTokenCount": 14}


def reply(*parts: Json, finish: Optional[str] = "STOP", **more: Any) -> Json:
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    return {
        "candidates": [candidate if finish is None else {**candidate, "finishReason": finish}],
        "usageMetadata": USAGE,
        "modelVersion": "served-001",
        "responseId": "answer-1",
        **more,
    }


def read(document: Json) -> LLMResponse:
    return ADAPTER.parse_reply(json.loads(json.dumps(document)), {})


def read_stream(events: Iterable[Json]) -> Tuple[List[StreamEvent], StreamState]:
    state = StreamState({})
    pieces = [piece for event in events for piece in ADAPTER.parse_event(event, state)]
    return pieces, state


def whole(state: StreamState) -> LLMResponse:
    return ADAPTER.parse_reply(ADAPTER.assemble_reply(state), {})
