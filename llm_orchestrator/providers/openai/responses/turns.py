"""The assistant's turn in Responses, a list of items: read from a reply, and written into a history.

Items that our message has no place for (encrypted reasoning, phases, what tools at OpenAI did) travel in
``Message.provider_state`` and go back unchanged, unless the message was edited since.
"""

from __future__ import annotations

from typing import Any, Iterator, List, Optional, Sequence, Tuple

from llm_orchestrator.providers.calls import OwnIds, sent_arguments
from llm_orchestrator.providers.contents import (
    NAMELESS_CALL,
    parts_in,
    refusal_in,
    text_in,
    text_of,
    thinking_in,
)
from llm_orchestrator.providers.openai import RESPONSES
from llm_orchestrator.providers.openai.messages import (
    is_plain_part,
    new_call_id,
    says_something,
    says_the_same,
    state_kept_by,
    written_arguments,
)
from llm_orchestrator.providers.openai.responses.parts import assistant_part, write_content
from llm_orchestrator.providers.reading import as_list, as_mappings, as_text
from llm_orchestrator.types import JSON, Message, ToolCall, tool_call

__all__ = [
    "CUSTOM_CALL",
    "arguments_field",
    "items_beside_messages",
    "items_in",
    "items_of",
    "kinds_beside_text",
    "message_item",
    "message_parts",
    "read_calls",
    "read_reasoning",
    "read_refusal",
    "read_text",
    "state_to_keep",
    "unread_calls",
    "waiting_items",
    "with_own_call_ids",
    "write_turn",
]

CUSTOM_CALL = "custom_tool_call"
#: Items that ask the application to call a tool, and the field with the arguments.
CALL_ITEMS = {"function_call": "arguments", CUSTOM_CALL: "input"}
#: Items that may go back without the reasoning before them.
FREE_ITEMS = ("message", *CALL_ITEMS)
#: What our message rebuilds of an item; one that says more goes back as it came.
REBUILT_KEYS = {
    "message": {"type", "id", "status", "role", "content"},
    "function_call": {"type", "id", "status", "call_id", "name", "arguments"},
}
#: Look for more tools among those of the request: nothing is to be done outside, and the answer is complete.
SEARCHES = ("tool_search_call",)
NO_ARGUMENTS: Tuple[Any, ...] = (None, "", "{}", {})
COMMENTARY = "commentary"
#: Where an item of reasoning shows some of it.
REASONING_FIELDS = ("summary", "content")


# ---------------------------------------------------------------- reading


def items_in(output: Any) -> List[JSON]:
    """The items of an output; some compatible servers send a string in place of a message."""
    items = [output] if isinstance(output, str) else as_list(output)
    return as_mappings(
        [{"type": "message", "content": item} if isinstance(item, str) else item for item in items if item]
    )


def items_of(body: JSON) -> List[JSON]:
    """The items of a response; where they hold no text, it may stand beside them."""
    items, text = items_in(body.get("output")), as_text(body.get("output_text"))
    is_missing = text and not read_text(items, structured=False)
    return [*items, message_item("assistant", text)] if is_missing else items


def message_parts(items: Sequence[JSON]) -> List[JSON]:
    """The parts of all messages."""
    return [part for item in items if _is_message(item) for part in parts_in(item.get("content"))]


def items_beside_messages(items: Sequence[JSON]) -> List[JSON]:
    """The items that are no messages: reasoning, calls, and what else an answer holds."""
    return [item for item in items if not _is_message(item)]


def _is_message(item: JSON) -> bool:
    return item.get("type") == "message" or ("type" not in item and item.get("role") == "assistant")


def read_text(items: Sequence[JSON], *, structured: bool) -> str:
    """The text of the answer; of a structured one the last message alone, for others only comment on it."""
    if structured:
        final = [item for item in items if item.get("phase") != COMMENTARY]
        filled = [text for text in (text_in(message_parts([item])) for item in final) if text]
        if filled:
            return filled[-1]
    return text_in(message_parts(items))


def read_refusal(items: Sequence[JSON]) -> Optional[str]:
    """What the model says instead of an answer."""
    return refusal_in(message_parts(items)) or None


def read_reasoning(items: Sequence[JSON], parts: Optional[Sequence[JSON]] = None) -> Optional[str]:
    """The reasoning that is shown: summaries, and open models' reasoning in the clear.

    ``parts`` are those of the messages, where they were read already.
    """
    reasoning = [item for item in items if item.get("type") == "reasoning"]
    thoughts = [
        part for item in reasoning for field in REASONING_FIELDS for part in parts_in(item.get(field))
    ]
    shown = filter(None, (text_of(part.get("text")) for part in thoughts))
    return "\n\n".join(shown) or thinking_in(message_parts(items) if parts is None else parts) or None


def read_calls(items: Sequence[JSON]) -> Tuple[ToolCall, ...]:
    """The calls that the application is to make; what OpenAI ran itself is not among them."""
    return tuple(
        tool_call(
            as_text(item.get("call_id")) or as_text(item.get("id")) or new_call_id(),
            as_text(item.get("name")),
            sent_arguments(item.get(field)),
        )
        for item, field in ((item, arguments_field(item)) for item in items)
        if field and as_text(item.get("name"))
    )


def with_own_call_ids(items: Sequence[JSON]) -> List[JSON]:
    """Give every call of an answer an id of its own, under which it goes back too."""
    ids = OwnIds()
    return [_with_own_id(item, ids) if arguments_field(item) else item for item in items]


def _with_own_id(item: JSON, ids: OwnIds) -> JSON:
    sent = as_text(item.get("call_id"))
    own = ids.take(sent or as_text(item.get("id")) or new_call_id())
    return item if own == sent else {**item, "call_id": own}


def kinds_beside_text(items: Sequence[JSON]) -> List[str]:
    """The kinds of the items that hold neither text nor reasoning nor a call."""
    kinds = [as_text(item.get("type")) for item in items]
    return [kind for kind in kinds if kind and kind not in ("message", "reasoning", *CALL_ITEMS)]


def unread_calls(items: Sequence[JSON]) -> List[JSON]:
    """Calls of no tool that have arguments."""
    nameless = [item for item in items if arguments_field(item) and not as_text(item.get("name"))]
    return [NAMELESS_CALL for item in nameless if item.get(arguments_field(item) or "") not in NO_ARGUMENTS]


def waiting_items(items: Sequence[JSON]) -> List[JSON]:
    """The items beside tool calls that wait for the application: a computer to use, a patch, an approval.

    What OpenAI runs itself has no ``call_id`` that a result could name, or its result is among the items.
    """
    if not items:
        return []
    answers = [item for item in items if as_text(item.get("type")).endswith("_output")]
    answered = {as_text(item.get("call_id")) for item in answers} - {""}
    return [item for item in items if _waits(item) and as_text(item.get("call_id")) not in answered]


def _waits(item: JSON) -> bool:
    kind = as_text(item.get("type"))
    if kind in CALL_ITEMS or kind.endswith("_output") or kind in SEARCHES:
        return False
    return bool(as_text(item.get("call_id"))) or kind.endswith("_request")


def arguments_field(item: JSON) -> Optional[str]:
    """The field in which an item asks for a tool call."""
    return CALL_ITEMS.get(as_text(item.get("type")))


# ---------------------------------------------------------------- kept state


def state_to_keep(items: List[JSON], waiting: Sequence[JSON], refusal: Optional[str]) -> Optional[JSON]:
    """The items as they must go back, where text and tool calls alone would lose something."""
    while items and items[-1].get("type") == "reasoning":
        items = items[:-1]  # rejected without the item it led to, which was cut off
    kept = list(_self_contained(items, waiting))
    return None if not refusal and _is_plain(kept) else {"api": RESPONSES, "output": kept}


def _self_contained(items: Sequence[JSON], waiting: Sequence[JSON]) -> Iterator[JSON]:
    """Leave out what would be looked up in vain, since nothing was stored.

    That is reasoning which is not encrypted, and its id in the items that follow from it.
    """
    found = True
    for item in items:
        if item.get("type") == "reasoning":
            found = _stands_alone(item)
        if found or item.get("encrypted_content") or item in waiting:  # its answer will name it
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
    if not REBUILT_KEYS.keys() >= set(types) or "message" in types[1:]:
        return False
    return all(map(_is_plain_item, items))


def _is_plain_item(item: JSON) -> bool:
    more = item.keys() - REBUILT_KEYS[item["type"]]
    parts = item.get("content") if item["type"] == "message" else None
    return not any(says_something(item[key]) for key in more) and (
        all(map(is_plain_part, parts)) if isinstance(parts, list) else True
    )


# ---------------------------------------------------------------- writing


def write_turn(message: Message, index: int) -> List[JSON]:
    """Write an assistant turn of the history: as it came, or anew where it has no state or was edited."""
    return _kept_items(message) or _new_items(message, index)


def _kept_items(message: Message) -> List[JSON]:
    items = as_mappings(state_kept_by(RESPONSES, message).get("output"))
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
