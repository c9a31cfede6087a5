"""Anthropic's JSON and our messages in short, for the tests of the Anthropic adapter."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional

from llm_orchestrator.providers.anthropic_adapter import AnthropicAdapter
from llm_orchestrator.types import LLMRequest, LLMResponse, Message, ToolCall

Json = Dict[str, Any]
ADAPTER = AnthropicAdapter("anthropic", api_key="sk-test-0123456789")


def user(content: Any = "Hi") -> Message:
    return Message("user", content)


def system(content: Any) -> Message:
    return Message("system", content)


def assistant(content: Optional[str] = None, *identifiers: str) -> Message:
    calls = tuple(ToolCall(identifier, "weather", {}) for identifier in identifiers)
    return Message("assistant", content, tool_calls=calls)


def result(identifier: str, content: Any = "sunny") -> Message:
    return Message("tool", content, tool_call_id=identifier)


def request(*messages: Message, **parameters: Any) -> LLMRequest:
    return LLMRequest("some-model", messages or (user(),), **parameters)


def body(*messages: Message, **parameters: Any) -> Dict[str, Any]:
    wire = ADAPTER.build_request(request(*messages, **parameters), stream=False)
    assert wire.body is not None
    return json.loads(json.dumps(wire.body))


def text(value: str, **more: Any) -> Json:
    return {"type": "text", "text": value, **more}


def message(*content: Json, stop_reason: Optional[str] = "end_turn", **more: Any) -> Json:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "served-20260101",
        "content": list(content),
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 4},
        **more,
    }


def read(body: Json) -> LLMResponse:
    return ADAPTER.parse_reply(body, {})


def start(index: int, block: Json) -> Json:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **fields: Any) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stream(*blocks: List[Json], start_usage: Any, delta_usage: Any, **end: Any) -> List[Json]:
    """The events of a message: each block's own events between the message's."""
    opening = {**message(stop_reason=None), "usage": start_usage}
    return [
        {"type": "message_start", "message": opening},
        {"type": "ping"},
        *(event for block in blocks for event in block),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", **end}, "usage": delta_usage},
        {"type": "message_stop"},
    ]


#: Values that belong nowhere.
ODD: List[Any] = [None, 0, True, "x", [], {}, [None], {"type": []}, -1]
