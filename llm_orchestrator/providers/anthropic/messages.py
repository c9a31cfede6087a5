"""From a conversation to Anthropic's ``system`` and ``messages``.

The API wants turns of user and assistant in alternation, the results of all calls at the head of the user
turn after them, and nothing empty. What can be arranged so is arranged; the rest is refused with its index.
"""

from __future__ import annotations

import base64
from collections import abc
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, NoReturn, Optional, Sequence, Tuple, Union

from llm_orchestrator.exceptions import InvalidMessagesError
from llm_orchestrator.providers.anthropic.turns import Block, as_text, has_text, write_turn
from llm_orchestrator.providers.reading import parse_data_url
from llm_orchestrator.types import JSON, Message, parts_of
from llm_orchestrator.utils.json import without_none

__all__ = ["Conversation", "write_messages"]

#: Parts of the OpenAI Chat form that the API has nothing for.
NO_BLOCK = ("input_audio", "refusal")
#: Blocks that the API takes from the user alone.
MEDIA = ("image", "document")

Content = Union[str, List[Block]]


class Conversation(NamedTuple):
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


def write_messages(messages: Sequence[Message]) -> Conversation:
    """Translate a conversation."""
    system: List[Block] = []
    turns: List[_Turn] = []
    warnings: List[str] = []
    calls = _OpenCalls()
    for index, message in enumerate(messages):
        if message.role == "system":
            system += _system(message, index)
            if turns:
                warnings.append(
                    f"messages[{index}] was moved to the front: Anthropic takes system messages only there."
                )
            continue
        calls.check(message, index)
        _append(turns, _translated(message, index))
    calls.check_none_left()
    _check(turns)
    return Conversation(
        _content(system) if system else None, [_message(turn) for turn in turns], tuple(warnings)
    )


def _translated(message: Message, index: int) -> _Turn:
    if message.role == "tool":
        content = _blocks(message, index)
        result = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": _content(content)}
        return _Turn("user", index, [result if content else {**result, "content": ""}])
    blocks = _blocks(message, index)
    if message.role == "assistant":
        if any(block.get("type") in MEDIA for block in blocks):
            _refuse(index, "holds an image or file of the assistant's", "Put it into a user message")
        return _Turn("assistant", index, write_turn(message, index, blocks))
    return _Turn("user", index, blocks)


def _append(turns: List[_Turn], turn: _Turn) -> None:
    """Add a turn; two of the same role become one, and an assistant turn that says nothing is none."""
    if turns and turns[-1].role == turn.role:
        turns[-1].blocks.extend(turn.blocks)
    elif turn.blocks or turn.role == "user":
        turns.append(turn)


def _check(turns: Sequence[_Turn]) -> None:
    if not turns:
        _refuse(0, "and what follows it hold no turn of the user", "Add a user message")
    if turns[0].role == "assistant":
        _refuse(
            turns[0].index, "is an assistant turn that opens the conversation", "Begin with a user message"
        )
    for turn in turns:
        if not turn.blocks:
            _refuse(turn.index, "is empty", "Give it text, or leave it out")
    last = turns[-1]
    text = as_text(last.blocks[-1].get("text"))
    if last.role == "assistant" and text != text.rstrip():
        _refuse(
            last.index, "is the beginning of the answer and ends with white space", "Take it off at the end"
        )


def _message(turn: _Turn) -> JSON:
    results_first = sorted(turn.blocks, key=lambda block: block.get("type") != "tool_result")
    return {"role": turn.role, "content": _content(results_first)}


def _content(blocks: List[Block]) -> Content:
    """The short form for what is only a text."""
    only_text = len(blocks) == 1 and set(blocks[0]) == {"type", "text"}
    return blocks[0]["text"] if only_text else blocks


class _OpenCalls:
    """The calls whose results have not come yet: each wants one, right after the turn that made it."""

    def __init__(self) -> None:
        self._open: Dict[Optional[str], int] = {}

    def check(self, message: Message, index: int) -> None:
        """Take the next message into account."""
        if message.role == "assistant":
            self.check_none_left()
            self._open = {call.id: index for call in message.tool_calls}
        elif message.role == "tool" and self._open.pop(message.tool_call_id, None) is None:
            _refuse(
                index,
                f"is a result of the call {message.tool_call_id!r}, which the turn before did not make",
                "Put it right after the assistant turn with that call, once",
            )

    def check_none_left(self) -> None:
        """Say that the next turn of the assistant, or the end, has come."""
        for identifier, index in self._open.items():
            _refuse(index, f"makes the call {identifier!r}, which has no result", "Add a tool message for it")


# -------------------------------------------------------------------- parts


def _system(message: Message, index: int) -> List[Block]:
    blocks = _blocks(message, index)
    if any(block.get("type") != "text" for block in blocks):
        _refuse(index, "is a system message with more than text", "Put the rest into a user message")
    return blocks


def _blocks(message: Message, index: int) -> List[Block]:
    blocks = [PARTS.get(part["type"], _as_it_is)(part, index) for part in parts_of(message, index)]
    return [block for block in blocks if has_text(block)]


def _as_it_is(part: JSON, index: int) -> Block:
    """A text, or one of Anthropic's own blocks."""
    if part["type"] in NO_BLOCK:
        _refuse(
            index, f"holds a part of the type {part['type']}, which Anthropic does not take", "Leave it out"
        )
    return dict(part)


def _image(part: JSON, index: int) -> Block:
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, abc.Mapping) else image
    return {"type": "image", "source": _source(url, index)}


def _file(part: JSON, index: int) -> Block:
    file = part.get("file")
    file = file if isinstance(file, abc.Mapping) else {}
    if file.get("file_id"):
        return {"type": "document", "source": {"type": "file", "file_id": file["file_id"]}}
    source = _source(file.get("file_data"), index)
    kind = "image" if source.get("media_type", "").startswith("image/") else "document"
    title = file.get("filename") if kind == "document" else None
    return without_none({"type": kind, "source": _as_text_source(source, index), "title": title})


def _source(url: Any, index: int) -> Dict[str, str]:
    data = parse_data_url(url) if isinstance(url, str) else None
    if data is not None and data.mime_type:
        return {"type": "base64", "media_type": data.mime_type, "data": data.base64}
    if not isinstance(url, str) or not url or url.startswith("data:"):
        _refuse(
            index,
            "holds an image or file without a readable URL",
            "Give a URL, or a base64 data URL that names the media type",
        )
    return {"type": "url", "url": url}


def _as_text_source(source: Dict[str, str], index: int) -> Dict[str, str]:
    """Text travels as text; base64 is for images and PDF."""
    media_type = source.get("media_type", "")
    if not media_type or media_type.startswith("image/") or media_type == "application/pdf":
        return source
    if not media_type.startswith("text/"):
        _refuse(
            index, f"holds a file of the type {media_type}, which Anthropic does not take", "Send PDF or text"
        )
    try:
        text = base64.b64decode(source["data"]).decode("utf-8")
    except ValueError:  # of base64 and UTF-8 alike
        _refuse(index, "holds a text file that is not UTF-8 in base64", "Encode it so, or send it as text")
    return {"type": "text", "media_type": "text/plain", "data": text}


PARTS: Mapping[str, Callable[[JSON, int], Block]] = {"image_url": _image, "file": _file}


def _refuse(index: int, problem: str, remedy: str) -> NoReturn:
    raise InvalidMessagesError(f"messages[{index}] {problem}. {remedy}.", index=index)
