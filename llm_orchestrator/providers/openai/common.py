"""What OpenAI's two APIs, Chat Completions and Responses, have in common: failures, usage, calls, kept state.

Everything here reads defensively, because compatible servers send whatever their authors thought of.
"""

from __future__ import annotations

import os
from collections import abc
from functools import lru_cache
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from llm_orchestrator.exceptions import InvalidMessagesError
from llm_orchestrator.providers.failures import Failure
from llm_orchestrator.providers.reading import as_count
from llm_orchestrator.types import JSON, MISSING_USAGE, Message, TokenUsage, ToolCall, arguments_text

__all__ = [
    "arguments_of",
    "as_list",
    "as_mapping",
    "as_text",
    "check_tool_results",
    "image_of",
    "is_hosted_by_openai",
    "new_call_id",
    "read_failure",
    "read_usage",
    "same_turn",
    "state_of",
    "warnings_of_state",
]

OPENAI_HOST = "api.openai.com"
AZURE_HOST_SUFFIX = ".openai.azure.com"
AZURE_PATH = "/openai/v1"
#: Codes of a failed response that are the request's fault, so that no retry can help.
REQUEST_FAULTS = frozenset(
    {
        "bio_policy",
        "data_residency_mismatch",
        "empty_image_file",
        "failed_to_download_image",
        "image_content_policy_violation",
        "image_file_not_found",
        "image_file_too_large",
        "image_parse_error",
        "image_too_large",
        "image_too_small",
        "invalid_base64_image",
        "invalid_image",
        "invalid_image_format",
        "invalid_image_mode",
        "invalid_image_url",
        "misalignment_policy_violation",
        "unsupported_image_media_type",
    }
)


@lru_cache(maxsize=64)
def is_hosted_by_openai(base_url: Optional[str]) -> bool:
    """Tell OpenAI's own API, regional hosts and Azure's v1 API included, from a compatible server."""
    if base_url is None:
        return True
    address = urlsplit(base_url)
    host = address.hostname or ""
    if host == OPENAI_HOST or host.endswith("." + OPENAI_HOST):
        return True
    return host.endswith(AZURE_HOST_SUFFIX) and f"{address.path}/".startswith(AZURE_PATH + "/")


def as_mapping(value: Any) -> JSON:
    """Take a value for a JSON object."""
    return value if isinstance(value, abc.Mapping) else {}


def as_list(value: Any) -> List[Any]:
    """Take a value for a JSON array."""
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """Take a value for text."""
    if isinstance(value, str):
        return value
    return "".join(
        part["text"]
        for part in as_list(value)
        if isinstance(part, abc.Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)
    )


def new_call_id() -> str:
    """Make an id for a tool call that came without one."""
    return "call_" + os.urandom(12).hex()


def arguments_of(call: ToolCall) -> str:
    """Write a call's arguments for the next request."""
    return call.raw_arguments or arguments_text(call.arguments)


def image_of(part: JSON, index: int) -> Dict[str, Any]:
    """Read an image part in the OpenAI Chat form."""
    image = part.get("image_url")
    if isinstance(image, str):
        image = {"url": image}
    if not isinstance(image, abc.Mapping) or not isinstance(image.get("url"), str):
        raise InvalidMessagesError(
            f"messages[{index}] holds an image without a URL. "
            'Write {"type": "image_url", "image_url": {"url": ...}}.',
            index=index,
        )
    return dict(image)


def check_tool_results(messages: Sequence[Message], *, at_once: bool) -> None:
    """Refuse a history whose tool calls and results do not pair up; both APIs answer it with status 400."""
    unanswered: Dict[str, int] = {}
    for index, message in enumerate(messages):
        if message.role == "tool":
            if unanswered.pop(message.tool_call_id or "", None) is None:
                raise InvalidMessagesError(
                    f"messages[{index}] answers the tool call {message.tool_call_id!r}, which no turn "
                    "before it asks for, or which has its result. Put one behind the turn with the call.",
                    index=index,
                )
            continue
        if at_once:
            _refuse_unanswered(unanswered)
        unanswered.update((call.id, index) for call in message.tool_calls)
    _refuse_unanswered(unanswered)


def _refuse_unanswered(unanswered: Mapping[str, int]) -> None:
    for call_id, index in unanswered.items():
        raise InvalidMessagesError(
            f"messages[{index}] asks for the tool call {call_id!r}, which no tool turn behind it answers. "
            "Add a tool turn for every call.",
            index=index,
        )


def state_of(message: Message, api: str) -> JSON:
    """What an API kept in an assistant turn for itself."""
    state = as_mapping(message.provider_state)
    return state if state.get("api") == api else {}


def warnings_of_state(messages: Sequence[Message], api: str) -> Tuple[str, ...]:
    """Say that state kept by the other API is left out."""
    kept_by = {as_mapping(message.provider_state).get("api", api) for message in messages}
    if kept_by <= {api}:
        return ()
    return (
        "What earlier turns keep for OpenAI's other API (such as reasoning) was left out: "
        f"this call goes to {api}.",
    )


def same_turn(message: Message, texts: Sequence[str], calls: Sequence[ToolCall]) -> bool:
    """Tell whether a turn still says what its kept state says, so that the state may stand for it."""
    said = [(call.id, call.name, call.raw_arguments) for call in message.tool_calls]
    return message.text in texts and said == [(call.id, call.name, call.raw_arguments) for call in calls]


def read_usage(raw: Any, prompt: str, completion: str) -> TokenUsage:
    """Read a usage object."""
    usage = as_mapping(raw)
    read, written, total = (as_count(usage.get(name)) for name in (prompt, completion, "total_tokens"))
    if read is None and written is None and total is None:
        return MISSING_USAGE
    if total is None and read is not None and written is not None:
        total = read + written
    read_details = as_mapping(usage.get(f"{prompt}_details"))
    written_details = as_mapping(usage.get(f"{completion}_details"))
    return TokenUsage(
        prompt_tokens=read,
        completion_tokens=written,
        total_tokens=total,
        cached_tokens=as_count(read_details.get("cached_tokens")),
        cache_write_tokens=as_count(read_details.get("cache_write_tokens")),
        reasoning_tokens=as_count(written_details.get("reasoning_tokens")),
        raw=raw,
    )


def read_failure(body: JSON, status_code: Optional[int], headers: Mapping[str, str]) -> Failure:
    """Read an error body, an error event or a failed response."""
    error = body.get("error")
    detail: JSON = {"message": error} if isinstance(error, str) else as_mapping(error) or body
    number = as_count(detail.get("code"))
    if status_code is None and number is not None and 400 <= number < 600:
        status_code = number
    codes = [
        str(detail[key]) for key in ("code", "type", "status") if detail.get(key) not in (None, "", "error")
    ]
    if codes and codes[0] in REQUEST_FAULTS:
        codes.append("invalid_request_error")
    message = detail.get("message") or detail.get("detail") or ""
    parameter = detail.get("param")
    return Failure(
        message=str(message),
        status_code=status_code,
        codes=tuple(codes),
        parameter=parameter if isinstance(parameter, str) else None,
        headers=headers,
    )
