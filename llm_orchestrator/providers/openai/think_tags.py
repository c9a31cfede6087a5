"""Reasoning between ``<think>`` and ``</think>`` in the text, moved to where other hosts put it."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple

from llm_orchestrator.providers.openai.chat.replies import first_choice
from llm_orchestrator.providers.reading import as_list, as_mapping, as_text
from llm_orchestrator.providers.wire import StreamState
from llm_orchestrator.types import JSON

__all__ = ["ThinkTags", "chunk_without_tags", "reply_without_tags"]

TAGS = {"<think>": "</think>", "<thinking>": "</thinking>"}
NOTE = "think tags"


class Pieces(NamedTuple):
    """What a piece of text holds."""

    reasoning: str
    text: str


class ThinkTags:
    """Divides a text that comes in pieces; what may be the beginning of a tag waits for the next piece."""

    def __init__(self) -> None:
        self._held = ""
        self._is_decided = False
        self._close = ""
        self._is_after = False

    def feed(self, piece: str) -> Pieces:
        """Take the next piece."""
        self._held += piece
        if not self._is_decided and not self._decide():
            return Pieces("", "")
        reasoning = self._take_reasoning() if self._close else ""
        return Pieces(reasoning, "" if self._close else self._take_text())

    def end(self) -> Pieces:
        """Say that the text is over."""
        held, self._held = self._held, ""
        return Pieces(held, "") if self._close else Pieces("", held)

    def _decide(self) -> bool:
        """Whether the text is seen to begin with a tag, or not to."""
        begun = self._held.lstrip()
        tag = next((tag for tag in TAGS if begun.startswith(tag)), None)
        if tag is None and any(tag.startswith(begun) for tag in TAGS):
            return False
        self._is_decided = True
        if tag is not None:
            self._close, self._held = TAGS[tag], begun[len(tag) :]
        return True

    def _take_reasoning(self) -> str:
        reasoning, tag, rest = self._held.partition(self._close)
        if tag:
            self._held, self._close, self._is_after = rest, "", True
            return reasoning
        kept = next(n for n in range(len(self._close) - 1, -1, -1) if reasoning.endswith(self._close[:n]))
        end = len(reasoning) - kept
        self._held = reasoning[end:]
        return reasoning[:end]

    def _take_text(self) -> str:
        text, self._held = self._held, ""
        if self._is_after:
            text = text.lstrip()
            self._is_after = not text
        return text


def reply_without_tags(body: JSON) -> JSON:
    """A whole completion, with the reasoning in a field of its own."""
    choice = first_choice(body)
    message = as_mapping(choice.get("message"))
    content, tags = as_text(message.get("content")), ThinkTags()
    before, after = tags.feed(content), tags.end()
    text, reasoning = before.text + after.text, before.reasoning + after.reasoning
    if text == content:
        return body
    divided = {**message, "content": text, **({"reasoning_content": reasoning} if reasoning else {})}
    return _with_choice(body, choice, {**choice, "message": divided})


def chunk_without_tags(event: JSON, state: StreamState) -> JSON:
    """A chunk of a streamed one."""
    choice = first_choice(event)
    delta = as_mapping(choice.get("delta"))
    tags: ThinkTags = state.notes.setdefault(NOTE, ThinkTags())
    pieces = tags.feed(as_text(delta.get("content")))
    if choice.get("finish_reason"):
        rest = tags.end()
        pieces = Pieces(pieces.reasoning + rest.reasoning, pieces.text + rest.text)
    if not choice or not (isinstance(delta.get("content"), str) or any(pieces)):
        return event
    others = {key: value for key, value in delta.items() if key != "content"}
    divided: Dict[str, Any] = {**others, "content": pieces.text}
    if pieces.reasoning:
        divided = {**others, "reasoning_content": pieces.reasoning, "content": pieces.text}
    return _with_choice(event, choice, {**choice, "delta": divided})


def _with_choice(body: JSON, old: JSON, new: JSON) -> JSON:
    """Put a choice into the place of another; the others stay."""
    return {**body, "choices": [new if choice is old else choice for choice in as_list(body["choices"])]}
