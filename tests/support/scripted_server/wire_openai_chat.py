"""OpenAI Chat Completions as documented; also what compatible servers speak."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from tests.support.scripted_server.connection import Request
from tests.support.scripted_server.replies import Pieces, Reply
from tests.support.scripted_server.wire_base import (
    CREATED,
    USAGE,
    Answer,
    Event,
    Json,
    Usage,
    Wishes,
    new_id,
    texts,
    without_none,
)
from tests.support.scripted_server.wire_openai import OpenAIDialect


class OpenAIChat(OpenAIDialect):
    """``POST /v1/chat/completions``."""

    name = "chat"
    api = "chat"
    endpoint = r"/chat/completions$"

    def path(self, model: str, stream: bool) -> str:
        """The same path for every model, whole and streamed."""
        return "/v1/chat/completions"

    def stream(
        self, pieces: Sequence[str] = ("Hello", "."), *, usage: Optional[Usage] = USAGE, **keywords: Any
    ) -> Reply:
        """A streamed answer; its usage is sent only where the request asked with ``stream_options``."""
        asked = super().stream(pieces, usage=usage, **keywords)
        silent = super().stream(pieces, usage=None, **keywords)

        def chunks(request: Optional[Request]) -> Pieces:
            return (asked if request is None or _asks_for_usage(request) else silent).pieces()

        return asked.but(chunks=chunks)

    def document(self, answer: Answer) -> Json:
        """One choice, as every request of ours asks for."""
        message = {
            "role": "assistant",
            "content": None if answer.refusal else answer.text or None,
            "refusal": answer.refusal,
            "annotations": [],
            **_extras(answer),
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(answer)}
        return {
            **_frame(answer, "chat.completion"),
            "choices": [choice],
            **without_none({"usage": answer.usage and _usage(answer.usage)}),
        }

    def events(self, answer: Answer, complete: bool) -> Iterator[Event]:
        """The role first, then pieces, the finish reason, the usage without a choice, and ``[DONE]``."""
        frame = _frame(answer, "chat.completion.chunk")
        if answer.usage:
            frame["usage"] = None
        for delta in _deltas(answer):
            yield {**frame, "choices": [_choice(delta)]}
        if complete:
            yield {**frame, "choices": [_choice({}, _finish_reason(answer))]}
            if answer.usage:
                yield {**frame, "choices": [], "usage": _usage(answer.usage)}
            yield "[DONE]"

    def error_event(self, status: int, code: str, message: str) -> Event:
        """An error object in place of a chunk."""
        return self.error_body(status, code, message, None)

    def read_request(self, body: Json, path: str) -> Json:
        """The request in neutral words."""
        turns = [(message["role"], texts(message.get("content"))) for message in body["messages"]]
        system = "\n".join(text for role, text in turns if role in ("system", "developer"))
        stop = body.get("stop")
        return {
            "model": body["model"],
            "system": system or None,
            "messages": [turn for turn in turns if turn[0] not in ("system", "developer")],
            "stream": bool(body.get("stream")),
            "temperature": body.get("temperature"),
            "max_tokens": body.get("max_completion_tokens", body.get("max_tokens")),
            "top_p": body.get("top_p"),
            "top_k": body.get("top_k"),
            "seed": body.get("seed"),
            "stop": [stop] if isinstance(stop, str) else stop,
            "tools": [function["name"] for function in _functions(body)] or None,
        }

    def read_wishes(self, body: Json) -> Wishes:
        """Tools and schema in their wrappers, and the effort."""
        return Wishes(
            {function["name"]: function.get("parameters", {}) for function in _functions(body)},
            body.get("response_format", {}).get("json_schema", {}).get("schema"),
            body.get("reasoning_effort", "none") != "none",
        )


def _functions(body: Json) -> List[Json]:
    """The functions among the tools; a host runs the others itself."""
    return [tool["function"] for tool in body.get("tools", []) if "function" in tool]


def _asks_for_usage(request: Request) -> bool:
    options = (request.body or {}).get("stream_options") or {}
    return bool(options.get("include_usage"))


def _frame(answer: Answer, kind: str) -> Json:
    return {
        "id": new_id("chatcmpl-"),
        "object": kind,
        "created": CREATED,
        "model": answer.model,
        "service_tier": "default",
        "system_fingerprint": "fp_scripted",
    }


def _finish_reason(answer: Answer) -> str:
    return "tool_calls" if answer.tool_calls and answer.finish == "stop" else answer.finish


def _extras(answer: Answer) -> Json:
    calls = [_call(call.id, call.name, call.text) for call in answer.tool_calls]
    # OpenAI shows no reasoning here; compatible servers put it beside the content.
    return without_none({"tool_calls": calls or None, "reasoning_content": answer.reasoning})


def _call(ident: Optional[str], name: str, arguments: str) -> Json:
    return {
        "id": ident or new_id("call_"),
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _choice(delta: Json, finish_reason: Optional[str] = None) -> Json:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _deltas(answer: Answer) -> Iterator[Json]:
    yield {"role": "assistant", "content": None if answer.tool_calls else "", "refusal": None}
    if answer.reasoning:
        yield {"reasoning_content": answer.reasoning}
    if answer.refusal:
        yield {"refusal": answer.refusal}
        return
    for piece in answer.pieces:
        yield {"content": piece}
    for index, call in enumerate(answer.tool_calls):
        yield {"tool_calls": [{"index": index, **_call(call.id, call.name, "")}]}
    for index, fragment in _interleaved(answer):
        yield {"tool_calls": [{"index": index, "function": {"arguments": fragment}}]}


def _interleaved(answer: Answer) -> Iterator[Tuple[int, str]]:
    """First the first fragment of every call, then the second: a reader has to go by the index."""
    for turn in range(2):
        for index, call in enumerate(answer.tool_calls):
            if turn < len(call.fragments):
                yield index, call.fragments[turn]


def _usage(usage: Usage) -> Dict[str, Any]:
    prompt_details = without_none({"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write})
    completion_details = without_none({"reasoning_tokens": usage.reasoning})
    return without_none(
        {
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.completion,
            "total_tokens": usage.prompt + usage.completion,
            "prompt_tokens_details": prompt_details or None,
            "completion_tokens_details": completion_details or None,
        }
    )
