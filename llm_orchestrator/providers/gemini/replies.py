"""What Gemini answers, in our words: whole replies, the pieces of streams, and what went wrong.

A stream is a row of answers, each with some parts of the only candidate. They are put together to the
document that an answer without streaming would have been, so that both are read by the same function.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Dict, List, Mapping, Optional, Tuple

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.providers.failures import Failure, error_of_failure
from llm_orchestrator.providers.gemini.content import calls_of, merge_text, reasoning_of, state_of, text_of
from llm_orchestrator.providers.reading import as_count
from llm_orchestrator.providers.wire import StreamState
from llm_orchestrator.types import (
    JSON,
    MISSING_USAGE,
    FinishReason,
    LLMResponse,
    Message,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallDelta,
    arguments_text,
)
from llm_orchestrator.utils.json import merged

__all__ = ["assemble_reply", "read_event", "read_failure", "read_reply"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "MALFORMED_FUNCTION_CALL": FinishReason.ERROR,
    "MALFORMED_RESPONSE": FinishReason.ERROR,
    "MISSING_THOUGHT_SIGNATURE": FinishReason.ERROR,
    "TOO_MANY_TOOL_CALLS": FinishReason.ERROR,
    "UNEXPECTED_TOOL_CALL": FinishReason.ERROR,
}


# ---------------------------------------------------------------- whole replies


def read_reply(body: JSON, provider: str) -> LLMResponse:
    """Translate a whole answer."""
    if "error" in body:
        failure = error_of_failure(read_failure(body, None, {}))
        raise failure
    candidate = _candidate(body)
    block = _block_reason(body)
    if candidate is None and block is None:
        raise InvalidResponseError("Gemini sent no answer and no reason why. Try again.")
    candidate = candidate or {}
    parts = _parts(candidate)
    text = text_of(parts)
    response_id = _string(body.get("responseId"))
    calls = tuple(_tool_call(call, number, response_id) for number, call in enumerate(calls_of(parts)))
    finish = _string(candidate.get("finishReason"))
    reason = _finish_reason(finish, block, calls)
    message = Message("assistant", text or None, calls, provider=provider)
    return LLMResponse(
        content=text,
        model=_string(body.get("modelVersion")) or "",
        provider=provider,
        usage=_usage(body.get("usageMetadata")),
        finish_reason=reason,
        raw_finish_reason=finish or block,
        tool_calls=calls,
        reasoning=reasoning_of(parts),
        refusal=_refusal(body, candidate) if reason is FinishReason.CONTENT_FILTER else None,
        message=replace(message, provider_state=state_of(message, parts)),
        request_id=response_id,
    )


def _candidate(body: JSON) -> Optional[JSON]:
    candidates = body.get("candidates")
    first = candidates[0] if isinstance(candidates, list) and candidates else None
    return first if isinstance(first, dict) else None


def _parts(candidate: JSON) -> List[JSON]:
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _block_reason(body: JSON) -> Optional[str]:
    feedback = body.get("promptFeedback")
    return _string(feedback.get("blockReason")) if isinstance(feedback, dict) else None


def _refusal(body: JSON, candidate: JSON) -> Optional[str]:
    """What Gemini says about its refusal, or at least its name for it."""
    if _string(candidate.get("finishReason")):
        return _string(candidate.get("finishMessage")) or _string(candidate.get("finishReason"))
    return _string(body["promptFeedback"].get("blockReasonMessage")) or _block_reason(body)


def _finish_reason(finish: Optional[str], block: Optional[str], calls: Tuple[ToolCall, ...]) -> FinishReason:
    if finish is None:
        return FinishReason.CONTENT_FILTER if block else FinishReason.OTHER
    if finish == "STOP" and calls:
        return FinishReason.TOOL_CALLS  # Gemini says STOP for every call
    return FINISH_REASONS.get(finish, FinishReason.OTHER)


def _tool_call(call: JSON, number: int, response_id: Optional[str]) -> ToolCall:
    arguments = call.get("args")
    if arguments is None:
        arguments = {}
    return ToolCall(
        _call_id(call, number, response_id) or _unique_id(),
        _string(call.get("name")) or "",
        arguments if isinstance(arguments, dict) else None,
        arguments_text(arguments),
    )


def _call_id(call: JSON, number: int, response_id: Optional[str]) -> Optional[str]:
    """Gemini's id of a call, or one made of the answer's id: the same whether it is streamed or not."""
    return _string(call.get("id")) or (f"call_{response_id}_{number}" if response_id else None)


def _unique_id() -> str:
    from uuid import uuid4

    return f"call_{uuid4().hex}"


def _usage(usage: Any) -> TokenUsage:
    if not isinstance(usage, dict) or not usage:
        return MISSING_USAGE
    prompt = _sum(usage, "promptTokenCount", "toolUsePromptTokenCount")
    completion = _sum(usage, "candidatesTokenCount", "thoughtsTokenCount")
    total = _sum(usage, "totalTokenCount")
    if completion is None and prompt is not None and total is not None:
        completion = as_count(total - prompt)  # a count of zero is not sent
    return TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=total,
        cached_tokens=_sum(usage, "cachedContentTokenCount"),
        reasoning_tokens=_sum(usage, "thoughtsTokenCount"),
        raw=usage,
    )


def _sum(usage: JSON, *names: str) -> Optional[int]:
    """The sum of the counts that were told; None when none was."""
    counts = [count for count in (as_count(usage.get(name)) for name in names) if count is not None]
    return sum(counts) if counts else None


def _string(value: Any) -> Optional[str]:
    return value if isinstance(value, str) and value else None


# ---------------------------------------------------------------- streams


#: What every event says of its candidate again, beside the new parts in its content.
_REPEATED_KEYS = frozenset({"content", "index"})


def read_event(event: JSON, state: StreamState) -> List[StreamEvent]:
    """Translate one event of a stream."""
    if "error" in event:
        failure = error_of_failure(read_failure(event, None, state.headers))
        raise failure
    reply = state.reply
    if not reply:
        reply.update(document={}, candidate=None, parts=[], calls=0)
    for key, value in event.items():
        if value and key != "candidates":
            reply["document"][key] = value  # counts are cumulative: the last object replaces the one before
    if _block_reason(event) is not None:
        state.complete = True
    candidate = _candidate(event)
    if candidate is None:
        return []
    if _string(candidate.get("finishReason")):
        state.complete = True
    parts = _parts(candidate)
    reply["parts"] += parts
    if candidate.keys() - _REPEATED_KEYS or reply["candidate"] is None:
        rest = {key: value for key, value in candidate.items() if key != "content" and value is not None}
        reply["candidate"] = merged(reply["candidate"] or {}, rest)
    return [piece for part in parts for piece in _pieces(part, reply)]


def _pieces(part: JSON, reply: Dict[str, Any]) -> List[StreamEvent]:
    pieces: List[StreamEvent] = []
    text = _string(part.get("text"))
    if text:
        pieces.append(ReasoningDelta(text) if part.get("thought") is True else TextDelta(text))
    call = part.get("functionCall")
    if isinstance(call, dict):
        number = reply["calls"]
        reply["calls"] += 1
        identifier = _call_id(call, number, _string(reply["document"].get("responseId")))
        arguments = arguments_text(call.get("args"))
        pieces.append(ToolCallDelta(number, identifier, _string(call.get("name")), arguments))
    return pieces


def assemble_reply(state: StreamState) -> Dict[str, Any]:
    """Put a stream together."""
    reply = state.reply
    if not reply:
        return {}
    if reply["candidate"] is None:
        return dict(reply["document"])
    content = {"content": {"parts": merge_text(reply["parts"]), "role": "model"}} if reply["parts"] else {}
    return {"candidates": [{**content, **reply["candidate"]}], **reply["document"]}


# ---------------------------------------------------------------- failures

THINKING = re.compile(r"thinking[ _](level|budget|mode)", re.IGNORECASE)
#: A model that cannot but think says so in these words, which name no parameter.
ALWAYS_THINKS = "only works in thinking mode"
CONFIG_FIELD = re.compile(r"(generation_?config|tool_?config)\.(.*\.)?(?P<name>\w+)", re.IGNORECASE)


def read_failure(body: JSON, status_code: Optional[int], headers: Mapping[str, str]) -> Failure:
    """Read Gemini's description of a failure."""
    error = body.get("error")
    if not isinstance(error, dict):
        error = {"message": _string(error) or _string(body.get("message"))}
    message = _string(error.get("message")) or ""
    details = error.get("details")
    details = [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []
    reasons = [_string(detail.get("reason")) for detail in details]
    codes = [code for code in (*reasons, _string(error.get("status"))) if code]
    if ALWAYS_THINKS in message:
        codes.append("unsupported_value")
    code = error.get("code")
    if status_code is None and isinstance(code, int):
        status_code = code
    waits = [wait for wait in map(_retry_delay, details) if wait is not None]
    return Failure(
        message,
        status_code,
        tuple(codes),
        _parameter(message, details),
        headers,
        waits[0] if waits else None,
    )


def _retry_delay(detail: JSON) -> Optional[float]:
    """The seconds of a ``RetryInfo``, written as ``"38s"``."""
    match = re.fullmatch(r"(\d+(\.\d+)?)s", _string(detail.get("retryDelay")) or "")
    return float(match[1]) if match else None


def _parameter(message: str, details: List[JSON]) -> Optional[str]:
    """The setting at fault: from a ``BadRequest`` detail, or from the words for thinking, which have none."""
    for detail in details:
        violations = detail.get("fieldViolations")
        for violation in violations if isinstance(violations, list) else []:
            field = violation.get("field") if isinstance(violation, dict) else None
            match = CONFIG_FIELD.fullmatch(_string(field) or "")
            if match:
                return match["name"]
    return "thinking_level" if THINKING.search(message) else None
