"""The events of a streamed response: the text and calls in each one, and the response put together from them.

The last event holds the whole response; what came before is put together for streams that end early.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Sequence, Union

from llm_orchestrator.providers.failures import error_of_failure
from llm_orchestrator.providers.openai.failures import parse_failure
from llm_orchestrator.providers.openai.responses.turns import arguments_field
from llm_orchestrator.providers.reading import as_mapping, as_text, as_text_or_none
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
    return handler(event, state)


def assemble_reply(state: StreamState) -> JSON:
    """The response that the last event brought, or what came of it so far."""
    memory = state.reply
    response: Dict[str, Any] = dict(memory["response"]) if memory else {}
    if not (state.complete and response.get("output")):
        response["output"] = [_assembled_item(key, memory) for key in memory.get("items", ())]
    return response


def _assembled_item(key: ItemKey, memory: Memory) -> JSON:
    item: JSON = memory["items"][key]
    if key in memory["done"]:
        return item
    text = "".join(memory["fragments"].get(key, ()))
    field = arguments_field(item)
    if field:
        return {**item, field: text}
    if item.get("type") == "message":
        return {**item, "content": [{"type": "output_text", "text": text}]}
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
    key = _collect(event, text, state.reply, "function_call")
    calls = state.reply["calls"]
    return (ToolCallDelta(calls.setdefault(key, len(calls)), arguments=text),)


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
    identifier = as_text_or_none(item.get("call_id")) or as_text_or_none(item.get("id"))
    return [ToolCallDelta(position, identifier, as_text_or_none(item.get("name")))]


def _item_done(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    item = event.get("item")
    if not isinstance(item, dict):
        return ()
    memory, key = state.reply, _item_key(event)
    memory["items"][key] = item
    memory["done"].add(key)
    pieces = _begin_call(key, item, memory)
    arguments = as_text(item.get(arguments_field(item) or ""))
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
    return ()


def _failed(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    failed = as_mapping(event.get("response")) or event
    raise error_of_failure(parse_failure(failed, None, state.headers))


HANDLERS: Mapping[str, Callable[[JSON, StreamState], Sequence[StreamEvent]]] = {
    "response.output_text.delta": _text,
    "response.reasoning_summary_text.delta": _reasoning,
    "response.reasoning_text.delta": _reasoning,
    "response.function_call_arguments.delta": _arguments,
    "response.custom_tool_call_input.delta": _arguments,
    "response.output_item.added": _item_added,
    "response.output_item.done": _item_done,
    "response.created": _begun,
    "response.in_progress": _begun,
    "response.completed": _ended,
    "response.incomplete": _ended,
    "response.failed": _failed,
}
