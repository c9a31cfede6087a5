"""The attributes of spans and metrics, named after OpenTelemetry's semantic conventions for generative AI.

Attributes that the conventions do not have begin with ``llm_orchestrator``. Unknown values are left out.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Dict, Mapping, Optional
from urllib.parse import urlsplit

from llm_orchestrator.hooks import CallEvent, ToolEvent, answer_in
from llm_orchestrator.types import (
    Attempt,
    EmbeddingRequest,
    FinishReason,
    LLMRequest,
    LLMResponse,
    TokenUsage,
)

__all__ = [
    "EXECUTE_TOOL",
    "answer_of",
    "attempt_attributes",
    "call_attributes",
    "error_type",
    "identity",
    "operation_of",
    "time_to_first_chunk",
    "tool_attributes",
]

Attributes = Dict[str, Any]

OPERATION, EMBEDDING, EXECUTE_TOOL = "chat", "embeddings", "execute_tool"
#: The parameters of a request that the conventions have.
PARAMETERS = {
    "temperature": "gen_ai.request.temperature",
    "max_tokens": "gen_ai.request.max_tokens",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "stop": "gen_ai.request.stop_sequences",
    "seed": "gen_ai.request.seed",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
}


def operation_of(event: CallEvent) -> str:
    """What was asked for, in the words of the conventions."""
    return EMBEDDING if isinstance(event.request, EmbeddingRequest) else OPERATION


def identity(event: CallEvent, model: str) -> Attributes:
    """The provider and the model; metrics have these, too."""
    return {
        "gen_ai.operation.name": operation_of(event),
        "gen_ai.provider.name": event.service,
        "gen_ai.request.model": model,
        **_server(event.base_url),
    }


def call_attributes(event: CallEvent) -> Attributes:
    """The attributes of a call's span."""
    return _known(
        {
            **identity(event, event.model),
            **(_of_request(event.request) if event.request else {}),
            "gen_ai.request.stream": event.streamed or None,
            "gen_ai.response.time_to_first_chunk": time_to_first_chunk(event),
            "gen_ai.response.id": event.response_id,
            **_of_answer(answer_of(event)),
            "error.type": error_type(event),
            "session.id": event.session_id,
            "llm_orchestrator.call_id": event.call_id,
            "llm_orchestrator.provider": event.provider,
            "llm_orchestrator.status": event.status,
            "llm_orchestrator.attempts": len(event.attempts),
            **_tags(event.tags),
        }
    )


def attempt_attributes(event: CallEvent, attempt: Attempt, resent: int) -> Attributes:
    """The attributes of an attempt's span, without usage, which a sum over all spans would count twice."""
    return _known(
        {
            **identity(event, attempt.model),
            "gen_ai.response.time_to_first_chunk": attempt.time_to_first_token,
            "http.request.resend_count": resent or None,
            "http.response.status_code": attempt.status_code,
            "error.type": attempt.error,
            "llm_orchestrator.request_id": attempt.request_id,
        }
    )


def tool_attributes(event: ToolEvent) -> Attributes:
    """The attributes of a tool's span."""
    return _known(
        {
            "gen_ai.operation.name": EXECUTE_TOOL,
            "gen_ai.tool.name": event.tool_call.name,
            "gen_ai.tool.call.id": event.tool_call.id,
            "gen_ai.tool.type": "function",
            "error.type": event.error,
            "session.id": event.session_id,
            "llm_orchestrator.call_id": event.call_id,
            "llm_orchestrator.provider": event.provider,
            **_tags(event.tags),
        }
    )


def _tags(tags: Mapping[str, str]) -> Attributes:
    return {f"llm_orchestrator.tag.{name}": str(value) for name, value in tags.items()}


def answer_of(event: CallEvent) -> Optional[LLMResponse]:
    """The answer of a call, or the one that its error has."""
    return answer_in(event.response, event.error)


def error_type(event: CallEvent) -> Optional[str]:
    """The class of the error that a call ended with."""
    if event.error is not None:
        return type(event.error).__name__
    return (event.attempts[-1].error or "cancelled") if event.status == "cancelled" else None


def time_to_first_chunk(event: CallEvent) -> Optional[float]:
    """Seconds until the first piece of a stream arrived, earlier attempts included."""
    first, last = event.attempts[0].started_at, event.attempts[-1]
    if first is None or last.started_at is None or last.time_to_first_token is None:
        return None
    return (last.started_at - first).total_seconds() + last.time_to_first_token


def _of_request(request: LLMRequest) -> Attributes:
    attributes: Attributes = {name: getattr(request, field) for field, name in PARAMETERS.items()}
    if isinstance(request, EmbeddingRequest):
        attributes["gen_ai.embeddings.dimension.count"] = request.dimensions
    attributes["gen_ai.output.type"] = "json" if request.response_format else None
    choices = request.provider_options.get("n")
    attributes["gen_ai.request.choice.count"] = choices if isinstance(choices, int) and choices != 1 else None
    return attributes


def _of_answer(answer: Optional[LLMResponse]) -> Attributes:
    if answer is None:
        return {}
    return {
        "gen_ai.response.model": answer.model,
        "gen_ai.response.finish_reasons": [answer.finish_reason.value] if _has_ended(answer) else None,
        **_of_usage(answer.usage),
        "llm_orchestrator.cost": None if answer.cost is None else float(answer.cost),
        "llm_orchestrator.request_id": answer.request_id,
    }


def _has_ended(answer: LLMResponse) -> bool:
    """Whether there is a finish reason; a stream that was closed early has none."""
    return answer.raw_finish_reason is not None or answer.finish_reason is not FinishReason.OTHER


def _of_usage(usage: TokenUsage) -> Attributes:
    return {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }


def _server(base_url: Optional[str]) -> Attributes:
    if base_url is None:
        return {}
    address = urlsplit(base_url)
    server: Attributes = {"server.address": address.hostname or ""}
    with suppress(ValueError):  # an invalid port
        server["server.port"] = address.port or (443 if address.scheme == "https" else 80)
    return server


def _known(attributes: Mapping[str, Any]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}
