"""A conversation as Gemini's ``systemInstruction`` and ``contents``.

Gemini's turns alternate between user and model, the results of tool calls belong to the user's side, and
there is one system instruction beside the conversation.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from llm_orchestrator.providers.gemini.parts import Part, result_part, write_parts
from llm_orchestrator.providers.gemini.turns import read_calls, write_turn
from llm_orchestrator.providers.messages import message_error
from llm_orchestrator.types import Message

__all__ = ["WrittenMessages", "write_messages"]

Content = Dict[str, Any]
Turn = Tuple[int, Message]


class WrittenMessages(NamedTuple):
    """A conversation in Gemini's form."""

    system: Optional[Content]
    contents: List[Content]
    warnings: Tuple[str, ...]


class _OpenCall(NamedTuple):
    """A tool call without a result so far: its place in its turn, Gemini's name and id, the turn's index."""

    position: int
    name: str
    identifier: Optional[str]
    turn: int


def write_messages(messages: Sequence[Message]) -> WrittenMessages:
    """Translate a conversation."""
    warnings: List[str] = []
    return WrittenMessages(_system_instruction(messages, warnings), _contents(messages), tuple(warnings))


def _system_instruction(messages: Sequence[Message], warnings: List[str]) -> Optional[Content]:
    parts: List[Part] = []
    started = False
    for index, message in enumerate(messages):
        if message.role != "system":
            started = True
            continue
        if started:
            warnings.append(
                f"messages[{index}] was moved to the front: Gemini takes system messages only there."
            )
        parts += _system_parts(message, index)
    return {"parts": parts} if parts else None


def _system_parts(message: Message, index: int) -> List[Part]:
    parts = write_parts(message, index)
    if any("text" not in part for part in parts):
        raise message_error(
            index, "is a system message with more than text", "Put the rest into a user message"
        )
    return parts


def _contents(messages: Sequence[Message]) -> List[Content]:
    turns = [(index, message) for index, message in enumerate(messages) if message.role != "system"]
    if not turns:
        raise message_error(len(messages) - 1, "is not followed by a user message", "Append one")
    contents: List[Content] = []
    open_calls: Dict[str, _OpenCall] = {}
    for role, run in groupby(turns, key=lambda turn: turn[1].role):
        if role == "assistant":
            _check_none_left(open_calls)
            open_calls = _add_model_turns(contents, list(run))
        elif role == "tool":
            open_calls = _add_results(contents, list(run), open_calls)
        else:
            _add_user_turns(contents, list(run), open_calls)
    _check_none_left(open_calls)
    if contents[-1]["role"] == "model":
        raise message_error(
            turns[-1][0], "ends the conversation with the model's own turn", "Append a user message"
        )
    return contents


def _add_user_turns(contents: List[Content], run: List[Turn], open_calls: Mapping[str, _OpenCall]) -> None:
    for index, message in run:
        if open_calls:
            raise message_error(
                index,
                f"comes before the results of the tool calls {', '.join(open_calls)}",
                "Put the results first",
            )
        _add(contents, "user", write_parts(message, index) or [{"text": ""}])


def _check_none_left(open_calls: Mapping[str, _OpenCall]) -> None:
    """Gemini requires as many results as there were calls, all in the next turn."""
    for identifier, call in open_calls.items():
        raise message_error(
            call.turn,
            f"makes the tool call {identifier!r}, which has no result",
            "Add a tool message for every call",
        )


def _add_model_turns(contents: List[Content], run: List[Turn]) -> Dict[str, _OpenCall]:
    """Add model turns; an empty turn is left out, for Gemini accepts no empty content."""
    calls: Dict[str, _OpenCall] = {}
    for index, message in run:
        parts = write_turn(message, index)
        if message.tool_calls and not contents:
            raise message_error(
                index, "begins the conversation with a tool call", "Put a user message before it"
            )
        for call, sent in zip(message.tool_calls, read_calls(parts)):
            calls[call.id] = _OpenCall(len(calls), call.name, sent.get("id"), index)
        if parts:
            _add(contents, "model", parts)
    return calls


def _add_results(
    contents: List[Content], run: List[Turn], open_calls: Mapping[str, _OpenCall]
) -> Dict[str, _OpenCall]:
    """Add results in the order of their calls: without ids, Gemini matches them by name and order."""
    calls = dict(open_calls)
    results: List[Tuple[int, Part]] = []
    for index, message in run:
        call = calls.pop(message.tool_call_id or "", None)
        if call is None:
            raise message_error(
                index,
                f"is a result of the tool call {message.tool_call_id!r}, which the turn before does not make",
                "Put one result right after the turn with the call",
            )
        results.append((call.position, result_part(message, call.name, call.identifier, index)))
    _add(contents, "user", [part for _, part in sorted(results, key=lambda result: result[0])])
    return calls


def _add(contents: List[Content], role: str, parts: List[Part]) -> None:
    """Add parts to the last turn when it is of the same role: Gemini's turns alternate."""
    if contents and contents[-1]["role"] == role:
        contents[-1]["parts"] += parts
    else:
        contents.append({"role": role, "parts": parts})
