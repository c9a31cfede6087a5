"""The JSON of a response as ours."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.providers.answers import holds_only
from llm_orchestrator.providers.citations import cited_parts
from llm_orchestrator.providers.contents import check_read, refusal_in, text_in
from llm_orchestrator.providers.failures import error_of_failure
from llm_orchestrator.providers.finishes import finish_of
from llm_orchestrator.providers.logprobs import logprobs_of_parts
from llm_orchestrator.providers.media import media_of_items
from llm_orchestrator.providers.messages import answer_message
from llm_orchestrator.providers.openai.failures import parse_failure
from llm_orchestrator.providers.openai.responses.hosted import hosted_calls
from llm_orchestrator.providers.openai.responses.turns import (
    items_beside_messages,
    items_of,
    kinds_beside_text,
    message_parts,
    read_calls,
    read_reasoning,
    read_text,
    state_to_keep,
    unread_calls,
    waiting_items,
    with_own_call_ids,
)
from llm_orchestrator.providers.openai.usage import read_usage
from llm_orchestrator.providers.reading import as_mapping, as_text, as_text_or_none
from llm_orchestrator.types import JSON, FinishReason, LLMResponse
from llm_orchestrator.utils.values import make

__all__ = ["UNFINISHED", "parse_reply"]

STRUCTURED_FORMATS = ("json_schema", "json_object")
INCOMPLETE_REASONS: Mapping[str, FinishReason] = {
    "max_output_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}
CACHE_HIT = "cache_hit"
#: What a response is that has no end, and that nobody makes any longer for this call.
UNFINISHED = ("canceled", "cancelled", "in_progress", "paused", "queued")


def parse_reply(body: JSON, provider: str) -> LLMResponse:
    """Translate a whole reply."""
    if body.get("status") == "failed":
        failure = error_of_failure(parse_failure(body, None, {}))
        raise failure
    output = body.get("output")
    is_there = isinstance(output, (list, str)) or items_of(body)
    is_paid = body.get("status") == "completed" and body.get("usage")
    if not (is_there or is_paid) and body.get("status") != "incomplete":  # cut off before the first
        raise InvalidResponseError("The reply holds no output. Try again, or check api and base_url.")
    items = with_own_call_ids(items_of(body))
    parts, others = message_parts(items), items_beside_messages(items)
    text = read_text(items, structured=True) if _is_structured(body) else text_in(parts)
    calls = read_calls(others)
    refusal = refusal_in(parts) or None
    if not (text or calls or refusal):
        check_read([*parts, *unread_calls(others)])
    waiting = waiting_items(others)
    images = media_of_items(others).images
    finish_reason, raw_finish_reason = _finish_reason(body, calls, refusal, waiting)
    state = state_to_keep(items, waiting, refusal)
    return make(
        LLMResponse,
        content=text,
        model=as_text(body.get("model")),
        provider=provider,
        usage=read_usage(body.get("usage"), "input_tokens", "output_tokens"),
        finish_reason=finish_reason,
        raw_finish_reason=raw_finish_reason,
        tool_calls=calls,
        reasoning=read_reasoning(others, parts),
        refusal=refusal,
        warnings=_warnings(waiting)
        or holds_only(() if text or calls or refusal or images else kinds_beside_text(others)),
        images=images,
        citations=cited_parts(parts, text),
        message=answer_message(text, calls, provider, state),
        cache_miss_reason=_cache_miss_reason(body),
        logprobs=logprobs_of_parts(parts),
        hosted_calls=hosted_calls(others, waiting) if others else (),
    )


def _cache_miss_reason(body: JSON) -> Optional[str]:
    """Why the prompt cache could not be used, where the call named a response to compare with."""
    diagnostics = as_mapping(body.get("prompt_cache_diagnostics"))
    if not diagnostics or diagnostics.get("type") == CACHE_HIT:
        return None
    return as_text_or_none(diagnostics.get("reason")) or as_text_or_none(diagnostics.get("type"))


def _is_structured(body: JSON) -> bool:
    text_format = as_mapping(as_mapping(body.get("text")).get("format"))
    return text_format.get("type") in STRUCTURED_FORMATS


def _warnings(waiting: Sequence[JSON]) -> Tuple[str, ...]:
    if not waiting:
        return ()
    kinds = sorted({as_text(item.get("type")) for item in waiting})
    return tuple(
        f"The model waits for an answer to its {kind}, which is in raw_response['output']." for kind in kinds
    )


def _finish_reason(
    body: JSON, calls: Sequence[Any], refusal: Optional[str], waiting: Sequence[JSON]
) -> Tuple[FinishReason, Optional[str]]:
    status = as_text_or_none(body.get("status"))
    if status == "incomplete":
        reason = as_text(as_mapping(body.get("incomplete_details")).get("reason"))
        return finish_of(reason, INCOMPLETE_REASONS), reason or status
    if status != "completed":
        return FinishReason.OTHER, status
    if calls:
        return FinishReason.TOOL_CALLS, status
    if waiting:
        return FinishReason.OTHER, status
    return (FinishReason.CONTENT_FILTER if refusal else FinishReason.STOP), status
