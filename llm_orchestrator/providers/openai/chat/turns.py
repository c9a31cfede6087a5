"""The assistant's turn in Chat: its tool calls read from a reply, and the whole turn written into a history.

Whatever text and calls cannot rebuild (refusals, signed reasoning, thinking parts, images, signatures beside
a call) travels in ``Message.provider_state`` and goes back unchanged, unless the message was edited since.
"""

from __future__ import annotations

from collections import abc
from typing import Any, Dict, List, Optional, Tuple

from llm_orchestrator.providers.calls import sent_arguments, with_own_ids
from llm_orchestrator.providers.contents import NAMELESS_CALL, parts_in, text_in, thinking_in
from llm_orchestrator.providers.openai import CHAT
from llm_orchestrator.providers.openai.chat.parts import read_content, write_content
from llm_orchestrator.providers.openai.messages import (
    is_plain_part,
    new_call_id,
    says_something,
    says_the_same,
    state_kept_by,
    written_arguments,
)
from llm_orchestrator.providers.reading import as_list, as_mapping, as_mappings, as_text
from llm_orchestrator.types import JSON, Message, ToolCall, tool_call
from llm_orchestrator.utils.json import beside

__all__ = [
    "REASONING_KEYS",
    "details_text",
    "has_reasoning_field",
    "read_arguments",
    "read_calls",
    "read_reasoning",
    "state_to_keep",
    "unread_calls",
    "write_turn",
]

#: Where compatible servers put visible reasoning.
REASONING_KEYS = ("reasoning_content", "reasoning")
#: What our message has a place for; everything else in a turn goes back as it came.
REBUILT_KEYS = ("role", "content", "tool_calls", "function_call")
#: What a message of text alone is made of.
PLAIN_KEYS = ("role", "content")
#: What a plain tool call is made of; anything beside it (signatures in ``extra_content``) must go back too.
CALL_KEYS = {"id", "type", "index", "function"}
FUNCTION_KEYS = {"name", "arguments", "parameters"}
#: Where hosts put the arguments of a function, or the input of a custom tool.
ARGUMENT_KEYS = ("arguments", "input", "parameters")
#: Fields of a message that hold no reasoning, as OpenAI documents them.
PLAIN_FIELDS = frozenset({"role", "content", "refusal", "tool_calls", "annotations"})


def read_calls(message: JSON) -> Tuple[ToolCall, ...]:
    """Read the tool calls of a message."""
    if not (message.get("tool_calls") or message.get("function_call")):
        return ()
    return with_own_ids(map(_read_call, _call_entries(message)))


def _call_entries(message: JSON) -> List[JSON]:
    return [entry for entry in _all_entries(message) if _name(entry)]


def _all_entries(message: JSON) -> List[JSON]:
    entries = as_mappings(message.get("tool_calls"))
    called = as_mapping(message.get("function_call"))
    if not entries and called:
        return [{"function": called}]  # the form before there were parallel calls
    return entries


def _called(entry: JSON) -> JSON:
    return as_mapping(entry.get("function") or entry.get("custom"))


def _name(entry: JSON) -> str:
    return as_text(_called(entry).get("name"))


def unread_calls(message: JSON) -> List[JSON]:
    """Calls of no tool that have arguments."""
    nameless = [_called(entry) for entry in _all_entries(message) if not _name(entry)]
    return [NAMELESS_CALL for called in nameless if read_arguments(called) not in ("", "{}")]


def read_reasoning(message: JSON) -> str:
    """The reasoning that is shown, in the first of the places where compatible servers put it."""
    content = message.get("content")
    if isinstance(content, str) and message.keys() <= PLAIN_FIELDS:
        return ""
    fields = (_reasoning_text(message.get(key)) for key in REASONING_KEYS)
    places = (
        *fields,
        "" if isinstance(content, str) else thinking_in(parts_in(content)),
        "" if has_reasoning_field(message) else details_text(message.get("reasoning_details")),
    )
    return next(filter(None, places), "")


def _reasoning_text(value: Any) -> str:
    return value if isinstance(value, str) else text_in(parts_in(value)) or thinking_in(parts_in(value))


def has_reasoning_field(message: JSON) -> bool:
    """Whether a host has a field for what it shows; if that is empty, its details are for the model alone."""
    return any(key in message for key in REASONING_KEYS)


def details_text(details: Any) -> str:
    """The reasoning that is shown in OpenRouter's ``reasoning_details``."""
    return "".join(as_text(entry.get("text") or entry.get("summary")) for entry in as_mappings(details))


def _read_call(entry: JSON) -> ToolCall:
    called = _called(entry)
    identifier = as_text(entry.get("id")) or new_call_id()
    return tool_call(identifier, _name(entry), read_arguments(called))


def read_arguments(called: JSON) -> str:
    """The arguments of a function call, or the input of a custom tool, as a string."""
    texts = (sent_arguments(called.get(key)) for key in ARGUMENT_KEYS)
    return next(filter(None, texts), "")


def state_to_keep(message: JSON, calls: Tuple[ToolCall, ...]) -> Optional[JSON]:
    """The turn as it must go back, where text and tool calls alone would lose something."""
    content = message.get("content")
    if isinstance(content, str) and not any(message[key] for key in message if key not in PLAIN_KEYS):
        return None  # most often
    kept = {key: value for key, value in message.items() if _goes_back(key, value, calls)}
    plain = all(map(is_plain_part, content)) if isinstance(content, list) else True
    if plain and not kept and all(_is_plain(entry) for entry in as_list(message.get("tool_calls"))):
        return None
    if as_mapping(kept.get("audio")).get("id"):
        kept["audio"] = {"id": kept["audio"]["id"]}  # all that the API takes back of it
    turn: Dict[str, Any] = {"role": "assistant", "content": content, **kept}
    if calls:
        entries = zip(_call_entries(message), calls)
        turn["tool_calls"] = [_kept_call(entry, call) for entry, call in entries]
    return {"api": CHAT, "message": turn}


def _kept_call(entry: JSON, call: ToolCall) -> JSON:
    """A call as it came, with an id of its own, and with arguments in the form that goes into a request."""
    kept = {"type": "function", **entry, "id": call.id}
    function = as_mapping(kept.get("function"))
    if function and ("parameters" in function or not isinstance(function.get("arguments"), str)):
        kept["function"] = {**beside(function, "parameters"), "arguments": call.raw_arguments}
    return kept


def _goes_back(key: str, value: Any, calls: Tuple[ToolCall, ...]) -> bool:
    if key in REASONING_KEYS and isinstance(value, str):
        # In the middle of a tool loop, models that think need their reasoning back (DeepSeek, Kimi).
        return bool(value and calls)
    return key not in REBUILT_KEYS and says_something(value)


def _is_plain(entry: Any) -> bool:
    return isinstance(entry, abc.Mapping) and (
        set(entry) <= CALL_KEYS and set(as_mapping(entry.get("function"))) <= FUNCTION_KEYS
    )


def write_turn(message: Message, index: int) -> JSON:
    """Write an assistant turn of the history: as it came, or anew where it has no state or was edited."""
    kept = as_mapping(state_kept_by(CHAT, message).get("message"))
    if kept and says_the_same(message, [read_content(kept.get("content"))], read_calls(kept)):
        return kept
    turn: Dict[str, Any] = {"role": "assistant", "content": write_content(message, index)}
    if message.tool_calls:
        turn["content"] = turn["content"] or None
        turn["tool_calls"] = [_written_call(call) for call in message.tool_calls]
    return {**turn, "name": message.name} if message.name else turn


def _written_call(call: ToolCall) -> JSON:
    function = {"name": call.name, "arguments": written_arguments(call)}
    return {"id": call.id, "type": "function", "function": function}
