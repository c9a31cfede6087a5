"""LangChain's messages, answers and errors, and the library's."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple, Type

from langchain_core import exceptions as theirs
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from llm_orchestrator import exceptions as own
from llm_orchestrator.frameworks.openai.arguments import read_turn
from llm_orchestrator.frameworks.openai.completions import state_of
from llm_orchestrator.frameworks.translation import Translating, counterpart, kind_of
from llm_orchestrator.types import (
    AnswerEvent,
    LLMResponse,
    ReasoningDelta,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallDelta,
)

__all__ = ["chunk_of", "last_chunk_of", "read_messages", "result_of", "translated"]


def read_messages(messages: Sequence[BaseMessage]) -> List[Any]:
    """Read LangChain's messages as the library's."""
    return [read for message in messages for read in _read(message)]


def _read(message: BaseMessage) -> List[Any]:
    if not isinstance(message, AIMessage):
        return list(convert_to_openai_messages([message]))
    calls = [
        {"id": call["id"], "function": {"name": call["name"], "arguments": call["args"]}}
        for call in (*message.tool_calls, *message.invalid_tool_calls)
    ]
    kept = {name: message.additional_kwargs.get(name) for name in ("provider", "provider_state")}
    return [read_turn({"role": "assistant", "content": message.text or None, "tool_calls": calls, **kept})]


def result_of(response: LLMResponse) -> ChatResult:
    """Write an answer."""
    known = _facts(response)
    if response.reasoning is not None:
        known["additional_kwargs"]["reasoning_content"] = response.reasoning
    written = AIMessage(content=response.content, **_calls(response.tool_calls), **known)
    return ChatResult(generations=[ChatGeneration(message=written)])


def _calls(calls: Sequence[ToolCall]) -> Dict[str, Any]:
    whole = [call for call in calls if call.arguments is not None]
    broken = [call for call in calls if call.arguments is None]
    told = {"error": "The arguments are not JSON."}
    return {
        "tool_calls": [{"name": call.name, "args": call.arguments, "id": call.id} for call in whole],
        "invalid_tool_calls": [
            {"name": call.name, "args": call.raw_arguments, "id": call.id, **told} for call in broken
        ],
    }


def chunk_of(event: AnswerEvent) -> ChatGenerationChunk:
    """Write an event of a stream."""
    fields: Dict[str, Any] = {"content": event.text if isinstance(event, TextDelta) else ""}
    if isinstance(event, ReasoningDelta):
        fields["additional_kwargs"] = {"reasoning_content": event.text}
    if isinstance(event, ToolCallDelta):
        piece = {"name": event.name, "args": event.arguments, "id": event.id, "index": event.index}
        fields["tool_call_chunks"] = [piece]
    return ChatGenerationChunk(message=AIMessageChunk(**fields))


def last_chunk_of(response: LLMResponse) -> ChatGenerationChunk:
    """Write what is known at the end of a stream; refuse calls that LangChain would complete, and run."""
    broken = next((call for call in response.tool_calls if call.arguments is None), None)
    if broken is not None:
        raise theirs.OutputParserException(
            f"The arguments of the streamed call of {broken.name!r} broke off, or are not JSON. Ask again.",
            llm_output=broken.raw_arguments,
        )
    return ChatGenerationChunk(message=AIMessageChunk(content="", chunk_position="last", **_facts(response)))


def _facts(response: LLMResponse) -> Dict[str, Any]:
    """What is told beside the text, its reasoning and the calls."""
    refusal = {} if response.refusal is None else {"refusal": response.refusal}
    return {
        "additional_kwargs": {**refusal, **state_of(response)},
        "response_metadata": {
            "model_name": response.model,
            "finish_reason": response.finish_reason.value,
            "request_id": response.request_id,
            "cost": None if response.cost is None else str(response.cost),
            "warnings": list(response.warnings),
        },
        "usage_metadata": _usage(response.usage),
    }


def _usage(usage: TokenUsage) -> Optional[Dict[str, Any]]:
    """The usage; None where a count is not known, for LangChain knows no unknown ones."""
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    read = {"cache_read": usage.cached_tokens, "cache_creation": usage.cache_write_tokens}
    written = {"reasoning": usage.reasoning_tokens}
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens or usage.prompt_tokens + usage.completion_tokens,
        "input_token_details": {name: count for name, count in read.items() if count is not None},
        "output_token_details": {name: count for name, count in written.items() if count is not None},
    }


#: What becomes what; the first that fits counts.
_ERRORS: Tuple[Tuple[Type[own.OrchestratorError], Any], ...] = (
    (own.BudgetExceededError, theirs.ModelRateLimitError),
    (own.QuotaExceededError, theirs.ModelRateLimitError),
    (own.RateLimitError, theirs.ModelRateLimitError),
    (own.AuthenticationError, theirs.ModelAuthenticationError),
    (own.PermissionDeniedError, theirs.ModelPermissionDeniedError),
    (own.ModelNotFoundError, theirs.ModelNotFoundError),
    (own.ContextLengthError, theirs.ContextOverflowError),
    (own.ServerError, theirs.ModelAPIError),
    (own.ProviderTimeoutError, theirs.ModelTimeoutError),
    (own.ProviderConnectionError, theirs.ModelConnectionError),
    (own.StreamInterruptedError, theirs.ModelConnectionError),
    (own.InvalidRequestError, theirs.ModelInvalidRequestError),
    (own.InvalidMessagesError, theirs.ModelInvalidRequestError),
    (own.ProviderSwitchError, theirs.ModelInvalidRequestError),
)


def translated() -> Translating:
    """Raise the library's errors as LangChain's."""
    return Translating(_translation)


def _translation(error: own.OrchestratorError) -> Exception:
    kind = kind_of(error)
    made: Exception = (counterpart(kind, _ERRORS) or theirs.ModelError)(str(error))
    vars(made).update(attempts=error.attempts, is_retryable=getattr(kind, "retryable", False))
    return made
