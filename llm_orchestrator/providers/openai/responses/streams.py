"""The events of a streamed response: the text and calls in each one, and the response put together from them.

The last event holds the whole response; what came before is put together for streams that end early.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Sequence, Union

from llm_orchestrator.providers.calls import OwnIds, sent_arguments
from llm_orchestrator.providers.failures import error_of_failure
from llm_orchestrator.providers.openai.failures import parse_failure
from llm_orchestrator.providers.openai.responses.turns import CUSTOM_CALL, arguments_field
from llm_orchestrator.providers.reading import as_mapping, as_mappings, as_text, as_text_or_none
from llm_orchestrator.providers.wire import StreamState
from llm_orchestrator.types import JSON, ReasoningDelta, StreamEvent, TextDelta, ToolCallDelta

__all__ = ["assemble_reply", "parse_event"]

Memory = Dict[str, Any]
ItemKey = Union[int, str]


def parse_event(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    """Translate one event; unknown ones and those that keep a connection alive hold nothing."""
    kind = event.get("type")
    handler = HANDLERS.get(kind) if isinstance(kind, str) else None
    if handler is None:
        return ()
    if not state.reply:
        state.reply.update(response={}, items={}, done=set(), fragments={}, calls={}, reasoning_part=None)
        state.reply["ids"] = OwnIds()
    return handler(event, state)


def assemble_reply(state: StreamState) -> JSON:
    """The response that the last event brought, or what came of it so far."""
    memory = state.reply
    response: Dict[str, Any] = dict(memory["response"]) if memory else {}
    if not (state.complete and response.get("output")):
        response["output"] = [_assembled_item(key, memory) for key in memory.get("items", ())]
    elif memory["fragments"]:
        items = enumerate(response["output"])
        response["output"] = [_with_arguments(item, position, memory) for position, item in items]
    return response


def _with_arguments(item: Any, position: int, memory: Memory) -> Any:
    """A call of the last event with its arguments, which some servers send only before it."""
    field = arguments_field(as_mapping(item))
    if not field or item.get(field):
        return item
    keys = (position, as_text(item.get("id")))
    fragments = next((memory["fragments"][key] for key in keys if key in memory["fragments"]), None)
    return {**item, field: "".join(fragments)} if fragments else item


def _assembled_item(key: ItemKey, memory: Memory) -> JSON:
    item: JSON = memory["items"][key]
    text = "".join(memory["fragments"].get(key, ()))
    field = arguments_field(item)
    if field and text and not (key in memory["done"] and item.get(field)):
        return {**item, field: text}
    if field or key in memory["done"]:
        return item
    if item.get("type") == "message":
        return {"role": "assistant", **item, "content": [{"type": "output_text", "text": text}]}
    return item


def _item_key(event: JSON) -> ItemKey:
    """Which item an event is about; compatible servers leave out one name or the other."""
    index = event.get("output_index")
    if isinstance(index, int):
        return index
    return as_text(event.get("item_id")) or as_text(as_mapping(event.get("item")).get("id"))


def _text(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    text = event.get("delta")
    if not text or not isinstance(text, str):
        return ()
    _collect(event, text, state.reply, "message")
    return (TextDelta(text),)


def _collect(event: JSON, text: str, memory: Memory, kind: str) -> ItemKey:
    key = _item_key(event)
    if key not in memory["fragments"]:
        memory["fragments"][key] = []
        memory["items"].setdefault(key, {"type": kind})
    memory["fragments"][key].append(text)
    return key


def _reasoning(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    text = event.get("delta")
    if not text or not isinstance(text, str):
        return ()
    part = (_item_key(event), event.get("summary_index"), event.get("content_index"))
    before, state.reply["reasoning_part"] = state.reply["reasoning_part"], part
    return (ReasoningDelta(text if before in (None, part) else f"\n\n{text}"),)


def _arguments(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    text = event.get("delta")
    if not text or not isinstance(text, str):
        return ()
    return _add_arguments(event, text, state.reply)


def _add_arguments(event: JSON, text: str, memory: Memory) -> Sequence[StreamEvent]:
    kind = CUSTOM_CALL if "custom" in event["type"] else "function_call"
    key = _collect(event, text, memory, kind)
    calls = memory["calls"]
    return (ToolCallDelta(calls.setdefault(key, len(calls)), arguments=text),)


def _arguments_done(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    """All arguments at once, for servers that send no pieces of them."""
    text = sent_arguments(event.get("arguments", event.get("input")))
    if not text or _item_key(event) in state.reply["fragments"]:
        return ()
    return _add_arguments(event, text, state.reply)


def _item_added(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    item = event.get("item")
    if not isinstance(item, dict):
        return ()
    key = _item_key(event)
    state.reply["items"][key] = item
    return _begin_call(key, item, state.reply)


def _begin_call(key: ItemKey, item: JSON, memory: Memory) -> List[StreamEvent]:
    if not arguments_field(item) or key in memory["calls"]:
        return []
    position = memory["calls"][key] = len(memory["calls"])
    sent = as_text(item.get("call_id")) or as_text(item.get("id"))
    identifier = memory["ids"].take(sent) if sent else None
    return [ToolCallDelta(position, identifier, as_text_or_none(item.get("name")))]


def _item_done(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    item = event.get("item")
    if not isinstance(item, dict):
        return ()
    memory, key = state.reply, _item_key(event)
    memory["items"][key] = item
    memory["done"].add(key)
    return _whole_call(key, item, memory)


def _whole_call(key: ItemKey, item: JSON, memory: Memory) -> List[StreamEvent]:
    pieces = _begin_call(key, item, memory)
    arguments = sent_arguments(item.get(arguments_field(item) or ""))
    if arguments and key not in memory["fragments"]:  # not every server sends fragments
        pieces.append(ToolCallDelta(memory["calls"][key], arguments=arguments))
    return pieces


def _begun(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    state.reply["response"] = as_mapping(event.get("response"))
    return ()


def _ended(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    status = event["type"].rpartition(".")[2]
    state.reply["response"] = {"status": status, **as_mapping(event.get("response"))}
    state.complete = state.done = True
    if state.reply["calls"]:
        return ()
    items = enumerate(
        as_mappings(state.reply["response"].get("output"))
    )  # not every server sends them before
    return [piece for key, item in items for piece in _whole_call(key, item, state.reply)]


def _failed(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    failed = as_mapping(event.get("response")) or event
    raise error_of_failure(parse_failure(failed, None, state.headers))


HANDLERS: Mapping[str, Callable[[JSON, StreamState], Sequence[StreamEvent]]] = {
    "response.output_text.delta": _text,
    "response.reasoning_summary_text.delta": _reasoning,
    "response.reasoning_text.delta": _reasoning,
    "response.function_call_arguments.delta": _arguments,
    "response.function_call_arguments.done": _arguments_done,
    "response.custom_tool_call_input.delta": _arguments,
    "response.custom_tool_call_input.done": _arguments_done,
    "response.output_item.added": _item_added,
    "response.output_item.done": _item_done,
    "response.created": _begun,
    "response.in_progress": _begun,
    "response.completed": _ended,
    "response.incomplete": _ended,
    "response.failed": _failed,
}
