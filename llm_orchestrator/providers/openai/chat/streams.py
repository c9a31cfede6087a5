"""The chunks of a streamed completion: the text and calls in each, and the whole put together from them."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

from llm_orchestrator.providers.calls import OwnIds
from llm_orchestrator.providers.contents import parts_in, thinking_in
from llm_orchestrator.providers.failures import error_of_failure
from llm_orchestrator.providers.media import joined_base64
from llm_orchestrator.providers.openai.chat.parts import read_content
from llm_orchestrator.providers.openai.chat.pieces import join_entries, join_parts
from llm_orchestrator.providers.openai.chat.replies import failure_in_choice, first_choice, other_choices
from llm_orchestrator.providers.openai.chat.turns import (
    REASONING_KEYS,
    details_text,
    has_reasoning_field,
    read_arguments,
)
from llm_orchestrator.providers.openai.failures import parse_failure
from llm_orchestrator.providers.openai.messages import is_plain_part
from llm_orchestrator.providers.openai.usage import find_usage
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
from llm_orchestrator.utils.usage import updated_usage

__all__ = ["assemble_reply", "parse_event", "remember_usage"]

#: Fields of a chunk that are not repeated in the head of the completion.
CHUNK_KEYS = ("choices", "usage", "object", "error")
#: Fields of a delta that are known to be pieces of one text.
TEXT_KEYS = ("content", "refusal", *REASONING_KEYS)
#: Fields of a piece of a tool call that are put together; all others are taken as they come.
PIECE_KEYS = ("index", "id", "type", "function", "custom")


def parse_event(event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    """Translate one chunk."""
    memory = state.reply
    choice = first_choice(event)
    reason = choice.get("finish_reason")
    delta = choice.get("delta")
    if reason or "error" in choice or (isinstance(delta, dict) and "error" in delta) or "message" in choice:
        failure = failure_in_choice(choice)
        if failure is not None:
            return _fail(failure, event, state)
    usage = find_usage(event, choice)
    if not memory or reason or usage:
        _remember_head(event, memory or _begin(memory))
    if usage:
        memory["usage"] = updated_usage(memory.get("usage", {}), usage)
    if not choice or len(event["choices"]) > 1:
        for index, other in other_choices(event):
            _remember_alternative(index, other, memory["alternatives"])
    if choice.get("logprobs"):
        _remember_logprobs(as_mapping(choice["logprobs"]), memory["choice"])
    if not isinstance(delta, dict):
        delta = _delta_of(choice, memory)
    pieces = _read_delta(delta, memory)
    if reason and isinstance(reason, str):
        memory["choice"]["finish_reason"] = reason
        state.complete = True
    elif pieces and state.complete:  # the reason came too early: the answer goes on
        memory["choice"]["finish_reason"] = None
        state.complete = False
    return pieces


def _fail(failure: JSON, event: JSON, state: StreamState) -> Sequence[StreamEvent]:
    """Raise a failure, unless the answer ended before it: then only its usage counts."""
    remember_usage(event, state)
    if not state.complete:
        raise error_of_failure(parse_failure(failure, None, state.headers))
    return ()


def remember_usage(event: JSON, state: StreamState) -> None:
    """Keep the usage of a chunk that is not read otherwise: what came before a failure is paid for."""
    usage = find_usage(event, first_choice(event))
    if usage:
        memory = state.reply or _begin(state.reply)
        memory["usage"] = updated_usage(memory.get("usage", {}), usage)


def _begin(memory: Dict[str, Any]) -> Dict[str, Any]:
    memory.update(head={}, choice={}, texts={}, lists={}, others={}, parts=[], calls=[], legacy=[])
    memory.update(alternatives={}, audio=[])
    return memory


def _remember_head(event: JSON, memory: Dict[str, Any]) -> None:
    """Keep the fields of the completion as a whole, which come with the first chunks and with the last."""
    head = memory["head"]
    for key, value in event.items():
        if key not in CHUNK_KEYS and not head.get(key):
            head[key] = value


def _remember_logprobs(logprobs: JSON, choice: Dict[str, Any]) -> None:
    kept = choice.setdefault("logprobs", {})
    for key, value in logprobs.items():
        kept.setdefault(key, []).extend(as_list(value))


def _remember_alternative(index: int, choice: JSON, alternatives: Dict[int, Dict[str, Any]]) -> None:
    kept = alternatives.setdefault(index, {"texts": [], "finish_reason": None})
    kept["texts"].append(read_content(as_mapping(choice.get("delta")).get("content")))
    kept["finish_reason"] = choice.get("finish_reason") or kept["finish_reason"]


def _read_delta(delta: JSON, memory: Dict[str, Any]) -> List[StreamEvent]:
    pieces: List[StreamEvent] = []
    if "reasoning_details" in delta and not has_reasoning_field(delta):
        shown = details_text(delta["reasoning_details"])
        pieces += [ReasoningDelta(shown)] if shown else []
    for key, value in delta.items():
        if value is None and key in REASONING_KEYS:
            memory["texts"].setdefault(key, [])  # the host has the field, and shows nothing
        elif not value or key == "role":
            continue
        elif key == "content" and isinstance(value, str) and not memory["parts"]:
            memory["texts"].setdefault(key, []).append(value)
            pieces.append(TextDelta(value))
        elif key == "tool_calls":
            pieces += _read_calls(as_list(value), memory["calls"])
        elif key == "function_call":
            pieces += _read_calls([{"index": 0, "function": value}], memory["legacy"])
        elif isinstance(value, str) or key == "content":
            if key == "content":
                pieces += _read_thinking(value, memory)
            _read_text(key, read_content(value), delta, memory["texts"], pieces)
        elif isinstance(value, list):
            memory["lists"].setdefault(key, []).extend(value)
        elif key == "audio" and isinstance(value, dict):
            memory["audio"].append(value)
        else:
            memory["others"][key] = value
    return pieces


def _delta_of(choice: JSON, memory: Dict[str, Any]) -> JSON:
    """What stands for a delta in a choice without one: a text, or the message, unless it was streamed."""
    if isinstance(choice.get("text"), str):
        return {"content": choice["text"]}
    is_new = not (memory["texts"] or memory["parts"] or memory["calls"] or memory["legacy"])
    return as_mapping(choice.get("message")) if is_new else {}


def _read_text(
    key: str, text: str, delta: JSON, texts: Dict[str, List[str]], pieces: List[StreamEvent]
) -> None:
    texts.setdefault(key, []).append(text)
    if key == "content" and text:
        pieces.append(TextDelta(text))
    elif key == next((name for name in REASONING_KEYS if delta.get(name)), None):
        pieces.append(ReasoningDelta(text))


def _read_thinking(content: Any, memory: Dict[str, Any]) -> List[StreamEvent]:
    """The reasoning in a content; one that is more than text is kept in its parts."""
    parts, texts = memory["parts"], memory["texts"].get("content", ())
    new = parts_in(content)
    if not parts and not all(map(is_plain_part, new)) and any(texts):
        parts.append({"type": "text", "text": "".join(texts)})
    if parts or not all(map(is_plain_part, new)):
        parts += new
    thinking = thinking_in(new)
    return [ReasoningDelta(thinking)] if thinking else []


def _read_calls(entries: List[Any], calls: List[Dict[str, Any]]) -> List[StreamEvent]:
    pieces = (_read_call(entry, calls) for entry in entries if isinstance(entry, dict))
    return [piece for piece in pieces if piece is not None]


def _read_call(entry: JSON, calls: List[Dict[str, Any]]) -> Optional[ToolCallDelta]:
    kind = "custom" if entry.get("custom") else "function"
    called = as_mapping(entry.get(kind))
    identifier, name = as_text_or_none(entry.get("id")), as_text_or_none(called.get("name"))
    arguments = read_arguments(called)
    position = _position(entry, called, arguments, calls)
    if position == len(calls):
        if not (identifier or name or read_arguments(called)):
            return None  # empty fields, as some servers fill them in
        begun = {"index": entry.get("index"), "kind": kind, "id": None, "name": None}
        calls.append({**begun, "arguments": [], "others": {}})
    call = calls[position]
    new_id = _own_id(identifier, calls) if identifier and call["id"] is None else None
    new_name = _rest_of_name(name, call)
    call["id"] = call["id"] or identifier
    call["name"] = f"{call['name'] or ''}{new_name}" if new_name else call["name"]
    call["arguments"].append(arguments)
    call["others"].update((key, value) for key, value in entry.items() if key not in PIECE_KEYS)
    return ToolCallDelta(position, new_id, new_name, arguments)


def _rest_of_name(name: Optional[str], call: Dict[str, Any]) -> Optional[str]:
    """What a piece adds to the name of its call: some servers send it in pieces, or again with each one."""
    known = call["name"]
    if known is None or not name:
        return name
    if name == known or any(call["arguments"]):  # which follow a name that is whole
        return None
    return name[len(known) :] if name.startswith(known) else name


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
    if memory["audio"]:
        message["audio"] = _joined_audio(memory["audio"])
    if memory["legacy"]:
        message["function_call"] = _assembled_call(memory["legacy"][0])["function"]
    choice = {"index": 0, "message": message, "finish_reason": None, **memory["choice"]}
    others = [_assembled_alternative(*item) for item in sorted(memory["alternatives"].items())]
    reply = {**memory["head"], "object": "chat.completion", "choices": [choice, *others]}
    return {**reply, "usage": memory["usage"]} if "usage" in memory else reply


def _joined_audio(pieces: List[JSON]) -> Dict[str, Any]:
    """A sound whose bytes and whose words came in pieces."""
    whole = {key: value for piece in pieces for key, value in piece.items()}
    for key, joined in (("data", joined_base64), ("transcript", "".join)):
        sent = [piece[key] for piece in pieces if isinstance(piece.get(key), str) and piece[key]]
        if sent:
            whole[key] = joined(sent)
    return whole


def _joined(key: str, pieces: List[str]) -> str:
    """A text; a field that nobody knows and that repeats itself is the label of each chunk instead."""
    if key not in TEXT_KEYS and any(piece == before for piece, before in zip(pieces[1:], pieces)):
        return pieces[-1]
    return "".join(pieces)


def _assembled_alternative(index: int, kept: JSON) -> JSON:
    message = {"role": "assistant", "content": "".join(kept["texts"])}
    return {"index": index, "message": message, "finish_reason": kept["finish_reason"]}


def _assembled_call(call: JSON) -> Dict[str, Any]:
    text = "arguments" if call["kind"] == "function" else "input"
    called = {"name": call["name"] or "", text: "".join(call["arguments"])}
    return {"id": call["id"], "type": call["kind"], call["kind"]: called, **call["others"]}
