"""The JSON of a chat completion as our response."""

from __future__ import annotations

from collections import abc
from typing import Any, Mapping, Optional, Tuple

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.providers.openai.chat.parts import read_content
from llm_orchestrator.providers.openai.chat.turns import REASONING_KEYS, read_calls, state_to_keep
from llm_orchestrator.providers.openai.usage import read_usage
from llm_orchestrator.providers.reading import as_text
from llm_orchestrator.types import JSON, FinishReason, LLMResponse, Message, ToolCall
from llm_orchestrator.utils.values import make

__all__ = ["first_choice", "parse_reply"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}


def parse_reply(body: JSON, provider: str) -> LLMResponse:
    """Translate a whole reply."""
    choice = first_choice(body)
    message = choice.get("message")
    if not isinstance(message, abc.Mapping):
        raise InvalidResponseError(
            "The reply holds no message. Try again, or check that base_url leads to a server of this API."
        )
    text = read_content(message.get("content"))
    calls = read_calls(message)
    refusal = read_content(message.get("refusal")) or None
    reason = choice.get("finish_reason")
    state = state_to_keep(message, calls)
    return make(
        LLMResponse,
        content=text,
        model=as_text(body.get("model")),
        provider=provider,
        usage=read_usage(body.get("usage"), "prompt_tokens", "completion_tokens"),
        finish_reason=_finish_reason(reason, calls, refusal),
        raw_finish_reason=reason if isinstance(reason, str) else None,
        tool_calls=calls,
        reasoning=next(filter(None, (read_content(message.get(key)) for key in REASONING_KEYS)), None),
        refusal=refusal,
        message=make(
            Message,
            role="assistant",
            content=text or None,
            tool_calls=calls,
            provider=provider,
            provider_state=state,
        ),
    )


def first_choice(body: JSON) -> JSON:
    """Find the first choice; others come only when the provider's options ask for them."""
    choices = body.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and not choice.get("index"):
            return choice
    return {}


def _finish_reason(reason: Any, calls: Tuple[ToolCall, ...], refusal: Optional[str]) -> FinishReason:
    known = FINISH_REASONS.get(as_text(reason), FinishReason.OTHER)
    if known is FinishReason.STOP and calls:
        return FinishReason.TOOL_CALLS  # a forced tool choice finishes with "stop"
    if known is FinishReason.STOP and refusal:
        return FinishReason.CONTENT_FILTER
    return known
