"""The JSON of a chat completion as our response."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.providers.citations import annotations_in, cited_parts, listed_sources
from llm_orchestrator.providers.contents import check_read, parts_in, refusal_in
from llm_orchestrator.providers.finishes import failure_of_finish, finish_of, says_failure
from llm_orchestrator.providers.logprobs import logprobs_of_choice
from llm_orchestrator.providers.media import media_of_message
from llm_orchestrator.providers.messages import answer_message
from llm_orchestrator.providers.openai.chat.hosted import hosted_calls
from llm_orchestrator.providers.openai.chat.parts import read_content
from llm_orchestrator.providers.openai.chat.turns import (
    read_calls,
    read_reasoning,
    state_to_keep,
    unread_calls,
)
from llm_orchestrator.providers.openai.usage import find_usage, read_usage
from llm_orchestrator.providers.reading import as_mapping, as_text, other_answers
from llm_orchestrator.types import JSON, Citation, FinishReason, LLMResponse, ToolCall
from llm_orchestrator.utils.json import MAPPINGS
from llm_orchestrator.utils.values import make

__all__ = ["failure_in_choice", "first_choice", "other_choices", "parse_reply"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,  # Mistral: the model's window is full
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}


def parse_reply(body: JSON, provider: str) -> LLMResponse:
    """Translate a whole reply."""
    choice = first_choice(body)
    message = _message(choice)
    content = message.get("content")
    parts = [] if isinstance(content, str) else parts_in(content)
    text = read_content(content)
    calls = read_calls(message)
    refusal = read_content(message.get("refusal")) or refusal_in(parts) or None
    if not (text or calls or refusal):
        check_read([*parts, *unread_calls(message)])
    images, audio = media_of_message(message, parts)
    reason = choice.get("finish_reason")
    state = state_to_keep(message, calls)
    return make(
        LLMResponse,
        content=text,
        model=as_text(body.get("model")),
        provider=provider,
        usage=read_usage(find_usage(body, choice) or None, "prompt_tokens", "completion_tokens"),
        finish_reason=_finish_reason(reason, calls, refusal),
        raw_finish_reason=reason if isinstance(reason, str) else None,
        tool_calls=calls,
        reasoning=read_reasoning(message) or None,
        refusal=refusal,
        alternatives=tuple(
            read_content(as_mapping(other.get("message")).get("content"))
            for _, other in other_answers(body.get("choices"), choice)
        ),
        images=images,
        audio=audio,
        citations=_citations(message, parts, text, body),
        logprobs=logprobs_of_choice(choice["logprobs"]) if choice.get("logprobs") else (),
        hosted_calls=hosted_calls(message["executed_tools"]) if message.get("executed_tools") else (),
        message=answer_message(text, calls, provider, state),
    )


def _citations(message: JSON, parts: Sequence[JSON], text: str, body: JSON) -> Tuple[Citation, ...]:
    if message.get("annotations"):
        return tuple(annotations_in(message["annotations"]))
    return cited_parts(parts, text) or listed_sources(body)


def _message(choice: JSON) -> JSON:
    """The message of a choice; one that was blocked may have none, and is an answer all the same."""
    message = choice.get("message")
    if isinstance(message, MAPPINGS):
        return message
    if message is None and isinstance(choice.get("text"), str):
        return {"content": choice["text"]}  # as in the API before Chat
    if message is None and as_text(choice.get("finish_reason")) not in ("", "stop"):
        return {}
    raise InvalidResponseError(
        "The reply holds no message. Try again, or check that base_url leads to a server of this API."
    )


def failure_in_choice(choice: JSON) -> Optional[JSON]:
    """The body of an error for a failure that stands in a choice, where the answer should."""
    for place in (choice, as_mapping(choice.get("message")), as_mapping(choice.get("delta"))):
        if place.get("error"):
            return {"error": place["error"]}
    reason = choice.get("finish_reason")
    is_ordinary = not isinstance(reason, str) or reason in FINISH_REASONS
    return failure_of_finish(reason) if reason and not is_ordinary and says_failure(reason) else None


def other_choices(body: JSON) -> List[Tuple[int, JSON]]:
    """The choices beside the first, in their order."""
    return other_answers(body.get("choices"), first_choice(body))


def first_choice(body: JSON) -> JSON:
    """Find the first choice; others come only when the provider's options ask for them."""
    choices = body.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and not choice.get("index"):
            return choice
    return {}


def _finish_reason(reason: Any, calls: Tuple[ToolCall, ...], refusal: Optional[str]) -> FinishReason:
    known = finish_of(as_text(reason), FINISH_REASONS)
    if known is FinishReason.STOP and calls:
        return FinishReason.TOOL_CALLS  # a forced tool choice finishes with "stop"
    if known is FinishReason.STOP and refusal:
        return FinishReason.CONTENT_FILTER
    return known
