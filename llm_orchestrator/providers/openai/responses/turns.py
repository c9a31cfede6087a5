"""The assistant's turn in Responses, a list of items: read from a reply, and written into a history.

Items that our message has no place for (encrypted reasoning, phases, what tools at OpenAI did) travel in
``Message.provider_state`` and go back unchanged, unless the message was edited since.
"""

from __future__ import annotations

from typing import Any, Iterator, List, Optional, Sequence, Tuple

from llm_orchestrator.providers.calls import OwnIds, sent_arguments
from llm_orchestrator.providers.openai.messages import (
    is_plain_part,
    new_call_id,
    says_something,
    says_the_same,
    state_kept_by,
    written_arguments,
)
from llm_orchestrator.providers.openai.responses.parts import assistant_part, write_content
from llm_orchestrator.providers.reading import as_mappings, as_text
from llm_orchestrator.types import JSON, Message, ToolCall, tool_call

__all__ = [
    "API",
    "CUSTOM_CALL",
    "arguments_field",
    "message_item",
    "read_calls",
    "read_reasoning",
    "read_refusal",
    "read_text",
    "state_to_keep",
    "with_own_call_ids",
    "write_turn",
]

API = "responses"
CUSTOM_CALL = "custom_tool_call"
#: Items that ask the application to call a tool, and the field with the arguments.
CALL_ITEMS = {"function_call": "arguments", CUSTOM_CALL: "input"}
#: Items that may go back without the reasoning before them.
FREE_ITEMS = ("message", *CALL_ITEMS)
#: What our message rebuilds of an item; one that says more goes back as it came.
REBUILT_KEYS = {
    "message": ("type", "id", "status", "role", "content"),
    "function_call": ("type", "id", "status", "call_id", "name", "arguments"),
}
COMMENTARY = "commentary"


# ---------------------------------------------------------------- reading


def read_text(items: Sequence[JSON], *, structured: bool) -> str:
    """The text of the answer; of a structured one the last message alone, for others only comment on it."""
    if structured:
        final = [item for item in items if item.get("phase") != COMMENTARY]
        texts = ["".join(_part_texts([item], "output_text", "text")) for item in final]
        filled = [text for text in texts if text]
        if filled:
            return filled[-1]
    return "".join(_part_texts(items, "output_text", "text"))


def read_refusal(items: Sequence[JSON]) -> Optional[str]:
    """What the model says instead of an answer."""
    return "".join(_part_texts(items, "refusal", "refusal")) or None


def _part_texts(items: Sequence[JSON], part_type: str, field: str) -> Iterator[str]:
    for item in items:
        if item.get("type") == "message":
            for part in as_mappings(item.get("content")):
                if part.get("type") == part_type:
                    yield as_text(part.get(field))


def read_reasoning(items: Sequence[JSON]) -> Optional[str]:
    """The reasoning that is shown: summaries, and open models' reasoning in the clear."""
    parts = [
        part
        for item in items
        if item.get("type") == "reasoning"
        for part in as_mappings(item.get("summary")) + as_mappings(item.get("content"))
    ]
    return "\n\n".join(filter(None, (as_text(part.get("text")) for part in parts))) or None


def read_calls(items: Sequence[JSON]) -> Tuple[ToolCall, ...]:
    """The calls that the application is to make; what OpenAI ran itself is not among them."""
    return tuple(
        tool_call(
            as_text(item.get("call_id")) or as_text(item.get("id")) or new_call_id(),
            as_text(item.get("name")),
            sent_arguments(item.get(field)),
        )
        for item, field in ((item, arguments_field(item)) for item in items)
        if field
    )


def with_own_call_ids(items: Sequence[JSON]) -> List[JSON]:
    """Give every call of an answer an id of its own, under which it goes back too."""
    ids = OwnIds()
    return [_with_own_id(item, ids) if arguments_field(item) else item for item in items]


def _with_own_id(item: JSON, ids: OwnIds) -> JSON:
    sent = as_text(item.get("call_id"))
    own = ids.take(sent or as_text(item.get("id")) or new_call_id())
    return item if own == sent else {**item, "call_id": own}


def arguments_field(item: JSON) -> Optional[str]:
    """The field in which an item asks for a tool call."""
    return CALL_ITEMS.get(as_text(item.get("type")))


# ---------------------------------------------------------------- kept state


def state_to_keep(items: List[JSON]) -> Optional[JSON]:
    """The items as they must go back, where text and tool calls alone would lose something."""
    while items and items[-1].get("type") == "reasoning":
        items = items[:-1]  # rejected without the item it led to, which was cut off
    kept = list(_self_contained(items))
    return None if _is_plain(kept) else {"api": API, "output": kept}


def _self_contained(items: Sequence[JSON]) -> Iterator[JSON]:
    """Leave out what would be looked up in vain, since nothing was stored.

    That is reasoning which is not encrypted, and its id in the items that follow from it.
    """
    found = True
    for item in items:
        if item.get("type") == "reasoning":
            found = _stands_alone(item)
        if found or item.get("encrypted_content"):
            yield item
        elif item.get("type") in FREE_ITEMS:
            yield _without_id(item)


def _stands_alone(reasoning: JSON) -> bool:
    """Whether a host can read reasoning where it stands: encrypted, or (open models) in the clear."""
    return bool(reasoning.get("encrypted_content") or as_mappings(reasoning.get("content")))


def _without_id(item: JSON) -> JSON:
    return {key: value for key, value in item.items() if key != "id"}


def _is_plain(items: Sequence[JSON]) -> bool:
    """Whether the items are at most one message of plain text and then function calls, with nothing more."""
    types = [as_text(item.get("type")) for item in items]
    if any(kind not in REBUILT_KEYS for kind in types) or "message" in types[1:]:
        return False
    return all(map(_is_plain_item, items))


def _is_plain_item(item: JSON) -> bool:
    rebuilt = REBUILT_KEYS[item["type"]]
    parts = item.get("content") if item["type"] == "message" else None
    return not any(says_something(value) for key, value in item.items() if key not in rebuilt) and (
        all(map(is_plain_part, parts)) if isinstance(parts, list) else True
    )


# ---------------------------------------------------------------- writing


def write_turn(message: Message, index: int) -> List[JSON]:
    """Write an assistant turn of the history: as it came, or anew where it has no state or was edited."""
    return _kept_items(message) or _new_items(message, index)


def _kept_items(message: Message) -> List[JSON]:
    items = as_mappings(state_kept_by(API, message).get("output"))
    texts = [read_text(items, structured=structured) for structured in (False, True)]
    return items if items and says_the_same(message, texts, read_calls(items)) else []


def _new_items(message: Message, index: int) -> List[JSON]:
    calls = [_call_item(call) for call in message.tool_calls]
    content = write_content(message, index, assistant_part)
    return [message_item("assistant", content), *calls] if content or not calls else calls


def _call_item(call: ToolCall) -> JSON:
    return {
        "type": "function_call",
        "call_id": call.id,
        "name": call.name,
        "arguments": written_arguments(call),
    }


def message_item(role: str, content: Any) -> JSON:
    """A message as an item."""
    return {"type": "message", "role": role, "content": content}
