"""From Anthropic's JSON to our values: a whole message, its usage, and a page of the listing of models."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.providers.anthropic.turns import as_text, assistant_message, read_calls, read_text
from llm_orchestrator.providers.reading import as_count
from llm_orchestrator.types import JSON, MISSING_USAGE, FinishReason, LLMResponse, ModelInfo, TokenUsage

__all__ = ["read_models", "read_reply", "read_usage"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}


def read_reply(body: JSON, provider: str) -> LLMResponse:
    """Translate a message."""
    content = body.get("content")
    if not isinstance(content, list):
        if body.get("type") != "message":
            raise InvalidResponseError(
                "The reply is no message of the Anthropic API. Check base_url, or try again."
            )
        content = []
    blocks = [block for block in content if isinstance(block, dict)]
    calls = read_calls(blocks)
    stop_reason = as_text(body.get("stop_reason")) or None
    return LLMResponse(
        content=read_text(blocks),
        model=as_text(body.get("model")),
        provider=provider,
        usage=read_usage(body.get("usage")),
        finish_reason=_finish_reason(stop_reason, calls),
        raw_finish_reason=stop_reason,
        tool_calls=calls,
        reasoning=read_text(blocks, "thinking") or None,
        refusal=_refusal(body) if stop_reason == "refusal" else None,
        message=assistant_message(blocks, provider),
    )


def _finish_reason(stop_reason: Optional[str], calls: Sequence[Any]) -> FinishReason:
    reason = FINISH_REASONS.get(stop_reason or "", FinishReason.OTHER)
    return FinishReason.TOOL_CALLS if calls and reason is FinishReason.STOP else reason


def _refusal(body: JSON) -> str:
    details = body.get("stop_details")
    details = details if isinstance(details, dict) else {}
    return as_text(details.get("explanation")) or as_text(details.get("category")) or "refusal"


def read_usage(usage: Any) -> TokenUsage:
    """Translate a usage object; its ``input_tokens`` leave out what was read from and written to a cache."""
    if not isinstance(usage, dict) or not usage:
        return MISSING_USAGE
    details = usage.get("output_tokens_details")
    uncached, completion = as_count(usage.get("input_tokens")), as_count(usage.get("output_tokens"))
    cached = as_count(usage.get("cache_read_input_tokens"))
    written = as_count(usage.get("cache_creation_input_tokens"))
    prompt = None if uncached is None else uncached + (cached or 0) + (written or 0)
    return TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=None if prompt is None or completion is None else prompt + completion,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=(as_count(details.get("thinking_tokens")) if isinstance(details, dict) else None),
        raw=usage,
    )


def read_models(body: JSON, provider: str) -> Tuple[List[ModelInfo], Optional[str]]:
    """Translate one page of ``GET /v1/models``."""
    entries = body.get("data")
    if not isinstance(entries, list):
        raise InvalidResponseError("The reply is no listing of models. Check base_url, or try again.")
    models = [_model(entry, provider) for entry in entries if isinstance(entry, dict) and entry.get("id")]
    cursor = as_text(body.get("last_id")) if body.get("has_more") is True else ""
    return models, cursor or None


def _model(entry: JSON, provider: str) -> ModelInfo:
    lifecycle = entry.get("lifecycle")
    capabilities = entry.get("capabilities")
    return ModelInfo(
        name=str(entry["id"]),
        provider=provider,
        deprecated=lifecycle in ("deprecated", "retired")
        or (not lifecycle and bool(entry.get("deprecated_at"))),
        created_at=as_text(entry.get("created_at")) or None,
        retires_at=as_text(entry.get("retires_at")) or None,
        context_window=as_count(entry.get("max_input_tokens")),
        max_output_tokens=as_count(entry.get("max_tokens")),
        display_name=as_text(entry.get("display_name")) or None,
        capabilities=capabilities if isinstance(capabilities, dict) else None,
        exclusion="the provider has retired it" if lifecycle == "retired" else None,
    )
