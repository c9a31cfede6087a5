"""OpenAI Responses as documented: typed items, typed events, and at a stream's end the whole response."""

from __future__ import annotations

from typing import Dict, Iterator, List, Optional, Tuple

from tests.support.scripted_server.wire_base import (
    CREATED,
    SIGNATURE,
    Answer,
    Call,
    Event,
    Json,
    Usage,
    Wishes,
    new_id,
    texts,
    without_none,
)
from tests.support.scripted_server.wire_openai import FAILURES, OpenAIDialect

#: Neutral finish -> status and the reason of an incomplete answer.
FINISHES: Dict[str, Tuple[str, Optional[str]]] = {
    "stop": ("completed", None),
    "tool_calls": ("completed", None),
    "length": ("incomplete", "max_output_tokens"),
    "content_filter": ("incomplete", "content_filter"),
}

#: Unlike Chat, this endpoint calls an unknown model a bad request.
RESPONSES_FAILURES = {**FAILURES, "model_not_found": (400, *FAILURES["model_not_found"][1:])}


class OpenAIResponses(OpenAIDialect):
    """``POST /v1/responses``."""

    name = "responses"
    api = "responses"
    endpoint = r"/responses$"
    named_events = True
    signature = SIGNATURE
    failures = RESPONSES_FAILURES

    def path(self, model: str, stream: bool) -> str:
        """The same path for every model, whole and streamed."""
        return "/v1/responses"

    @property
    def ping(self) -> bytes:
        """The keep-alive event."""
        return b'event: keepalive\ndata: {"type": "keepalive", "sequence_number": 0}\n\n'

    def document(self, answer: Answer) -> Json:
        """A finished response; the finish ``failed`` makes one with an error."""
        status, reason = FINISHES.get(answer.finish, (answer.finish, None))
        failure = {"code": "server_error", "message": "The model failed."} if status == "failed" else None
        response = _response(answer, status, _items(answer))
        return {
            **response,
            "error": failure,
            "incomplete_details": {"reason": reason} if reason else None,
            "usage": answer.usage and _usage(answer.usage),
        }

    def events(self, answer: Answer, complete: bool) -> Iterator[Event]:
        """The events, numbered."""
        for number, event in enumerate(self._events(answer, complete)):
            yield {**event, "sequence_number": number}

    def _events(self, answer: Answer, complete: bool) -> Iterator[Json]:
        final = self.document(answer)
        started = {**_response(answer, "in_progress", []), "id": final["id"]}
        yield {"type": "response.created", "response": started}
        yield {"type": "response.in_progress", "response": started}
        for index, item in enumerate(final["output"]):
            opening, closing = _item_events(item, index, answer)
            yield from opening
            if complete or index < len(final["output"]) - 1:
                yield from closing
        if complete:
            yield {"type": f"response.{final['status']}", "response": final}

    def error_event(self, status: int, code: str, message: str) -> Event:
        """The flat error event."""
        return {"type": "error", "code": code, "message": message, "param": None, "sequence_number": 99}

    def read_request(self, body: Json, path: str) -> Json:
        """The request in neutral words; function calls of the history are left out."""
        items = body["input"]
        if isinstance(items, str):
            items = [{"role": "user", "content": items}]
        turns = [turn for item in items for turn in _turns(item)]
        system = [body.get("instructions")] + [
            text for role, text in turns if role in ("system", "developer")
        ]
        return {
            "model": body["model"],
            "system": "\n".join(filter(None, system)) or None,
            "messages": [turn for turn in turns if turn[0] not in ("system", "developer")],
            "stream": bool(body.get("stream")),
            "temperature": body.get("temperature"),
            "max_tokens": body.get("max_output_tokens"),
            "top_p": body.get("top_p"),
            "top_k": body.get("top_k"),
            "seed": body.get("seed"),
            "stop": body.get("stop"),
            "tools": [tool["name"] for tool in body.get("tools", [])] or None,
        }

    def read_wishes(self, body: Json) -> Wishes:
        """Tools and schema without wrappers, and the effort."""
        functions = [tool for tool in body.get("tools", []) if tool["type"] == "function"]
        return Wishes(
            {function["name"]: function["parameters"] for function in functions},
            body.get("text", {}).get("format", {}).get("schema"),
            body.get("reasoning", {}).get("effort", "none") != "none",
        )


def _turns(item: Json) -> Iterator[Tuple[str, str]]:
    if item.get("type", "message") == "message":
        yield item["role"], texts(item["content"])
    elif item["type"] == "function_call_output":
        yield "tool", texts(item["output"])


def _response(answer: Answer, status: str, output: List[Json]) -> Json:
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": answer.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
    }


def _items(answer: Answer) -> List[Json]:
    items = [_reasoning_item(answer.reasoning)] if answer.reasoning else []
    if answer.refusal:
        items.append(_message_item({"type": "refusal", "refusal": answer.refusal}))
    elif answer.pieces:
        items.append(_message_item(_text_part(answer.text)))
    return items + [_call_item(call) for call in answer.tool_calls]


def _reasoning_item(text: str) -> Json:
    return {
        "id": new_id("rs_"),
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text}],
        "encrypted_content": SIGNATURE,
    }


def _message_item(part: Json) -> Json:
    return {
        "id": new_id("msg_"),
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }


def _text_part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _call_item(call: Call) -> Json:
    return {
        "id": new_id("fc_"),
        "type": "function_call",
        "status": "completed",
        "call_id": call.id or new_id("call_"),
        "name": call.name,
        "arguments": call.text,
    }


def _item_events(item: Json, index: int, answer: Answer) -> Tuple[List[Json], List[Json]]:
    """What opens and fills an output item, and what closes it."""
    place = {"item_id": item["id"], "output_index": index}
    blank, opening, closing = {
        "reasoning": _reasoning_events,
        "message": _message_events,
        "function_call": _call_events,
    }[item["type"]](item, place, answer)
    added = {"type": "response.output_item.added", "output_index": index, "item": {**item, **blank}}
    done = {"type": "response.output_item.done", "output_index": index, "item": item}
    return [added, *opening], [*closing, done]


_ItemEvents = Tuple[Json, List[Json], List[Json]]


def _reasoning_events(item: Json, place: Json, answer: Answer) -> _ItemEvents:
    place = {**place, "summary_index": 0}
    part, kind = item["summary"][0], "response.reasoning_summary"
    opening = [
        {"type": f"{kind}_part.added", **place, "part": {**part, "text": ""}},
        {"type": f"{kind}_text.delta", **place, "delta": part["text"]},
    ]
    closing = [
        {"type": f"{kind}_text.done", **place, "text": part["text"]},
        {"type": f"{kind}_part.done", **place, "part": part},
    ]
    return {"summary": [], "encrypted_content": ""}, opening, closing


def _message_events(item: Json, place: Json, answer: Answer) -> _ItemEvents:
    place = {**place, "content_index": 0}
    part = item["content"][0]
    name, kind, pieces = "text", "response.output_text", answer.pieces
    if part["type"] == "refusal":
        name, kind, pieces = "refusal", "response.refusal", (part["refusal"],)
    opening = [{"type": "response.content_part.added", **place, "part": {**part, name: ""}}]
    opening += [{"type": f"{kind}.delta", **place, "delta": piece} for piece in pieces]
    closing = [
        {"type": f"{kind}.done", **place, name: part[name]},
        {"type": "response.content_part.done", **place, "part": part},
    ]
    return {"status": "in_progress", "content": []}, opening, closing


def _call_events(item: Json, place: Json, answer: Answer) -> _ItemEvents:
    kind, text = "response.function_call_arguments", item["arguments"]
    middle = len(text) // 2
    opening = [{"type": f"{kind}.delta", **place, "delta": piece} for piece in (text[:middle], text[middle:])]
    closing = [{"type": f"{kind}.done", **place, "name": item["name"], "arguments": text}]
    return {"status": "in_progress", "arguments": ""}, opening, closing


def _usage(usage: Usage) -> Json:
    read = without_none({"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write})
    written = without_none({"reasoning_tokens": usage.reasoning})
    return without_none(
        {
            "input_tokens": usage.prompt,
            "input_tokens_details": read or None,
            "output_tokens": usage.completion,
            "output_tokens_details": written or None,
            "total_tokens": usage.prompt + usage.completion,
        }
    )
