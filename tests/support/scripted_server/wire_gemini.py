"""Gemini generateContent as documented: parts in candidates; a stream is a row of such answers, with CRLF."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple, Union

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
    share,
    texts,
    without_none,
)

FINISHES = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}

CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

FAILURES = {
    "bad_key": (400, "API_KEY_INVALID", "API key not valid. Please pass a valid API key."),
    "permission": (403, "PERMISSION_DENIED", "The caller does not have permission."),
    "rate_limit": (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted, please try again later."),
    "model_not_found": (404, "NOT_FOUND", "models/no-such-model is not found for API version v1beta."),
    "context_length": (
        400,
        "INVALID_ARGUMENT",
        "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
    ),
    "bad_request": (400, "INVALID_ARGUMENT", "contents is not specified."),
    "server": (500, "INTERNAL", "An internal error has occurred. Please retry."),
    "overloaded": (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
}


class Gemini(Dialect):
    """``POST /v1beta/models/{model}:generateContent`` and ``:streamGenerateContent?alt=sse``."""

    name = "gemini"
    provider = "gemini"
    endpoint = r"/models/[^/]+:(generateContent|streamGenerateContent)$"
    newline = "\r\n"
    retry_after_forms = ("seconds", "date", "milliseconds", "body")
    signature = SIGNATURE
    codes = CODES
    failures = FAILURES

    def path(self, model: str, stream: bool) -> str:
        """The model and the manner of answering are in the path."""
        return f"/v1beta/models/{model}:{'streamGenerateContent' if stream else 'generateContent'}"

    def is_listing(self, path: str, headers: Mapping[str, str]) -> bool:
        """Gemini's API version tells it from the others."""
        return path.startswith("/v1beta/models")

    def document(self, answer: Answer) -> Json:
        """One candidate; a refusal is a blocked prompt without any."""
        if answer.refusal is not None:
            blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
            return {**blocked, **_frame(answer, new_id("resp-"), _usage(answer.usage, written=0))}
        parts = [*_parts(answer), *_call_parts(answer)]
        if answer.reasoning and not answer.tool_calls and answer.pieces:
            parts[-1]["thoughtSignature"] = SIGNATURE
        return {
            "candidates": [_candidate(parts, _finish_reason(answer))],
            **_frame(answer, new_id("resp-"), _usage(answer.usage)),
        }

    def events(self, answer: Answer, complete: bool) -> Iterator[Event]:
        """A chunk for each part with the usage so far; the last one also has the finish reason."""
        if answer.refusal is not None:
            yield self.document(answer)
            return
        parts, response_id = [*_parts(answer), *_call_parts(answer)], new_id("resp-")
        for count, part in enumerate(parts, 1):
            written = share(answer.usage.completion, count, len(parts)) if answer.usage else 0
            frame = _frame(answer, response_id, _usage(answer.usage, written))
            yield {"candidates": [_candidate([part])], **frame}
        if complete:
            last: Json = {"text": ""}
            if answer.reasoning and not answer.tool_calls:
                last["thoughtSignature"] = SIGNATURE
            frame = _frame(answer, response_id, _usage(answer.usage))
            yield {"candidates": [_candidate([last], _finish_reason(answer))], **frame}

    def error_body(self, status: int, code: str, message: str, parameter: Optional[str]) -> Json:
        """A Google API error; a bad key is an invalid argument whose reason is in the details."""
        details: List[Json] = []
        if code == "API_KEY_INVALID":
            details.append(_detail("ErrorInfo", reason=code, domain="googleapis.com"))
            code = "INVALID_ARGUMENT"
        if parameter:
            message = f"Invalid value at 'generation_config.{parameter}': not supported by this model."
            violation = {"field": f"generation_config.{parameter}", "description": message}
            details.append(_detail("BadRequest", fieldViolations=[violation]))
        error = {"code": status, "message": message, "status": code}
        return {"error": {**error, **({"details": details} if details else {})}}

    def error_event(self, status: int, code: str, message: str) -> Event:
        """The same error as a chunk."""
        return self.error_body(status, code, message, None)

    def _retry_after(self, body: Json, wait: Union[float, str], form: str) -> Dict[str, str]:
        if form != "body":
            return super()._retry_after(body, wait, form)
        body["error"].setdefault("details", []).append(_detail("RetryInfo", retryDelay=f"{wait}s"))
        return {}

    def model_entry(self, name: str) -> Json:
        """A model with its limits and what it can be asked for."""
        return {
            "name": f"models/{name}",
            "version": "001",
            "displayName": name.replace("-", " ").title(),
            "description": "A scripted model.",
            "inputTokenLimit": 1048576,
            "outputTokenLimit": 65536,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
            "thinking": True,
            "temperature": 1,
            "maxTemperature": 2,
        }

    def listing(self, entries: List[Json], more: bool) -> Json:
        """A page, with a token for the next one."""
        return {"models": entries, **({"nextPageToken": new_id("page-")} if more else {})}

    def read_request(self, body: Json, path: str) -> Json:
        """The request in neutral words; function results become turns of their own."""
        settings = body.get("generationConfig") or {}
        found = re.search(r"/models/([^/]+):(\w+)$", path)
        model, method = found.groups() if found else (None, None)
        tools = [f["name"] for tool in body.get("tools", []) for f in tool.get("functionDeclarations", [])]
        return {
            "model": model,
            "system": texts((body.get("systemInstruction") or {}).get("parts")) or None,
            "messages": [turn for content in body["contents"] for turn in _turns(content)],
            "stream": method == "streamGenerateContent",
            "temperature": settings.get("temperature"),
            "max_tokens": settings.get("maxOutputTokens"),
            "top_p": settings.get("topP"),
            "top_k": settings.get("topK"),
            "seed": settings.get("seed"),
            "stop": settings.get("stopSequences"),
            "tools": tools or None,
        }

    def read_wishes(self, body: Json) -> Wishes:
        """Declared functions, and what the generation is to be like."""
        settings = body.get("generationConfig", {})
        functions = [f for tool in body.get("tools", []) for f in tool.get("functionDeclarations", [])]
        return Wishes(
            {function["name"]: function.get("parametersJsonSchema", {}) for function in functions},
            settings.get("responseJsonSchema"),
            settings.get("thinkingConfig", {}).get("includeThoughts", False),
        )


def _turns(content: Json) -> Iterator[Tuple[str, str]]:
    results = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
    for result in results:
        response = result["response"]
        yield "tool", str(response["result"] if set(response) == {"result"} else response)
    rest = [part for part in content["parts"] if "functionResponse" not in part and not part.get("thought")]
    if rest or not results:
        yield "assistant" if content.get("role") == "model" else "user", texts(rest)


def _frame(answer: Answer, response_id: str, usage: Optional[Json]) -> Json:
    return without_none({"usageMetadata": usage, "modelVersion": answer.model, "responseId": response_id})


def _candidate(parts: List[Json], finish_reason: Optional[str] = None) -> Json:
    content = {"parts": parts, "role": "model"}
    return without_none({"content": content, "finishReason": finish_reason, "index": 0})


def _finish_reason(answer: Answer) -> str:
    return FINISHES.get(answer.finish, answer.finish)


def _parts(answer: Answer) -> List[Json]:
    thoughts: List[Json] = [{"text": answer.reasoning, "thought": True}] if answer.reasoning else []
    return thoughts + [{"text": piece} for piece in answer.pieces]


def _call_parts(answer: Answer) -> List[Json]:
    """The calls; the signature of the reasoning before them sits on the first."""
    parts: List[Json] = [{"functionCall": _call(call)} for call in answer.tool_calls]
    if parts and answer.reasoning:
        parts[0]["thoughtSignature"] = SIGNATURE
    return parts


def _call(call: Call) -> Json:
    return without_none({"name": call.name, "args": dict(call.arguments) or None, "id": call.id})


def _usage(usage: Optional[Usage], written: Optional[int] = None) -> Optional[Json]:
    """The counts; ``written`` is the completion so far, None when all of it is there."""
    if usage is None:
        return None
    completion = usage.completion if written is None else written
    thoughts = None if usage.reasoning is None else min(usage.reasoning, completion)
    return without_none(
        {
            "promptTokenCount": usage.prompt,
            # A count that is zero is not sent.
            "candidatesTokenCount": completion - (thoughts or 0) or None,
            "totalTokenCount": usage.prompt + completion,
            "cachedContentTokenCount": usage.cached,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.prompt}],
            "thoughtsTokenCount": thoughts,
        }
    )


def _detail(kind: str, **fields: Any) -> Json:
    return {"@type": f"type.googleapis.com/google.rpc.{kind}", **fields}
