"""Turns with state that nobody but their provider can read, whole and as the events of a stream.

Each must stand in the next request as it came. They are made up after what the providers and hosts that speak
their protocols send; the names say what is in them.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, List, Mapping

from tests.support.scripted_server import MODEL, Dialect, Reply
from tests.support.scripted_server.replies import json_reply
from tests.support.scripted_server.wire_base import Event, Json

#: What base64 looks like, with everything in it that a careless hand would change.
SIGNED = "CiQB++//8gc2lnbmF0dXJl==\u00e9\u2028\U0001f30d"
ARGUMENTS = '{"zone":  "Z\\u00fcrich", "at": 1.0}'


def chat_call(**more: Any) -> Json:
    function = {"name": "clock", "arguments": ARGUMENTS, **more.pop("function", {})}
    return {"id": "call_1", "type": "function", "function": function, **more}


def item_call(**more: Any) -> Json:
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "status": "completed"}
    return {**call, "name": "clock", "arguments": ARGUMENTS, **more}


def message_item(text: str, annotations: Any = (), **more: Any) -> Json:
    part = {"type": "output_text", "text": text, "annotations": list(annotations)}
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": [part], **more}


def thinking(text: str) -> Json:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "clock", "input": {"at": 1.0}}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}
CITED = {"type": "url_citation", "url": "https://x/", "title": "X", "start_index": 0, "end_index": 4}
DETAIL = {
    "type": "reasoning.text",
    "text": "First the clock.",
    "signature": SIGNED,
    "format": "v1",
    "index": 0,
}
SEALED = {"type": "reasoning.encrypted", "data": SIGNED, "id": "rs_1", "format": "v1", "index": 0}
OTHER = {"type": "from_tomorrow", "id": "x_1", "payload": {"seal": SIGNED, "list": [1, None, {}]}}
IMAGE = {"type": "image_url", "index": 0, "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}

#: By dialect and name, what the assistant's turn is: a message, blocks, items or parts.
TURNS: Mapping[str, Mapping[str, Any]] = {
    "chat": {
        "thinking parts": {
            "content": [{**thinking("Hm, so."), "closed": True}, {"type": "text", "text": "Hi!"}]
        },
        "a signature inside a part": {"content": [{"type": "text", "text": "Noon.", "signature": SIGNED}]},
        "thinking parts before a call": {"content": [thinking("Hm, so.")], "tool_calls": [chat_call()]},
        "signed reasoning in details": {"content": "Noon.", "reasoning_details": [DETAIL]},
        "two details of one index": {"content": "Noon.", "reasoning_details": [DETAIL, SEALED]},
        "images": {"content": "Look.", "images": [IMAGE, {**IMAGE, "index": 1}]},
        "annotations": {"content": "Noon.", "annotations": [CITED, CITED]},
        "a field nobody knows": {"content": "Noon.", "reasoning_opaque": SIGNED, "state": {"seal": SIGNED}},
        "a signature beside a call": {
            "content": None,
            "reasoning_content": "First the clock.",
            "tool_calls": [chat_call(extra_content={"google": {"thought_signature": SIGNED}})],
        },
    },
    "responses": {
        "encrypted reasoning": [{**REASONING, "encrypted_content": SIGNED}, message_item("Hi!"), item_call()],
        "a phase": [message_item("Let me see.", phase="commentary"), item_call()],
        "annotations": [message_item("Noon.", [CITED])],
        "an item nobody knows": [OTHER, message_item("Noon.")],
        "a signature beside a call": [item_call(seal={"signature": SIGNED})],
        "reasoning in the clear": [
            {**REASONING, "content": [{"type": "reasoning_text", "text": "Hm."}]},
            message_item("Noon."),
        ],
        "a compaction": [
            message_item("Noon."),
            {"type": "compaction", "id": "c_1", "encrypted_content": SIGNED},
        ],
        "what waits for the application": [
            {"type": "mcp_approval_request", "id": "mcpr_1", "name": "pay", "arguments": "{}"}
        ],
    },
    "anthropic": {
        "signed thinking": [
            {"type": "thinking", "thinking": "Hm, so.", "signature": SIGNED},
            {"type": "redacted_thinking", "data": SIGNED},
            {"type": "text", "text": "Noon."},
        ],
        "a signature and no thoughts": [{"type": "thinking", "thinking": "", "signature": SIGNED}, TOOL_USE],
        "citations": [
            {"type": "text", "text": "Noon", "citations": [{"type": "x", "encrypted_index": SIGNED}]},
            {"type": "text", "text": "."},
        ],
        "what its own tools did": [
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "noon"}},
            {
                "type": "web_search_tool_result",
                "tool_use_id": "srvtoolu_1",
                "content": [{"type": "web_search_result", "encrypted_content": SIGNED}],
            },
            {"type": "text", "text": "Noon."},
        ],
        "a caller beside a call": [{**TOOL_USE, "caller": {"type": "direct"}}],
        "a block nobody knows": [OTHER, {"type": "text", "text": "Noon."}],
        "a compaction": [
            {"type": "compaction", "content": "They spoke of noon.", "seal": SIGNED},
            {"type": "text", "text": "Noon."},
        ],
    },
    "gemini": {
        "a signature on a text": [{"text": "Noon.", "thoughtSignature": SIGNED}],
        "a signature on an empty text": [{"text": "Noon."}, {"text": "", "thoughtSignature": SIGNED}],
        "a signature on a call": [
            {"text": "Hm.", "thought": True},
            {"functionCall": {"name": "clock", "args": {"at": 1.0}}, "thoughtSignature": SIGNED},
            {"functionCall": {"name": "clock", "id": "f_2"}},
        ],
        "what its own tools did": [
            {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": SIGNED},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
            {"text": "Noon."},
        ],
        "a part nobody knows": [{"fromTomorrow": {"seal": SIGNED}}, {"text": "Noon."}],
        "a picture": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}],
    },
}


def reply(dialect: Dialect, way: str, turn: Any) -> Reply:
    """The reply that holds a turn, whole or as a stream, as the way of calling asks for."""
    if "streamed" in way:
        return dialect._stream_reply(EVENTS[dialect.name](turn), "awkward")
    return json_reply(DOCUMENTS[dialect.name](turn))


def turn_in(dialect: Dialect, body: Mapping[str, Any]) -> Any:
    """The assistant's turn in the body of a request: what stands between the first message and the last ones."""
    if dialect.name == "chat":
        return {key: value for key, value in body["messages"][1].items() if key != "role"}
    if dialect.name == "responses":
        results = ("function_call_output", "custom_tool_call_output")
        return [item for item in body["input"] if item.get("role") != "user" and item["type"] not in results]
    return body["messages"][1]["content"] if dialect.name == "anthropic" else body["contents"][1]["parts"]


# ---------------------------------------------------------------- whole


def _chat(turn: Json) -> Json:
    finish = "tool_calls" if "tool_calls" in turn else "stop"
    choice = {"index": 0, "message": {"role": "assistant", **turn}, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": MODEL, "choices": [choice]}


def _responses(turn: List[Json]) -> Json:
    return {"id": "resp_1", "object": "response", "status": "completed", "model": MODEL, "output": turn}


def _anthropic(turn: List[Json]) -> Json:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL}
    return {**head, "content": turn, "stop_reason": "tool_use" if TOOL_USE in turn else "end_turn"}


def _gemini(turn: List[Json]) -> Json:
    candidate = {"content": {"parts": turn, "role": "model"}, "finishReason": "STOP", "index": 0}
    return {"candidates": [candidate], "modelVersion": MODEL, "responseId": "resp-1"}


DOCUMENTS: Mapping[str, Callable[[Any], Json]] = {
    "chat": _chat,
    "responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
}

# ---------------------------------------------------------------- streamed


def _halves(text: str) -> List[str]:
    return [text[: len(text) // 2], text[len(text) // 2 :]]


def _chat_events(turn: Json) -> Iterator[Event]:
    yield _chunk({"role": "assistant", "content": ""})
    for key, value in turn.items():
        for piece in _chat_pieces(key, value):
            yield _chunk({key: piece})
    yield _chunk({}, "tool_calls" if "tool_calls" in turn else "stop")
    yield "[DONE]"


def _chunk(delta: Json, finish: Any = None) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": MODEL, "choices": [choice]}


def _chat_pieces(key: str, value: Any) -> Iterator[Any]:
    if isinstance(value, str):
        yield from _halves(value)
    elif key == "content":
        for part in value or ():
            yield from _part_pieces(part)
    elif key == "tool_calls":
        for index, call in enumerate(value):
            begun = {**call["function"], "arguments": ""}
            yield [{"index": index, **call, "function": begun}]
            for piece in _halves(call["function"]["arguments"]):
                yield [{"index": index, "function": {"arguments": piece}}]
    elif key == "reasoning_details":
        for detail in value:
            yield from _detail_pieces(detail)
    else:
        yield value


def _part_pieces(part: Json) -> Iterator[Any]:
    if part["type"] == "text":
        yield from _halves(part["text"]) if len(part) == 2 else [[part]]
        return
    for piece in _halves(part["thinking"][0]["text"]):
        yield [thinking(piece)]
    if len(part) > 2:
        yield [{**part, "thinking": []}]


def _detail_pieces(detail: Json) -> Iterator[Any]:
    """What grows in two pieces, the rest, such as a signature, in a last one."""
    labels = {key: detail[key] for key in ("type", "index")}
    grown = next(key for key in ("text", "data") if key in detail)
    for piece in _halves(detail[grown]):
        yield [{**labels, grown: piece}]
    yield [{key: value for key, value in detail.items() if key != grown}]


def _responses_events(turn: List[Json]) -> Iterator[Event]:
    started = {**_responses([]), "status": "in_progress"}
    yield {"type": "response.created", "response": started}
    for index, item in enumerate(turn):
        place = {"output_index": index, "item_id": item["id"]}
        yield {"type": "response.output_item.added", "output_index": index, "item": item}
        if item["type"] == "message":
            yield {"type": "response.output_text.delta", **place, "delta": item["content"][0]["text"]}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": "response.completed", "response": _responses(turn)}


def _anthropic_events(turn: List[Json]) -> Iterator[Event]:
    yield {"type": "message_start", "message": {**_anthropic([]), "stop_reason": None}}
    for index, block in enumerate(turn):
        begun, deltas = _block(block)
        yield {"type": "content_block_start", "index": index, "content_block": begun}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": {"stop_reason": _anthropic(turn)["stop_reason"]}}
    yield {"type": "message_stop"}


def _block(block: Json) -> Any:
    kind = block["type"]
    if kind == "thinking":
        deltas: List[Dict[str, Any]] = [
            {"type": "thinking_delta", "thinking": piece} for piece in _halves(block["thinking"]) if piece
        ]
        signatures = [
            {"type": "signature_delta", "signature": piece} for piece in _halves(block["signature"])
        ]
        return {**block, "thinking": "", "signature": ""}, deltas + signatures
    if kind == "text":
        cited = [{"type": "citations_delta", "citation": each} for each in block.get("citations", ())]
        texts = [{"type": "text_delta", "text": piece} for piece in _halves(block["text"])]
        return {**block, "text": "", **({"citations": []} if cited else {})}, cited + texts
    return block, []


def _gemini_events(turn: List[Json]) -> Iterator[Event]:
    for part in turn:
        content = {"parts": [part], "role": "model"}
        yield {
            "candidates": [{"content": content, "index": 0}],
            "modelVersion": MODEL,
            "responseId": "resp-1",
        }
    yield {
        "candidates": [{"finishReason": "STOP", "index": 0}],
        "modelVersion": MODEL,
        "responseId": "resp-1",
    }


EVENTS: Mapping[str, Callable[[Any], Iterator[Event]]] = {
    "chat": _chat_events,
    "responses": _responses_events,
    "anthropic": _anthropic_events,
    "gemini": _gemini_events,
}
