"""The JSON of a ``GenerateContentResponse`` as our response."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.providers.answers import holds_only
from llm_orchestrator.providers.calls import with_own_ids
from llm_orchestrator.providers.citations import grounding_of
from llm_orchestrator.providers.contents import NAMELESS_CALL, check_read
from llm_orchestrator.providers.finishes import finish_of
from llm_orchestrator.providers.gemini.calls import join_calls, read_arguments
from llm_orchestrator.providers.gemini.hosted import hosted_calls
from llm_orchestrator.providers.gemini.turns import (
    call_id,
    merge_text,
    read_calls,
    read_reasoning,
    read_text,
    state_to_keep,
)
from llm_orchestrator.providers.logprobs import RESULT, logprobs_of_candidate
from llm_orchestrator.providers.media import media_of_parts
from llm_orchestrator.providers.messages import answer_message
from llm_orchestrator.providers.reading import (
    as_count,
    as_list,
    as_mapping,
    as_text,
    as_text_or_none,
    other_answers,
)
from llm_orchestrator.types import (
    JSON,
    MISSING_USAGE,
    FinishReason,
    LLMResponse,
    TokenUsage,
    ToolCall,
)
from llm_orchestrator.utils.usage import counted_by_gemini, in_numbers
from llm_orchestrator.utils.values import make

__all__ = [
    "block_reason",
    "continuation_token",
    "first_candidate",
    "join_replies",
    "other_candidates",
    "parse_reply",
    "read_parts",
    "read_usage",
]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "ESCALATION": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "LANGUAGE": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "PUP_LIMITED_DISABLED": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "MALFORMED_FUNCTION_CALL": FinishReason.ERROR,
    "MALFORMED_RESPONSE": FinishReason.ERROR,
    "MISSING_THOUGHT_SIGNATURE": FinishReason.ERROR,
    "TOO_MANY_TOOL_CALLS": FinishReason.ERROR,
    "UNEXPECTED_TOOL_CALL": FinishReason.ERROR,
}
#: Fields of a part of which one says what it is; a part with none of them is of an unknown kind.
KNOWN_FIELDS = frozenset(
    {
        "codeExecutionResult",
        "executableCode",
        "fileData",
        "functionCall",
        "functionResponse",
        "inlineData",
        "text",
        "thought",
        "thoughtSignature",
        "toolCall",
        "toolResponse",
    }
)


#: Fields of a candidate that name sources, or what hosted tools did.
BESIDE = {"citationMetadata", "groundingMetadata", "urlContextMetadata"}
#: Fields of a part that holds text or a call, and those that say more of a part of any kind.
OF_TEXT = ("functionCall", "partMetadata", "text", "thought", "thoughtSignature", "type")


def parse_reply(body: JSON, provider: str) -> LLMResponse:
    """Translate a whole reply."""
    candidate = first_candidate(body)
    block = block_reason(body)
    if candidate is None and block is None:
        raise InvalidResponseError("The reply holds no answer and no reason for that. Try again.")
    candidate = candidate or {}
    parts = join_calls(read_parts(candidate))
    text = read_text(parts)
    sent = read_calls(parts)
    if not (text or sent):
        check_read([read for part in parts for read in _unread(part)])
    images, audio = media_of_parts(parts)
    beside = candidate.keys() & BESIDE
    is_text_alone = text and len(parts) == 1 and not beside
    kinds = () if text or sent or images or audio else kinds_beside_text(parts)
    response_id = as_text_or_none(body.get("responseId"))
    calls = with_own_ids(_tool_call(call, number, response_id) for number, call in enumerate(sent))
    finish = as_text_or_none(candidate.get("finishReason"))
    reason = _finish_reason(finish, block, calls)
    return make(
        LLMResponse,
        content=text,
        model=as_text(body.get("modelVersion")),
        provider=provider,
        usage=read_usage(body.get("usageMetadata")),
        finish_reason=reason,
        raw_finish_reason=finish or block,
        tool_calls=calls,
        reasoning=read_reasoning(parts),
        alternatives=tuple(read_text(read_parts(other)) for _, other in other_candidates(body)),
        warnings=holds_only(kinds),
        refusal=_refusal(body, candidate) if reason is FinishReason.CONTENT_FILTER else None,
        images=images,
        audio=audio,
        citations=grounding_of(candidate, text) if beside else (),
        message=answer_message(text, calls, provider, state_to_keep(parts, text, calls)),
        request_id=response_id,
        logprobs=logprobs_of_candidate(candidate) if RESULT in candidate else (),
        hosted_calls=() if is_text_alone else hosted_calls(candidate, parts),
    )


def first_candidate(body: JSON) -> Optional[JSON]:
    """Find the first candidate; others come only when the provider's options ask for them."""
    for candidate in as_list(body.get("candidates")):
        if isinstance(candidate, dict) and not candidate.get("index"):
            return candidate
    return None


def other_candidates(body: JSON) -> List[Tuple[int, JSON]]:
    """The candidates beside the first, in their order."""
    return other_answers(body.get("candidates"), first_candidate(body))


def read_parts(candidate: JSON) -> List[JSON]:
    """The parts of a candidate; what is a string, or an object of no kind that is known, is text."""
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else content
    listed = parts if isinstance(parts, list) else [parts] if parts else []
    return [_read_part(part) for part in listed]


def _read_part(part: Any) -> JSON:
    if not isinstance(part, dict):
        return {"text": part}
    if part.keys() & KNOWN_FIELDS or part.get("type") not in (None, "text", "output_text"):
        return part
    text = part.get("content") or part.get("output_text")
    return {"text": text} if text and isinstance(text, str) else part


def continuation_token(body: JSON) -> Optional[str]:
    """The token that a paused answer goes on with; as google-genai reads it, whose API documents it."""
    candidate = first_candidate(body) or {}
    is_paused = candidate.get("finishReason") == "CONTINUATION"
    return as_text_or_none(candidate.get("continuationToken")) if is_paused else None


def join_replies(earlier: JSON, later: JSON) -> JSON:
    """Put the parts of two replies into the candidate of the later one."""
    parts = [*read_parts(first_candidate(earlier) or {}), *read_parts(first_candidate(later) or {})]
    content = {"role": "model", "parts": merge_text(parts)}
    return {**later, "candidates": [{**(first_candidate(later) or {}), "content": content}]}


def block_reason(body: JSON) -> Optional[str]:
    """Why Gemini did not take the prompt."""
    return as_text_or_none(as_mapping(body.get("promptFeedback")).get("blockReason"))


def _unread(part: JSON) -> List[JSON]:
    """What must be understood of a part and may not be: its text, or a call of no tool that has arguments."""
    call = as_mapping(part.get("functionCall"))
    nameless = [NAMELESS_CALL] if call.get("args") and not call.get("name") else []
    return [{"type": "text", "text": part.get("text")}, *nameless]


def kinds_beside_text(parts: Sequence[JSON]) -> List[str]:
    """The fields of the parts that hold neither text nor a call."""
    return [key for part in parts for key in part if part[key] and key not in OF_TEXT]


def _refusal(body: JSON, candidate: JSON) -> Optional[str]:
    """What Gemini says about its refusal, or at least its name for it."""
    finish = as_text_or_none(candidate.get("finishReason"))
    if finish is not None:
        return as_text_or_none(candidate.get("finishMessage")) or finish
    return as_text_or_none(body["promptFeedback"].get("blockReasonMessage")) or block_reason(body)


def _finish_reason(finish: Optional[str], block: Optional[str], calls: Tuple[ToolCall, ...]) -> FinishReason:
    if finish is None:
        return FinishReason.CONTENT_FILTER if block else FinishReason.OTHER
    if finish == "STOP" and calls:
        return FinishReason.TOOL_CALLS  # Gemini says STOP for every call
    return finish_of(finish, FINISH_REASONS)


def _tool_call(call: JSON, number: int, response_id: Optional[str]) -> ToolCall:
    identifier = call_id(call, number, response_id) or _unique_id()
    return ToolCall(identifier, as_text(call.get("name")), *read_arguments(call))


def _unique_id() -> str:
    from uuid import uuid4

    return f"call_{uuid4().hex}"


def read_usage(raw: Any) -> TokenUsage:
    """Translate a usage object."""
    reported = in_numbers(as_mapping(raw))
    if not reported:
        return MISSING_USAGE
    usage = counted_by_gemini(reported)
    prompt = _sum(usage, "promptTokenCount", "toolUsePromptTokenCount")
    completion = _sum(usage, "candidatesTokenCount", "thoughtsTokenCount")
    total = _sum(usage, "totalTokenCount")
    if completion is None and prompt is not None and total is not None:
        completion = as_count(total - prompt)  # a count of zero is not sent
    return make(
        TokenUsage,
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=total,
        cached_tokens=_sum(usage, "cachedContentTokenCount"),
        reasoning_tokens=_sum(usage, "thoughtsTokenCount"),
        raw=reported,
    )


def _sum(usage: JSON, *names: str) -> Optional[int]:
    """The sum of the counts that were reported; None when none was."""
    counts = [count for name in names if (count := as_count(usage.get(name))) is not None]
    return sum(counts) if counts else None
