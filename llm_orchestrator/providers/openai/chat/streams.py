"""The chunks of a streamed completion: the text and calls in each, and the whole put together from them."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

from llm_orchestrator.providers.openai.chat.parts import read_content
from llm_orchestrator.providers.openai.chat.replies import first_choice
from llm_orchestrator.providers.openai.chat.turns import REASONING_KEYS, read_arguments
from llm_orchestrator.providers.reading import as_list, as_mapping, as_text_or_none
from llm_orchestrator.providers.wire import StreamState
from llm_orchestrator.types import JSON, ReasoningDelta, StreamEvent, TextDelta, ToolCallDelta

__all__ = ["assemble_reply", "parse_event"]

#: Fields of a chunk that are not repeated in the head of the completion.
CHUNK_KEYS = ("choices", "usage", "object")
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
    memory.update(head={}, choice={}, texts={}, lists={}, others={}, calls=[], legacy=[])
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
            pieces.append(TextDelta(value))
        elif key == "tool_calls":
            pieces += _read_calls(as_list(value), memory["calls"])
        elif key == "function_call":
            pieces += _read_calls([{"index": 0, "function": value}], memory["legacy"])
        elif isinstance(value, str) or key == "content":
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


def _read_calls(entries: List[Any], calls: List[Dict[str, Any]]) -> List[StreamEvent]:
    return [_read_call(entry, calls) for entry in entries if isinstance(entry, dict)]


def _read_call(entry: JSON, calls: List[Dict[str, Any]]) -> ToolCallDelta:
    kind = "custom" if entry.get("custom") else "function"
    called = as_mapping(entry.get(kind))
    identifier, name = as_text_or_none(entry.get("id")), as_text_or_none(called.get("name"))
    position = _position(entry, identifier, name, calls)
    if position == len(calls):
        begun = {"index": entry.get("index"), "kind": kind, "id": None, "name": None}
        calls.append({**begun, "arguments": [], "others": {}})
    call = calls[position]
    new_id = identifier if call["id"] is None else None
    new_name = name if call["name"] is None else None
    call["id"] = call["id"] or new_id
    call["name"] = call["name"] or new_name
    arguments = read_arguments(called)
    call["arguments"].append(arguments)
    call["others"].update((key, value) for key, value in entry.items() if key not in PIECE_KEYS)
    return ToolCallDelta(position, new_id, new_name, arguments)


def _position(
    entry: JSON, identifier: Optional[str], name: Optional[str], calls: List[Dict[str, Any]]
) -> int:
    """Which call a piece belongs to; some servers give all calls the same index, or none."""
    index = entry.get("index")
    for position in range(len(calls) - 1, -1, -1):
        call = calls[position]
        is_new = identifier != call["id"] if identifier else index is None
        begins_another = name and call["name"] and is_new
        if (index is None or call["index"] == index) and not begins_another:
            return position
    return len(calls)


def assemble_reply(state: StreamState) -> JSON:
    """Put the completion together."""
    memory = state.reply or _begin({})
    texts = {key: "".join(pieces) for key, pieces in memory["texts"].items()}
    message: Dict[str, Any] = {
        "role": "assistant",
        "content": None,
        **texts,
        **memory["lists"],
        **memory["others"],
    }
    if memory["calls"]:
        message["tool_calls"] = [_assembled_call(call) for call in memory["calls"]]
    if memory["legacy"]:
        message["function_call"] = _assembled_call(memory["legacy"][0])["function"]
    choice = {"index": 0, "message": message, "finish_reason": None, **memory["choice"]}
    reply = {**memory["head"], "object": "chat.completion", "choices": [choice]}
    return {**reply, "usage": memory["usage"]} if "usage" in memory else reply


def _assembled_call(call: JSON) -> Dict[str, Any]:
    text = "arguments" if call["kind"] == "function" else "input"
    called = {"name": call["name"] or "", text: "".join(call["arguments"])}
    return {"id": call["id"], "type": call["kind"], call["kind"]: called, **call["others"]}
