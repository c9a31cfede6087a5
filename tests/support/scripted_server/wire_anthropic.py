"""Anthropic Messages as documented: content blocks, and a stream of typed events with cumulative usage."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Tuple

from tests.support.scripted_server.wire_base import (
    SIGNATURE,
    Answer,
    Call,
    Dialect,
    Event,
    Json,
    Usage,
    Wishes,
    new_id,
    texts,
    without_none,
)

FINISHES = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}

CODES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}

FAILURES = {
    "bad_key": (401, "authentication_error", "invalid x-api-key"),
    "permission": (
        403,
        "permission_error",
        "Your API key does not have permission to use this resource.",
    ),
    "quota": (402, "billing_error", "Your credit balance is too low to access the API."),
    "rate_limit": (429, "rate_limit_error", "This request would exceed your organization's rate limit."),
    "model_not_found": (404, "not_found_error", "model: no-such-model"),
    "context_length": (
        400,
        "invalid_request_error",
        "prompt is too long: 200001 tokens > 200000 maximum",
    ),
    "bad_request": (400, "invalid_request_error", "messages: at least one message is required"),
    "server": (500, "api_error", "Internal server error"),
    "overloaded": (529, "overloaded_error", "Overloaded"),
}


class AnthropicMessages(Dialect):
    """``POST /v1/messages``."""

    name = "anthropic"
    provider = "anthropic"
    endpoint = r"/v1/messages$"
    named_events = True
    request_id_header = "request-id"
    signature = SIGNATURE
    codes = CODES
    failures = FAILURES

    def path(self, model: str, stream: bool) -> str:
        """The same path for every model, whole and streamed."""
        return "/v1/messages"

    @property
    def ping(self) -> bytes:
        """The ping event."""
        return b'event: ping\ndata: {"type": "ping"}\n\n'

    def document(self, answer: Answer) -> Json:
        """A message."""
        refused = answer.refusal is not None
        stop_reason = "refusal" if refused else _stop_reason(answer)
        details = {"type": "refusal", "category": None, "explanation": answer.refusal} if refused else None
        return {
            "id": new_id("msg_"),
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": _blocks(answer),
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "stop_details": details,
            **({"usage": _usage(answer.usage)} if answer.usage else {}),
        }

    def events(self, answer: Answer, complete: bool) -> Iterator[Event]:
        """The message without content, each block in pieces, then what the whole message came to."""
        final = self.document(answer)
        first_call = len(final["content"]) - len(answer.tool_calls)
        yield {"type": "message_start", "message": _started(final)}
        for index, block in enumerate(final["content"]):
            call = answer.tool_calls[index - first_call] if index >= first_call else None
            blank, deltas = _call_deltas(block, call) if call else _block_deltas(block, answer)
            yield {"type": "content_block_start", "index": index, "content_block": blank}
            if index == 0:
                yield {"type": "ping"}
            for delta in deltas:
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            if complete or index < len(final["content"]) - 1:
                yield {"type": "content_block_stop", "index": index}
        if complete:
            delta = {name: final[name] for name in ("stop_reason", "stop_sequence", "stop_details")}
            yield {"type": "message_delta", "delta": delta, **_final_usage(answer.usage)}
            yield {"type": "message_stop"}

    def error_body(self, status: int, code: str, message: str, parameter: Optional[str]) -> Json:
        """The documented envelope; it has no field for a parameter, so the message names it."""
        if parameter:
            message = f"`{parameter}` is deprecated for this model."
        return {"type": "error", "error": {"type": code, "message": message}, "request_id": new_id("req_")}

    def error_event(self, status: int, code: str, message: str) -> Event:
        """The same envelope as an event."""
        return {"type": "error", "error": {"type": code, "message": message}}

    def model_entry(self, name: str) -> Json:
        """A model with its limits and some capabilities."""
        supported, unsupported = {"supported": True}, {"supported": False}
        return {
            "type": "model",
            "id": name,
            "display_name": name.replace("-", " ").title(),
            "created_at": "2026-01-01T00:00:00Z",
            "max_input_tokens": 200000,
            "max_tokens": 64000,
            "capabilities": {
                "image_input": supported,
                "pdf_input": supported,
                "structured_outputs": supported,
                "thinking": {
                    "supported": True,
                    "types": {"adaptive": supported, "enabled": unsupported},
                },
            },
        }

    def listing(self, entries: List[Json], more: bool) -> Json:
        """A page with the ids between which its entries lie."""
        ids = [entry["id"] for entry in entries] or [None]
        return {"data": entries, "has_more": more, "first_id": ids[0], "last_id": ids[-1]}

    def read_request(self, body: Json, path: str) -> Json:
        """The request in neutral words; a user turn's tool results become turns of their own."""
        turns = [turn for message in body["messages"] for turn in _turns(message)]
        return {
            "model": body["model"],
            "system": texts(body.get("system")) or None,
            "messages": turns,
            "stream": bool(body.get("stream")),
            "temperature": body.get("temperature"),
            "max_tokens": body.get("max_tokens"),
            "top_p": body.get("top_p"),
            "top_k": body.get("top_k"),
            "seed": body.get("seed"),
            "stop": body.get("stop_sequences"),
            "tools": [tool["name"] for tool in body.get("tools", [])] or None,
        }

    def read_wishes(self, body: Json) -> Wishes:
        """Tools with their input schema, the output's format, and thinking."""
        return Wishes(
            {tool["name"]: tool["input_schema"] for tool in body.get("tools", [])},
            body.get("output_config", {}).get("format", {}).get("schema"),
            body.get("thinking", {}).get("type", "disabled") != "disabled",
        )


def _turns(message: Json) -> Iterator[Tuple[str, str]]:
    content = message["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    results = [part for part in parts if part["type"] == "tool_result"]
    for result in results:
        yield "tool", texts(result.get("content"))
    rest = [part for part in parts if part["type"] != "tool_result"]
    if rest or not results:
        yield message["role"], texts(rest)


def _stop_reason(answer: Answer) -> str:
    finish = "tool_calls" if answer.tool_calls and answer.finish == "stop" else answer.finish
    return FINISHES.get(finish, finish)


def _blocks(answer: Answer) -> List[Json]:
    blocks: List[Json] = []
    if answer.reasoning:
        blocks.append({"type": "thinking", "thinking": answer.reasoning, "signature": SIGNATURE})
    if answer.pieces and answer.refusal is None:
        blocks.append({"type": "text", "text": answer.text})
    return blocks + [_tool_use(call) for call in answer.tool_calls]


def _tool_use(call: Call) -> Json:
    return {
        "type": "tool_use",
        "id": call.id or new_id("toolu_"),
        "name": call.name,
        "input": dict(call.arguments),
    }


def _block_deltas(block: Json, answer: Answer) -> Tuple[Json, List[Json]]:
    """The block as it starts, and the deltas that fill it."""
    if block["type"] == "text":
        return {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in answer.pieces]
    deltas = [
        {"type": "thinking_delta", "thinking": block["thinking"]},
        {"type": "signature_delta", "signature": block["signature"]},
    ]
    return {**block, "thinking": "", "signature": ""}, deltas


def _call_deltas(block: Json, call: Call) -> Tuple[Json, List[Json]]:
    """The same for a tool call; without arguments the fragments come to an empty text."""
    fragments = ("", *call.fragments) if call.arguments or call.raw else ("",)
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": text} for text in fragments]


def _started(final: Json) -> Json:
    """The message as it starts: nothing written yet but a first token."""
    usage = {"usage": {**final["usage"], "output_tokens": 1}} if "usage" in final else {}
    return {**final, "content": [], "stop_reason": None, "stop_details": None, **usage}


def _usage(usage: Usage) -> Dict[str, Any]:
    written = {"ephemeral_5m_input_tokens": usage.cache_write or 0, "ephemeral_1h_input_tokens": 0}
    details = {"thinking_tokens": usage.reasoning} if usage.reasoning is not None else None
    return without_none(
        {
            "input_tokens": usage.prompt - (usage.cached or 0) - (usage.cache_write or 0),
            "cache_creation_input_tokens": usage.cache_write,
            "cache_read_input_tokens": usage.cached,
            "cache_creation": written if usage.cache_write is not None else None,
            "output_tokens": usage.completion,
            "output_tokens_details": details,
            "service_tier": "standard",
        }
    )


def _final_usage(usage: Optional[Usage]) -> Json:
    """The cumulative counts of ``message_delta``; the split and the tier were reported at the start alone."""
    if usage is None:
        return {}
    counts = _usage(usage)
    return {"usage": {name: counts[name] for name in counts if name.endswith(("_tokens", "_details"))}}
