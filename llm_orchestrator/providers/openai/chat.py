"""OpenAI's Chat Completions: our request as its JSON, and its whole or streamed JSON as our values.

It is the API of every OpenAI-compatible server, so replies are read with the deviations of those in mind.
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections import abc
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.exceptions import InvalidMessagesError, InvalidResponseError
from llm_orchestrator.providers.openai.common import (
    arguments_of,
    as_list,
    as_mapping,
    as_text,
    check_tool_results,
    image_of,
    new_call_id,
    read_usage,
    same_turn,
    state_of,
    warnings_of_state,
)
from llm_orchestrator.providers.openai.schemas import accepted_format, accepted_tools
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import (
    JSON,
    FinishReason,
    LLMRequest,
    LLMResponse,
    Message,
    ToolCall,
    arguments_text,
    parts_of,
    tool_call,
)
from llm_orchestrator.utils.json import without_none

__all__ = ["API", "build_request", "check_media", "parse_reply"]

API = "chat"
PATH = "/chat/completions"

#: Parameters that have the same name and form in the body.
SAME_PARAMETERS = (
    "temperature",
    "top_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning_effort",
)
FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}
#: Where compatible servers put visible reasoning.
REASONING_KEYS = ("reasoning_content", "reasoning")
#: What must go back with the turn: a refusal, and signed reasoning (OpenRouter).
KEPT_KEYS = ("refusal", "reasoning_details")
#: Parts that are more than text.
MEDIA = ("image_url", "file", "input_audio")
#: What a plain tool call is made of; anything beside it (signatures in ``extra_content``) must go back too.
CALL_KEYS = {"id", "type", "index", "function"}
FUNCTION_KEYS = {"name", "arguments"}


# -------------------------------------------------------------------------------------------------- request


def build_request(request: LLMRequest, *, stream: bool, max_tokens_name: str) -> WireRequest:
    """Translate a request."""
    check_tool_results(request.messages, at_once=True)
    body: Dict[str, Any] = {
        "model": request.model,
        "messages": [_message(message, index) for index, message in enumerate(request.messages)],
        **without_none({name: getattr(request, name) for name in SAME_PARAMETERS}),
    }
    if request.max_tokens is not None:
        body[max_tokens_name] = request.max_tokens
    if request.stop:
        body["stop"] = list(request.stop)
    response_format, format_warnings = accepted_format(request.response_format)
    if response_format is not None:
        body["response_format"] = response_format
    tools, tool_warnings = accepted_tools(request.tools)
    if tools:
        body["tools"] = tools
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return WireRequest(
        PATH,
        body,
        api=API,
        unsupported=() if request.top_k is None else ("top_k",),
        warnings=warnings_of_state(request.messages, API) + format_warnings + tool_warnings,
    )


def check_media(messages: Sequence[Message]) -> None:
    """Refuse images and files where OpenAI takes only text; compatible servers may take them there."""
    for index, message in enumerate(messages):
        parts = parts_of(message, index) if message.role != "user" else []
        kind = next((part["type"] for part in parts if part["type"] in MEDIA), None)
        if kind is not None:
            raise InvalidMessagesError(
                f"messages[{index}] holds a part of type {kind!r}, which OpenAI's Chat API takes from the "
                "user alone. Put it into a user message, or set api: responses.",
                index=index,
            )


def _message(message: Message, index: int) -> JSON:
    if message.role == "assistant":
        return _kept_message(message) or _assistant(message, index)
    if message.role == "tool":
        return {
            "role": "tool",
            "tool_call_id": message.tool_call_id,
            "content": _content(message, index),
        }
    return without_none({"role": message.role, "content": _content(message, index), "name": message.name})


def _kept_message(message: Message) -> Optional[JSON]:
    kept = as_mapping(state_of(message, API).get("message"))
    unchanged = kept and same_turn(message, [as_text(kept.get("content"))], _calls(kept))
    return kept if unchanged else None


def _assistant(message: Message, index: int) -> JSON:
    turn: Dict[str, Any] = {"role": "assistant", "content": _content(message, index)}
    if message.tool_calls:
        turn["content"] = turn["content"] or None
        turn["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": arguments_of(call)},
            }
            for call in message.tool_calls
        ]
    return {**turn, "name": message.name} if message.name else turn


def _content(message: Message, index: int) -> Any:
    if isinstance(message.content, str):
        return message.content
    return [_part(part, index) for part in parts_of(message, index)] or ""


def _part(part: JSON, index: int) -> JSON:
    if part["type"] == "image_url":
        return {**part, "image_url": image_of(part, index)}
    file = as_mapping(part.get("file"))
    if file.get("file_url") or str(file.get("file_data", "")).startswith(("http://", "https://")):
        raise InvalidMessagesError(
            f"messages[{index}] holds a file by its URL, which OpenAI's Chat API does not take. "
            "Give the file as a data URL, or set api: responses.",
            index=index,
        )
    return part


# -------------------------------------------------------------------------------------------------- reply


def parse_reply(body: JSON, provider: str) -> LLMResponse:
    """Translate a whole reply."""
    choice = first_choice(body)
    message = choice.get("message")
    if not isinstance(message, abc.Mapping):
        raise InvalidResponseError(
            "The reply holds no message. Try again, or check that base_url leads to a server of this API."
        )
    text = as_text(message.get("content"))
    calls = _calls(message)
    refusal = as_text(message.get("refusal")) or None
    reason = choice.get("finish_reason")
    return LLMResponse(
        content=text,
        model=as_text(body.get("model")),
        provider=provider,
        usage=read_usage(body.get("usage"), "prompt_tokens", "completion_tokens"),
        finish_reason=_finish_reason(reason, calls, refusal),
        raw_finish_reason=reason if isinstance(reason, str) else None,
        tool_calls=calls,
        reasoning=next(filter(None, (as_text(message.get(key)) for key in REASONING_KEYS)), None),
        refusal=refusal,
        message=Message(
            "assistant",
            text or None,
            tool_calls=calls,
            provider=provider,
            provider_state=_state(message, calls),
        ),
    )


def first_choice(body: JSON) -> JSON:
    """Find the first choice; others come only when asked for in the provider's options."""
    for choice in as_list(body.get("choices")):
        if isinstance(choice, dict) and not choice.get("index"):
            return choice
    return {}


def _finish_reason(reason: Any, calls: Tuple[ToolCall, ...], refusal: Optional[str]) -> FinishReason:
    known = FINISH_REASONS.get(reason, FinishReason.OTHER) if isinstance(reason, str) else FinishReason.OTHER
    if known is FinishReason.STOP and calls:
        return FinishReason.TOOL_CALLS  # a forced tool choice finishes with "stop"
    if known is FinishReason.STOP and refusal:
        return FinishReason.CONTENT_FILTER
    return known


def _calls(message: JSON) -> Tuple[ToolCall, ...]:
    return tuple(_call(entry) for entry in _call_entries(message))


def _call_entries(message: JSON) -> List[JSON]:
    entries = [entry for entry in as_list(message.get("tool_calls")) if isinstance(entry, abc.Mapping)]
    if not entries and isinstance(message.get("function_call"), abc.Mapping):
        return [{"function": message["function_call"]}]  # the form before there were parallel calls
    return entries


def _call(entry: JSON) -> ToolCall:
    called = as_mapping(entry.get("function") or entry.get("custom"))
    return tool_call(
        as_text(entry.get("id")) or new_call_id(), as_text(called.get("name")), written_arguments(called)
    )


def written_arguments(called: JSON) -> str:
    """The arguments of a function call, or the input of a custom tool, as text."""
    written = called.get("arguments", called.get("input"))
    if isinstance(written, str):
        return written
    return arguments_text(written) if isinstance(written, abc.Mapping) else ""


def _state(message: JSON, calls: Tuple[ToolCall, ...]) -> Optional[JSON]:
    """The turn as it must go back, where text and tool calls alone would lose something."""
    # In the middle of a tool loop, models that think need their reasoning back (DeepSeek, Kimi).
    keys = (*KEPT_KEYS, *REASONING_KEYS) if calls else KEPT_KEYS
    kept = {key: message[key] for key in keys if message.get(key)}
    entries = as_list(message.get("tool_calls"))
    if not kept and all(_is_plain(entry) for entry in entries):
        return None
    turn: Dict[str, Any] = {"role": "assistant", "content": message.get("content"), **kept}
    if calls:
        turn["tool_calls"] = [{**entry, "id": call.id} for entry, call in zip(_call_entries(message), calls)]
    return {"api": API, "message": turn}


def _is_plain(entry: Any) -> bool:
    return isinstance(entry, abc.Mapping) and (
        set(entry) <= CALL_KEYS and set(as_mapping(entry.get("function"))) <= FUNCTION_KEYS
    )
