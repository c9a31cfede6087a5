"""The chunks of a streamed completion: the text and calls in each, and the whole put together from them."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

from llm_orchestrator.providers.calls import OwnIds
from llm_orchestrator.providers.openai.chat.parts import read_content
from llm_orchestrator.providers.openai.chat.pieces import join_entries, join_parts
from llm_orchestrator.providers.openai.chat.replies import first_choice
from llm_orchestrator.providers.openai.chat.turns import REASONING_KEYS, read_arguments
from llm_orchestrator.providers.openai.messages import is_plain_part
from llm_orchestrator.providers.reading import as_list, as_mapping, as_text_or_none
from llm_orchestrator.providers.wire import StreamState
from llm_orchestrator.types import (
    JSON,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    parse_arguments,
)

__all__ = ["assemble_reply", "parse_event"]

#: Fields of a chunk that are not repeated in the head of the completion.
CHUNK_KEYS = ("choices", "usage", "object")
#: Fields of a delta that are known to be pieces of one text.
TEXT_KEYS = ("content", "refusal", *REASONING_KEYS)
#: Fields of a piece of a tool call that are put together; all others are taken as they come.
PIECE_KEYS = ("index", "id", "type", "function", "custom")


def parse_event(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    """Translate one chunk."""
    memory = state.reply
    choice = first_choice(event)
    reason = choice.get("finish_reason")
    if not memory or reason or event.get("usage"):
        _remember_head(event, memory or _begin(memory))
    if reason and isinstance(reason, str):
        memory["choice"]["finish_reason"] = reason
        state.complete = True
    if choice.get("logprobs"):
        _remember_logprobs(as_mapping(choice["logprobs"]), memory["choice"])
    delta = choice.get("delta")
    return _read_delta(delta, memory) if isinstance(delta, dict) else ()


def _begin(memory: Dict[str, Any]) -> Dict[str, Any]:
    memory.update(head={}, choice={}, texts={}, lists={}, others={}, parts=[], calls=[], legacy=[])
    return memory


def _remember_head(event: JSON, memory: Dict[str, Any]) -> None:
    """Keep the fields of the completion as a whole, which come with the first chunks and with the last."""
    head = memory["head"]
    for key, value in event.items():
        if key not in CHUNK_KEYS and not head.get(key):
            head[key] = value
    if event.get("usage"):
        memory["usage"] = event["usage"]


def _remember_logprobs(logprobs: JSON, choice: Dict[str, Any]) -> None:
    kept = choice.setdefault("logprobs", {})
    for key, value in logprobs.items():
        kept.setdefault(key, []).extend(as_list(value))


def _read_delta(delta: JSON, memory: Dict[str, Any]) -> List[StreamEvent]:
    pieces: List[StreamEvent] = []
    for key, value in delta.items():
        if not value or key == "role":
            continue
        if key == "content" and isinstance(value, str):
            memory["texts"].setdefault(key, []).append(value)
            if memory["parts"]:
                memory["parts"].append({"type": "text", "text": value})
            pieces.append(TextDelta(value))
        elif key == "tool_calls":
            pieces += _read_calls(as_list(value), memory["calls"])
        elif key == "function_call":
            pieces += _read_calls([{"index": 0, "function": value}], memory["legacy"])
        elif isinstance(value, str) or key == "content":
            if key == "content":
                _remember_parts(value, memory)
            _read_text(key, read_content(value), delta, memory["texts"], pieces)
        elif isinstance(value, list):
            memory["lists"].setdefault(key, []).extend(value)
        else:
            memory["others"][key] = value
    return pieces


def _read_text(
    key: str, text: str, delta: JSON, texts: Dict[str, List[str]], pieces: List[StreamEvent]
) -> None:
    texts.setdefault(key, []).append(text)
    if key == "content" and text:
        pieces.append(TextDelta(text))
    elif key == next((name for name in REASONING_KEYS if delta.get(name)), None):
        pieces.append(ReasoningDelta(text))


def _remember_parts(content: Any, memory: Dict[str, Any]) -> None:
    """Keep the parts of a content that are more than text, and from then on the text between them too."""
    parts, texts = memory["parts"], memory["texts"].get("content", ())
    if parts or (isinstance(content, list) and not all(map(is_plain_part, content))):
        if not parts and any(texts):
            parts.append({"type": "text", "text": "".join(texts)})
        parts += as_list(content)


def _read_calls(entries: List[Any], calls: List[Dict[str, Any]]) -> List[StreamEvent]:
    return [_read_call(entry, calls) for entry in entries if isinstance(entry, dict)]


def _read_call(entry: JSON, calls: List[Dict[str, Any]]) -> ToolCallDelta:
    kind = "custom" if entry.get("custom") else "function"
    called = as_mapping(entry.get(kind))
    identifier, name = as_text_or_none(entry.get("id")), as_text_or_none(called.get("name"))
    arguments = read_arguments(called)
    position = _position(entry, called, arguments, calls)
    if position == len(calls):
        begun = {"index": entry.get("index"), "kind": kind, "id": None, "name": None}
        calls.append({**begun, "arguments": [], "others": {}})
    call = calls[position]
    new_id = _own_id(identifier, calls) if identifier and call["id"] is None else None
    new_name = name if call["name"] is None else None
    call["id"] = call["id"] or identifier
    call["name"] = call["name"] or new_name
    call["arguments"].append(arguments)
    call["others"].update((key, value) for key, value in entry.items() if key not in PIECE_KEYS)
    return ToolCallDelta(position, new_id, new_name, arguments)


def _own_id(identifier: str, calls: List[Dict[str, Any]]) -> str:
    """The id that the call will have in the answer."""
    ids = OwnIds()
    for call in calls:
        if call["id"]:
            ids.take(call["id"])
    return ids.take(identifier)


def _position(entry: JSON, called: JSON, arguments: str, calls: List[Dict[str, Any]]) -> int:
    """Which call a piece belongs to: by index, else by id. Some servers give all calls one index, or none."""
    index, identifier = entry.get("index"), as_text_or_none(entry.get("id"))
    name = as_text_or_none(called.get("name"))
    own = [n for n, call in enumerate(calls) if index is None or call["index"] in (index, None)]
    same = [n for n in own if identifier and calls[n]["id"] == identifier]
    for position in reversed(same or own):
        call = calls[position]
        is_new = identifier != call["id"] if identifier else index is None
        is_whole = name and arguments[:1] == "{" and parse_arguments("".join(call["arguments"]))
        if not (name and call["name"] and (is_new or is_whole)):
            return position
    return len(calls)


def assemble_reply(state: StreamState) -> JSON:
    """Put the completion together."""
    memory = state.reply or _begin({})
    texts = {key: _joined(key, pieces) for key, pieces in memory["texts"].items()}
    message: Dict[str, Any] = {
        "role": "assistant",
        "content": None,
        **texts,
        **{key: join_entries(pieces) for key, pieces in memory["lists"].items()},
        **memory["others"],
    }
    if memory["parts"]:
        message["content"] = join_parts(memory["parts"])
    if memory["calls"]:
        message["tool_calls"] = [_assembled_call(call) for call in memory["calls"]]
    if memory["legacy"]:
        message["function_call"] = _assembled_call(memory["legacy"][0])["function"]
    choice = {"index": 0, "message": message, "finish_reason": None, **memory["choice"]}
    reply = {**memory["head"], "object": "chat.completion", "choices": [choice]}
    return {**reply, "usage": memory["usage"]} if "usage" in memory else reply


def _joined(key: str, pieces: List[str]) -> str:
    """A text; a field that nobody knows and that repeats itself is the label of each chunk instead."""
    if key not in TEXT_KEYS and any(piece == before for piece, before in zip(pieces[1:], pieces)):
        return pieces[-1]
    return "".join(pieces)


def _assembled_call(call: JSON) -> Dict[str, Any]:
    text = "arguments" if call["kind"] == "function" else "input"
    called = {"name": call["name"] or "", text: "".join(call["arguments"])}
    return {"id": call["id"], "type": call["kind"], call["kind"]: called, **call["others"]}
