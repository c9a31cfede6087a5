"""The events of a streamed message: the text and calls in each one, and the message put together from them.

Each event only adds to the block it names; texts are kept in pieces and joined once at the end, so that long
answers stay cheap. Unknown events and deltas are skipped, but deltas of an unknown block fill it.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from llm_orchestrator.providers.anthropic.turns import as_block, blocks_in, new_call_id, written_input
from llm_orchestrator.providers.calls import OwnIds, sent_arguments
from llm_orchestrator.providers.contents import text_of
from llm_orchestrator.providers.reading import as_list, as_mapping, as_text
from llm_orchestrator.providers.wire import StreamState
from llm_orchestrator.types import (
    JSON,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    parse_arguments,
)
from llm_orchestrator.utils.json import without_none
from llm_orchestrator.utils.usage import in_numbers, updated_usage

__all__ = ["assemble_reply", "parse_event"]

NOTHING: Sequence[StreamEvent] = ()


class _Block:
    """One content block while it is streamed.

    Attributes:
        start: The block as it began.
        text: The pieces of its text or thinking.
        arguments: The fragments of its input.
        citations: The sources of its text, once one came.
        call: Which of the caller's tool calls it is, counted from 0; None for a block of another kind.
        is_told: Its arguments came with its start and were handed out.
    """

    __slots__ = ("arguments", "call", "citations", "is_told", "start", "text")

    def __init__(self, start: Dict[str, Any], call: Optional[int]) -> None:
        self.start = start
        self.text: List[str] = []
        self.arguments: List[str] = []
        self.citations: List[Any] = []
        self.call = call
        self.is_told = False

    def whole(self) -> Dict[str, Any]:
        """The block as a whole message would hold it."""
        block = dict(self.start)
        if self.text:
            field = str(block["type"])  # ``text`` or ``thinking``: the field is called like the block
            block[field] = as_text(block.get(field)) + "".join(self.text)
        if self.arguments:
            raw = "".join(self.arguments)
            read = parse_arguments(raw)
            block["input"] = raw if read is None else read
        return block


def parse_event(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    """Translate one event."""
    kind = event.get("type")
    handler = EVENTS.get(kind) if isinstance(kind, str) else None
    return NOTHING if handler is None else handler(event, state)


def assemble_reply(state: StreamState) -> JSON:
    """Put the message together."""
    blocks: Mapping[int, _Block] = state.reply.get("blocks", {})
    content = [blocks[index].whole() for index in sorted(blocks)]
    message = {**state.reply.get("message", {}), "content": content}
    usage = as_mapping(message.get("usage"))
    if "output_tokens" in usage and not (state.complete or state.is_counted):
        # What message_start says of the output is a placeholder, not a count.
        message["usage"] = {name: count for name, count in usage.items() if name != "output_tokens"}
    return message


def _start_message(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    """Begin the message; servers that imitate the API may send some of its blocks, or all, with it."""
    state.reply["message"] = message = dict(as_mapping(event.get("message")))
    pieces: List[StreamEvent] = []
    starts = blocks_in(message.pop("content", None))
    for index, start in enumerate(starts, -len(starts)):  # before those that have events of their own
        pieces += _begin_block(index, start, state)
        block: _Block = state.reply["blocks"][index]
        if block.call is not None and start.get("input"):
            block.is_told = True
            pieces.append(ToolCallDelta(block.call, arguments=written_input(start["input"])))
    return pieces


def _start_block(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    index = event.get("index")
    if not isinstance(index, int):
        return NOTHING
    start = as_block(as_mapping(event.get("content_block")))
    blocks: Dict[int, _Block] = state.reply.get("blocks", {})
    for known in [number for number in blocks if number < 0 and blocks[number].start == start]:
        blocks[index] = blocks.pop(known)  # it came with the message already
        return NOTHING
    return _begin_block(index, start, state)


def _begin_block(index: int, start: Dict[str, Any], state: StreamState) -> Sequence[StreamEvent]:
    blocks: Dict[int, _Block] = state.reply.setdefault("blocks", {})
    if start.get("type") == "tool_use":
        call = sum(block.call is not None for block in blocks.values())
        start["id"] = as_text(start.get("id")) or new_call_id()
        identifier = state.reply.setdefault("ids", OwnIds()).take(start["id"])
        blocks[index] = _Block(start, call)
        return (ToolCallDelta(call, identifier, as_text(start.get("name"))),)
    blocks[index] = _Block(start, None)
    return _piece(start.get("type"), text_of(start.get("text") or start.get("thinking")))


def _piece(kind: Any, text: str) -> Sequence[StreamEvent]:
    if text and kind == "text":
        return (TextDelta(text),)
    if text and kind == "thinking":
        return (ReasoningDelta(text),)
    return NOTHING


def _extend_block(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    delta = event.get("delta")
    index = event.get("index")
    if not isinstance(delta, dict) or not isinstance(index, int):
        return NOTHING
    kind = delta.get("type")
    if kind == "output_text_delta" or (not kind and delta.get("text")):
        kind = "text_delta"
    if not isinstance(kind, str):
        return NOTHING
    blocks: Dict[int, _Block] = state.reply.setdefault("blocks", {})
    block = blocks.get(index)
    if block is None:  # its start was lost on the way; the text must not be
        if kind not in TEXT_DELTAS:
            return NOTHING
        block = blocks[index] = _Block({"type": kind.partition("_")[0]}, None)
    if kind not in DELTAS and block.start.get("type") in KNOWN_BLOCKS:
        return NOTHING
    return DELTAS.get(kind, _add_fields)(delta, block)


def _add_text(delta: JSON, block: _Block) -> Sequence[StreamEvent]:
    text = delta.get("text")
    text = text if isinstance(text, str) else text_of(text)
    if not text or block.start.get("type") != "text":
        return NOTHING
    block.text.append(text)
    return (TextDelta(text),)


def _add_thinking(delta: JSON, block: _Block) -> Sequence[StreamEvent]:
    text = as_text(delta.get("thinking"))
    if not text or block.start.get("type") != "thinking":
        return NOTHING
    block.text.append(text)
    return (ReasoningDelta(text),)


def _add_arguments(delta: JSON, block: _Block) -> Sequence[StreamEvent]:
    fragment = sent_arguments(delta.get("partial_json"))  # some hosts send an object
    if not fragment:
        return NOTHING
    block.arguments.append(fragment)
    return NOTHING if block.call is None else (ToolCallDelta(block.call, arguments=fragment),)


def _add_citation(delta: JSON, block: _Block) -> Sequence[StreamEvent]:
    if not block.citations:
        block.citations = block.start["citations"] = list(as_list(block.start.get("citations")))
    block.citations.append(delta.get("citation"))
    return NOTHING


def _add_fields(delta: JSON, block: _Block) -> Sequence[StreamEvent]:
    """A delta that brings fields, whole or in pieces: a signature, a compaction, what nobody knows yet."""
    for key, value in delta.items():
        before = block.start.get(key)
        if key == "type" or value is None:
            continue
        grows = before and isinstance(before, str) and isinstance(value, str)
        block.start[key] = before + value if grows and not value.startswith(before) else value
    return NOTHING


def _stop_block(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    """Some servers send a call's arguments whole, where the block starts or where it stops."""
    index = event.get("index")
    block = state.reply.get("blocks", {}).get(index) if isinstance(index, int) else None
    if block is None or block.call is None or block.arguments or block.is_told:
        return NOTHING
    block.start["input"] = block.start.get("input") or as_mapping(event.get("content_block")).get("input")
    if not block.start["input"]:
        return NOTHING
    return (ToolCallDelta(block.call, arguments=sent_arguments(block.start["input"])),)


def _end_message(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    """Take in the fields of the whole message: counts are cumulative, and what is not sent again stays."""
    message: Dict[str, Any] = state.reply.setdefault("message", {})
    fields = {key: value for key, value in event.items() if key not in ("type", "delta", "usage")}
    message.update(without_none({**fields, **as_mapping(event.get("delta"))}))
    later = without_none(in_numbers(as_mapping(event.get("usage"))))
    usage = updated_usage(in_numbers(as_mapping(message.get("usage"))), later)
    if usage:
        message["usage"] = usage
    if _is_counted(event):
        state.is_counted = True
    return NOTHING


def _is_counted(event: JSON) -> bool:
    """Whether the message's end tells its last counts, so that nothing is missing where the stream is cut."""
    told = as_mapping(event.get("usage")).get("output_tokens") is not None
    return told and bool(as_mapping(event.get("delta")).get("stop_reason"))


def _stop(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    state.complete = state.done = True
    return NOTHING


EVENTS: Mapping[str, Callable[[JSON, StreamState], Sequence[StreamEvent]]] = {
    "message_start": _start_message,
    "content_block_start": _start_block,
    "content_block_delta": _extend_block,
    "content_block_stop": _stop_block,
    "message_delta": _end_message,
    "message_stop": _stop,
}
DELTAS: Mapping[str, Callable[[JSON, _Block], Sequence[StreamEvent]]] = {
    "text_delta": _add_text,
    "thinking_delta": _add_thinking,
    "input_json_delta": _add_arguments,
    "citations_delta": _add_citation,
    "signature_delta": _add_fields,
    "compaction_delta": _add_fields,
}
TEXT_DELTAS = ("text_delta", "thinking_delta")
#: Blocks whose deltas are known.
KNOWN_BLOCKS = ("text", "thinking", "tool_use", "server_tool_use", "mcp_tool_use", "compaction")
