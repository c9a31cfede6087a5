"""A conversation as Anthropic's ``system`` and ``messages``.

The API requires turns of user and assistant in alternation, the results of all calls at the head of the user
turn after them, and nothing empty; either side may begin. What can be arranged so is arranged; the rest is
rejected by its index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from llm_orchestrator.providers.anthropic.parts import Block, write_blocks
from llm_orchestrator.providers.anthropic.turns import write_turn
from llm_orchestrator.providers.messages import message_error
from llm_orchestrator.providers.reading import as_text
from llm_orchestrator.types import JSON, Message

__all__ = ["WrittenMessages", "write_messages"]

#: Blocks that the API takes only from the user.
MEDIA = ("image", "document")

Content = Union[str, List[Block]]


class WrittenMessages(NamedTuple):
    """A conversation in Anthropic's form."""

    system: Optional[Content]
    messages: List[JSON]
    warnings: Tuple[str, ...]


@dataclass(frozen=True)
class _Turn:
    """One turn that is being put together, and the index of the first message in it."""

    role: str
    index: int
    blocks: List[Block]


def write_messages(messages: Sequence[Message]) -> WrittenMessages:
    """Translate a conversation."""
    system: List[Block] = []
    turns: List[_Turn] = []
    warnings: List[str] = []
    open_calls = _OpenCalls()
    for index, message in enumerate(messages):
        if message.role == "system":
            system += _system(message, index)
            if turns:
                warnings.append(
                    f"messages[{index}] was moved to the front: Anthropic takes system messages only there."
                )
            continue
        open_calls.check(message, index)
        _append(turns, _translated(message, index))
    open_calls.check_none_left()
    _check(turns, ends_as_received=bool(messages) and messages[-1].provider is not None)
    return WrittenMessages(
        _content(system) if system else None, [_message(turn) for turn in turns], tuple(warnings)
    )


def _translated(message: Message, index: int) -> _Turn:
    if message.role == "tool":
        content = write_blocks(message, index)
        result = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": _content(content)}
        return _Turn("user", index, [result if content else {**result, "content": ""}])
    blocks = write_blocks(message, index)
    if message.role == "assistant":
        if any(block.get("type") in MEDIA for block in blocks):
            raise message_error(
                index, "holds an image or file in the assistant's turn", "Put it into a user message"
            )
        return _Turn("assistant", index, write_turn(message, index, blocks))
    return _Turn("user", index, blocks)


def _append(turns: List[_Turn], turn: _Turn) -> None:
    """Add a turn; two of the same role become one, and an empty turn of the assistant is left out."""
    if turns and turns[-1].role == turn.role:
        turns[-1].blocks.extend(turn.blocks)
    elif turn.blocks or turn.role == "user":
        turns.append(turn)


def _check(turns: Sequence[_Turn], *, ends_as_received: bool) -> None:
    if not turns:
        raise message_error(0, "and what follows hold nothing from the user", "Add a user message")
    for turn in turns:
        if not turn.blocks:
            raise message_error(turn.index, "is empty", "Give it text, or leave it out")
    last = turns[-1]
    text = as_text(last.blocks[-1].get("text"))
    if last.role == "assistant" and text != text.rstrip() and not ends_as_received:
        raise message_error(
            last.index, "begins the answer and ends with white space", "Remove the white space at its end"
        )


def _message(turn: _Turn) -> JSON:
    results_first = sorted(turn.blocks, key=lambda block: block.get("type") != "tool_result")
    return {"role": turn.role, "content": _content(results_first)}


def _content(blocks: List[Block]) -> Content:
    """The short form, a string, for what is only text."""
    only_text = len(blocks) == 1 and set(blocks[0]) == {"type", "text"}
    return blocks[0]["text"] if only_text else blocks


class _OpenCalls:
    """The calls without a result so far: each needs one, right after the turn that made it."""

    def __init__(self) -> None:
        self._open: Dict[Optional[str], int] = {}

    def check(self, message: Message, index: int) -> None:
        """Take the next message into account."""
        if message.role == "assistant":
            self.check_none_left()
            self._open = {call.id: index for call in message.tool_calls}
        elif message.role == "tool" and self._open.pop(message.tool_call_id, None) is None:
            raise message_error(
                index,
                f"is a result of the tool call {message.tool_call_id!r}, which the turn before does not make",
                "Put one result right after the turn with the call",
            )

    def check_none_left(self) -> None:
        """Reject calls without a result, before the next turn of the assistant and at the end."""
        for identifier, index in self._open.items():
            raise message_error(
                index,
                f"makes the tool call {identifier!r}, which has no result",
                "Add a tool message for every call",
            )


def _system(message: Message, index: int) -> List[Block]:
    blocks = write_blocks(message, index)
    if any(block.get("type") != "text" for block in blocks):
        raise message_error(
            index, "is a system message with more than text", "Put the rest into a user message"
        )
    return blocks
