"""What the messages of OpenAI's two APIs share: images, tool calls, their results, and kept state."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping, Sequence, Tuple

from llm_orchestrator.exceptions import InvalidMessagesError
from llm_orchestrator.providers.messages import message_error
from llm_orchestrator.providers.reading import as_mapping
from llm_orchestrator.types import JSON, Message, ToolCall, arguments_text, parse_arguments
from llm_orchestrator.utils.json import MAPPINGS

__all__ = [
    "check_tool_results",
    "is_plain_part",
    "is_web_address",
    "new_call_id",
    "read_image",
    "says_something",
    "says_the_same",
    "state_kept_by",
    "warnings_of_state",
    "written_arguments",
]

#: What a part of nothing but text is made of; how likely its tokens were is no state.
PLAIN_PART_KEYS = ("type", "text", "logprobs")


def new_call_id() -> str:
    """Make an id for a tool call that came without one."""
    return "call_" + os.urandom(12).hex()


def written_arguments(call: ToolCall) -> str:
    """The arguments of a call as they go into the next request."""
    return call.raw_arguments or arguments_text(call.arguments)


def is_web_address(value: Any) -> bool:
    """Whether a file is given by its address instead of its content."""
    return isinstance(value, str) and value.startswith(("http://", "https://"))


def read_image(part: JSON, index: int) -> Dict[str, Any]:
    """Read an image part of our messages."""
    image = part.get("image_url")
    if isinstance(image, str):
        image = {"url": image}
    if not isinstance(image, MAPPINGS) or not isinstance(image.get("url"), str):
        raise message_error(
            index,
            "holds an image without a URL",
            'Write {"type": "image_url", "image_url": {"url": ...}}',
        )
    return dict(image)


def check_tool_results(messages: Sequence[Message], *, at_once: bool) -> None:
    """Reject a history whose tool calls and results do not pair up; both APIs answer it with status 400.

    ``at_once`` demands the results before the next turn of another kind.
    """
    unanswered: Dict[str, int] = {}
    for index, message in enumerate(messages):
        if message.role == "tool":
            if unanswered.pop(message.tool_call_id or "", None) is None:
                raise message_error(
                    index,
                    f"is a result of the tool call {message.tool_call_id!r}, which no turn before it makes, "
                    "or which has a result",
                    "Put one result after the turn with the call",
                )
            continue
        if at_once and unanswered:
            raise _without_result(unanswered)
        if message.tool_calls:
            unanswered.update((call.id, index) for call in message.tool_calls)
    if unanswered:
        raise _without_result(unanswered)


def _without_result(unanswered: Mapping[str, int]) -> InvalidMessagesError:
    call_id, index = next(iter(unanswered.items()))
    return message_error(
        index,
        f"makes the tool call {call_id!r}, which has no result",
        "Add a tool message for every call",
    )


def state_kept_by(api: str, message: Message) -> JSON:
    """The state that an API keeps in an assistant turn; empty when there is none, or the other API's."""
    state = as_mapping(message.provider_state)
    return state if state.get("api") == api else {}


def warnings_of_state(messages: Sequence[Message], api: str) -> Tuple[str, ...]:
    """Warn that state kept by the other API is left out."""
    kept_by = {as_mapping(message.provider_state).get("api", api) for message in messages}
    if kept_by <= {api}:
        return ()
    return (
        "What earlier turns keep for OpenAI's other API (such as reasoning) was left out: "
        f"this call goes to {api}.",
    )


def says_something(value: Any) -> bool:
    """Whether a field is more than empty, as some servers send them, and no number, which is no state."""
    if not value or isinstance(value, (str, int, float)):  # most are; to ask an abstract class takes long
        return isinstance(value, str) and value != ""
    values = value.values() if isinstance(value, MAPPINGS) else [value]
    return any(each and isinstance(each, (str, list, MAPPINGS)) for each in values)


def is_plain_part(part: Any) -> bool:
    """Whether a part of an answer is nothing but text, which our message has a place for."""
    if not isinstance(part, MAPPINGS):
        return isinstance(part, str)
    if part.get("type") not in ("text", "output_text") or not isinstance(part.get("text"), str):
        return False
    return not any(says_something(value) for key, value in part.items() if key not in PLAIN_PART_KEYS)


def says_the_same(message: Message, texts: Sequence[str], calls: Sequence[ToolCall]) -> bool:
    """Whether a turn still has a text and the calls of its kept state; otherwise it was edited since."""
    return message.text in texts and _as_written(message.tool_calls) == _as_written(calls)


def _as_written(calls: Sequence[ToolCall]) -> Sequence[Tuple[str, str, Any]]:
    return [(call.id, call.name, _asked_for(call)) for call in calls]


def _asked_for(call: ToolCall) -> Any:
    """The arguments by what they say: histories that other libraries kept have them no longer as text."""
    read = parse_arguments(call.raw_arguments) if call.raw_arguments else call.arguments
    return call.raw_arguments if read is None else read
