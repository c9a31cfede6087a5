"""The events of a streamed response: the text and calls in each one, and the response put together from them.

The last event holds the whole response; what came before is put together for streams that end early.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

from llm_orchestrator.providers.calls import OwnIds, sent_arguments
from llm_orchestrator.providers.contents import parts_in, text_in, text_of
from llm_orchestrator.providers.failures import error_of_failure
from llm_orchestrator.providers.openai.failures import parse_failure
from llm_orchestrator.providers.openai.responses.turns import (
    CUSTOM_CALL,
    arguments_field,
    items_of,
    read_calls,
    read_reasoning,
    read_refusal,
    read_text,
    with_own_call_ids,
)
from llm_orchestrator.providers.reading import as_list, as_mapping, as_text, as_text_or_none
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
        state.reply.update(refusals={}, text=[], reasoning=[], logprobs={}, ids=OwnIds())
    return handler(event, state)


def assemble_reply(state: StreamState) -> JSON:
    """The response that the last event brought, or what came of it so far."""
    memory = state.reply
    response: Dict[str, Any] = dict(memory["response"]) if memory else {}
    if not (state.complete and _is_whole(items_of(response), memory)):
        response["output"] = _assembled_items(memory) if memory else []
    elif memory["fragments"]:
        items = enumerate(items_of(response))
        response["output"] = [_with_arguments(item, position, memory) for position, item in items]
    return response


def _assembled_items(memory: Memory) -> List[JSON]:
    """The items as they were streamed; reasoning may have come without one."""
    items = [_assembled_item(key, memory) for key in memory["items"]]
    shown = "".join(memory["reasoning"])
    if not shown or read_reasoning(items):
        return items
    return [{"type": "reasoning", "summary": [{"type": "summary_text", "text": shown}]}, *items]


def _with_arguments(item: Any, position: int, memory: Memory) -> Any:
    """A call of the last event with its arguments, which some servers send only before it."""
    field = arguments_field(as_mapping(item))
    if not field or item.get(field):
        return item
    keys = (position, as_text(item.get("id")))
    fragments = next((memory["fragments"][key] for key in keys if key in memory["fragments"]), None)
    return {**item, field: "".join(fragments)} if fragments else item


def _is_whole(items: Sequence[JSON], memory: Memory) -> bool:
    """Whether the last event repeated what was streamed; compatible servers may leave it out."""
    return bool(items) and not (memory["text"] and not read_text(items, structured=False))


def _assembled_item(key: ItemKey, memory: Memory) -> JSON:
    item: JSON = memory["items"][key]
    text, refusal = ("".join(memory[name].get(key, ())) for name in ("fragments", "refusals"))
    if item.get("type") == "message":
        is_empty = not read_text([item], structured=False) and not read_refusal([item])
        parts = _parts(text, refusal, memory["logprobs"].get(key))
        written = {"role": "assistant", **item, "content": parts}
        return written if is_empty and (text or refusal) else item
    field = arguments_field(item)
    is_known = key in memory["done"] and field and item.get(field)
    return {**item, field: text} if field and text and not is_known else item


def _parts(text: str, refusal: str, logprobs: Optional[List[Any]]) -> List[JSON]:
    told = {"logprobs": logprobs} if logprobs else {}
    parts: List[JSON] = [{"type": "output_text", "text": text, **told}] if text else []
    return [*parts, {"type": "refusal", "refusal": refusal}] if refusal else parts


def _item_key(event: JSON) -> ItemKey:
    """Which item an event is about; compatible servers leave out one name or the other."""
    index = event.get("output_index")
    if isinstance(index, int):
        return index
    return as_text(event.get("item_id")) or as_text(as_mapping(event.get("item")).get("id"))


def _text(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    text = event.get("delta")
    text = text if isinstance(text, str) else text_of(text)
    if not text:
        return ()
    key = _collect(event, text, state.reply, "message")
    state.reply["text"].append(text)
    if event.get("logprobs"):
        state.reply["logprobs"].setdefault(key, []).extend(as_list(event["logprobs"]))
    return (TextDelta(text),)


def _text_done(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    """A text, part or item that is whole: what of it was not streamed comes now, once."""
    part = event.get("part", {"type": "text", "text": event.get("text")})
    return _rest_of_text(text_in(parts_in(part)), event, state)


def _rest_of_text(whole: str, event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    streamed = "".join(state.reply["fragments"].get(_item_key(event), ()))
    if not whole or streamed.endswith(whole):  # one of several parts of the item
        return ()
    if streamed and not whole.startswith(streamed):
        if whole not in streamed:  # what is whole counts, and the answer says that it differs
            state.reply["fragments"][_item_key(event)] = [whole]
        return ()
    if not streamed and "".join(state.reply["text"]).endswith(whole):
        return ()  # it was streamed under another name of the item
    state.reply["logprobs"].pop(_item_key(event), None)  # the event has those of the whole text
    return _text({**event, "delta": whole[len(streamed) :]}, state)


def _refusal(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    key = _item_key(event)
    state.reply["items"].setdefault(key, {"type": "message"})
    kept = state.reply["refusals"].setdefault(key, [])
    whole = as_text(event.get("refusal"))
    if not whole:
        kept.append(as_text(event.get("delta")))
    elif not kept:
        kept.append(whole)
    return ()


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
    state.reply["reasoning"].append(text)
    return (ReasoningDelta(text if before in (None, part) else f"\n\n{text}"),)


def _reasoning_done(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    text = as_text(event.get("text"))
    streamed = "".join(state.reply["reasoning"])
    return () if not text or streamed.endswith(text) else _reasoning({**event, "delta": text}, state)


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
    pieces = [*_unstreamed(item, event, state), *_begin_call(key, item, memory)]
    field = arguments_field(item)
    arguments = sent_arguments(item.get(field)) if field else ""
    if arguments and key not in memory["fragments"]:  # not every server sends fragments
        pieces.append(ToolCallDelta(memory["calls"][key], arguments=arguments))
    return pieces


def _unstreamed(item: JSON, event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    """The text or the reasoning of a whole item, as far as it was not streamed."""
    text = _rest_of_text(read_text([item], structured=False), event, state)
    return text or _rest_of_reasoning([item], event, state)


def _rest_of_reasoning(items: Sequence[JSON], event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    if state.reply["reasoning"]:
        return ()
    return _reasoning({**event, "delta": read_reasoning(items)}, state)


def _begun(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    state.reply["response"] = as_mapping(event.get("response"))
    return ()


def _ended(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    status = event["type"].rpartition(".")[2]
    begun, response = state.reply["response"], as_mapping(event.get("response"))
    if not items_of(response) and not state.reply["items"] and begun.get("output"):
        response = {**response, "output": begun["output"]}  # it was whole when it was created
    state.reply["response"] = {"status": status, **response}
    state.complete = state.done = True
    return _left_over(items_of(assemble_reply(state)), state)


def _left_over(items: Sequence[JSON], state: StreamState) -> List[StreamEvent]:
    """What only the last event brought."""
    memory = state.reply
    whole, streamed = read_text(items, structured=False), "".join(memory["text"])
    pieces = list(_rest_of_reasoning(items, {}, state))
    if len(whole) > len(streamed) and whole.startswith(streamed):
        pieces.append(TextDelta(whole[len(streamed) :]))
    for position, call in list(enumerate(read_calls(with_own_call_ids(items))))[len(memory["calls"]) :]:
        pieces.append(ToolCallDelta(position, call.id, call.name, call.raw_arguments))
    return pieces


def _failed(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    failed = as_mapping(event.get("response")) or event
    kept = {key: value for key, value in failed.items() if key not in ("error", "output", "status")}
    state.reply["response"] = kept  # its usage is paid for
    raise error_of_failure(parse_failure(failed, None, state.headers))


HANDLERS: Mapping[str, Callable[[JSON, StreamState], Sequence[StreamEvent]]] = {
    "response.output_text.delta": _text,
    "response.output_text.done": _text_done,
    "response.content_part.done": _text_done,
    "response.refusal.delta": _refusal,
    "response.refusal.done": _refusal,
    "response.reasoning_summary_text.delta": _reasoning,
    "response.reasoning_text.delta": _reasoning,
    "response.reasoning_summary_text.done": _reasoning_done,
    "response.reasoning_text.done": _reasoning_done,
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
