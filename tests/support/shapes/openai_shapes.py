"""Small builders of OpenAI's JSON, and readers that drive the adapter without a socket."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Sequence, Tuple

from llm_orchestrator.providers.openai_adapter import OpenAIAdapter
from llm_orchestrator.providers.wire import StreamState
from llm_orchestrator.types import LLMRequest, LLMResponse, Message, StreamEvent, ToolCall

Json = Dict[str, Any]

CHAT = OpenAIAdapter("openai", api_key="sk-x", api="chat")
RESPONSES = OpenAIAdapter("openai", api_key="sk-x", api="responses")

USER = Message("user", "Hi")
TOOL: Json = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CALLS = (
    ToolCall("call_1", "weather", {"city": "Bern"}, '{"city": "Bern"}'),
    ToolCall("call_2", "time", {}, "{}"),
)
ASKED = Message("assistant", None, tool_calls=CALLS)
ANSWERED = (
    Message("tool", "sunny", tool_call_id="call_1"),
    Message("tool", "noon", tool_call_id="call_2"),
)
#: Values where another type belongs.
ODD: Tuple[Any, ...] = (None, 0, -1, 2.5, True, "", "odd", [], [None], ["odd"], [{}], {}, {"odd": 1}, [[1]])


def request(*messages: Message, **parameters: Any) -> LLMRequest:
    return LLMRequest("model-1", messages or (USER,), **parameters)


def body_of(adapter: OpenAIAdapter, *messages: Message, **parameters: Any) -> Json:
    """The body of a request, as it travels."""
    wire = adapter.build_request(request(*messages, **parameters), stream=False)
    copied: Json = json.loads(json.dumps(wire.body))
    return copied


def read(body: Json) -> LLMResponse:
    return CHAT.parse_reply(body, {})


def play(events: Sequence[Json]) -> Tuple[List[StreamEvent], StreamState]:
    """Feed a stream's events to the adapter, up to the one after which nothing matters."""
    state, pieces = StreamState(), []
    for event in events:
        pieces += CHAT.parse_event(event, state)
        if state.done:
            break
    return pieces, state


def read_stream(events: Sequence[Json]) -> Tuple[List[StreamEvent], LLMResponse]:
    """A complete stream: its pieces and the answer assembled from it."""
    pieces, state = play(events)
    assert state.complete
    return pieces, read(CHAT.assemble_reply(state))


def saved(message: Any) -> Message:
    """A turn after a conversation was saved to JSON and loaded."""
    text = json.dumps({**vars(message), "tool_calls": [vars(call) for call in message.tool_calls]})
    fields = json.loads(text)
    return Message(**{**fields, "tool_calls": tuple(ToolCall(**call) for call in fields["tool_calls"])})


def variants(document: Any) -> List[Any]:
    """The document with each of its values in turn left out or replaced by one of an odd type."""
    changed: List[Any] = []
    for path in _paths(document):
        for odd in (_paths, *ODD):  # the function stands for leaving out
            copied = json.loads(json.dumps(document))
            place = copied
            for key in path[:-1]:
                place = place[key]
            if odd is _paths:
                del place[path[-1]]
            else:
                place[path[-1]] = odd
            changed.append(copied)
    return changed


def _paths(value: Any, path: Tuple[Any, ...] = ()) -> List[Tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for key, inner in below:
        found += _paths(inner, (*path, key))
    return found
