"""The JSON of a message as our response."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.providers.answers import holds_only
from llm_orchestrator.providers.anthropic.hosted import hosted_calls
from llm_orchestrator.providers.anthropic.turns import (
    blocks_in,
    kinds_beside_text,
    read_calls,
    read_reasoning,
    read_text,
    state_to_keep,
    unread_blocks,
    with_own_calls,
)
from llm_orchestrator.providers.citations import cited_blocks
from llm_orchestrator.providers.contents import check_read
from llm_orchestrator.providers.finishes import finish_of
from llm_orchestrator.providers.messages import answer_message
from llm_orchestrator.providers.reading import as_count, as_mapping, as_text, as_text_or_none
from llm_orchestrator.types import JSON, MISSING_USAGE, FinishReason, LLMResponse, TokenUsage
from llm_orchestrator.utils.usage import in_numbers
from llm_orchestrator.utils.values import make

__all__ = ["parse_reply", "read_usage"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}


def parse_reply(body: JSON, provider: str) -> LLMResponse:
    """Translate a whole reply."""
    content = body.get("content")
    is_message = body.get("type") == "message" or body.get("role") == "assistant"
    if not isinstance(content, list) and not is_message:
        raise InvalidResponseError(
            "The reply is not a message of the Anthropic API. Check base_url, or try again."
        )
    blocks = with_own_calls(blocks_in(content))
    text, calls = read_text(blocks), read_calls(blocks)
    if not (text or calls):
        check_read(unread_blocks(blocks))
    kinds = () if text or calls else kinds_beside_text(blocks)
    stop_reason = as_text_or_none(body.get("stop_reason"))
    return make(
        LLMResponse,
        content=text,
        model=as_text(body.get("model")),
        provider=provider,
        usage=read_usage(body.get("usage")),
        finish_reason=_finish_reason(stop_reason, calls),
        raw_finish_reason=stop_reason,
        tool_calls=calls,
        reasoning=read_reasoning(blocks),
        warnings=holds_only(kinds),
        refusal=_refusal(body) if stop_reason == "refusal" else None,
        citations=cited_blocks(blocks),
        message=answer_message(text, calls, provider, state_to_keep(blocks, text, calls)),
        cache_miss_reason=_cache_miss_reason(body),
        hosted_calls=hosted_calls(blocks),
    )


def _cache_miss_reason(body: JSON) -> Optional[str]:
    """Why the prompt cache could not be used, where the call asked for ``diagnostics``."""
    reason = as_mapping(body.get("diagnostics")).get("cache_miss_reason")
    return as_text_or_none(as_mapping(reason).get("type"))


def _finish_reason(stop_reason: Optional[str], calls: Sequence[Any]) -> FinishReason:
    reason = finish_of(stop_reason or "", FINISH_REASONS)
    return FinishReason.TOOL_CALLS if calls and reason is FinishReason.STOP else reason


def _refusal(body: JSON) -> str:
    details = as_mapping(body.get("stop_details"))
    return as_text(details.get("explanation")) or as_text(details.get("category")) or "refusal"


def read_usage(raw: Any) -> TokenUsage:
    """Translate a usage object; its ``input_tokens`` leave out what was read from and written to a cache."""
    usage = in_numbers(as_mapping(raw))
    if not usage:
        return MISSING_USAGE
    uncached, completion = as_count(usage.get("input_tokens")), as_count(usage.get("output_tokens"))
    cached = as_count(usage.get("cache_read_input_tokens"))
    written = as_count(usage.get("cache_creation_input_tokens"))
    prompt = None if uncached is None else uncached + (cached or 0) + (written or 0)
    details = as_mapping(usage.get("output_tokens_details"))
    return make(
        TokenUsage,
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=None if prompt is None or completion is None else prompt + completion,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=as_count(details.get("thinking_tokens")),
        raw=usage,
    )
