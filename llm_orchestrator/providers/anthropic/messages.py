"""A conversation as Anthropic's ``system`` and ``messages``.

The API requires turns of user and assistant in alternation, the results of all calls at the head of the user
turn after them, and nothing empty; either side may begin. A system message may follow a user's turn, before
the assistant's or at the end. What can be arranged so is arranged; the rest is rejected by its index.
https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages
"""

from __future__ import annotations

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
    """A conversation in Anthropic's form, and whether a system message stands among the others."""

    system: Optional[Content]
    messages: List[JSON]
    warnings: Tuple[str, ...]
    is_in_place: bool


class _Turn(NamedTuple):
    """One turn that is being put together, and at which index the first message in it is."""

    role: str
    at: int
    blocks: List[Block]


def write_messages(messages: Sequence[Message], *, in_place: bool) -> WrittenMessages:
    """Translate a conversation; ``in_place`` leaves system messages where they are, if the rules allow it."""
    turns: List[_Turn] = []
    system = _SystemMessages(turns, in_place=in_place)
    open_calls = _OpenCalls()
    for index, message in enumerate(messages):
        if message.role == "system":
            system.add(_system(message, index), index)
            continue
        open_calls.check(message, index)
        if message.role == "assistant":
            system.place()
        _append(turns, _translated(message, index))
    system.place()
    open_calls.check_none_left()
    _check(turns, ends_as_received=bool(messages) and messages[-1].provider is not None)
    return WrittenMessages(
        _content(system.front) if system.front else None,
        [_message(turn) for turn in turns],
        tuple(system.warnings),
        any(turn.role == "system" for turn in turns),
    )


class _SystemMessages:
    """The system messages: those at the front, and those that wait for the end of a user's turn."""

    def __init__(self, turns: List[_Turn], *, in_place: bool) -> None:
        self.front: List[Block] = []
        self.warnings: List[str] = []
        self._turns = turns
        self._in_place = in_place
        self._waiting: Optional[_Turn] = None
        self._length = 0

    def add(self, blocks: List[Block], index: int) -> None:
        """Take the next one; those that follow each other become one."""
        if not self._turns:
            self.front += blocks
        elif not self._in_place:
            self._move_to_front(blocks, index)
        elif self._waiting is not None:
            self._waiting.blocks.extend(blocks)
        elif blocks:
            self._waiting, self._length = _Turn("system", index, blocks), self._said

    def place(self) -> None:
        """Put what waits at the end of the user's turn, which ends here."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return
        if self._turns[-1].role != "user":
            self._move_to_front(waiting.blocks, waiting.at)
            return
        if self._said != self._length:
            self.warnings.append(
                f"messages[{waiting.at}] was moved behind the user's turn: Anthropic takes system messages"
                " only there."
            )
        self._turns.append(waiting)

    @property
    def _said(self) -> int:
        return sum(len(turn.blocks) for turn in self._turns)

    def _move_to_front(self, blocks: List[Block], index: int) -> None:
        self.front += blocks
        self.warnings.append(
            f"messages[{index}] was moved to the front: Anthropic takes system messages only there."
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
            raise message_error(turn.at, "is empty", "Give it text, or leave it out")
    last = turns[-1]
    text = as_text(last.blocks[-1].get("text"))
    if last.role == "assistant" and text != text.rstrip() and not ends_as_received:
        raise message_error(
            last.at, "begins the answer and ends with white space", "Remove the white space at its end"
        )


def _message(turn: _Turn) -> JSON:
    blocks = turn.blocks
    if len(blocks) > 1:  # the results first
        blocks = sorted(blocks, key=lambda block: block.get("type") != "tool_result")
    return {"role": turn.role, "content": _content(blocks)}


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
