"""The script of a ``FakeProvider``: which entry answers which request."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional, Tuple, Union, cast

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.testing.fake_reply import FakeReply, as_asked, is_object
from llm_orchestrator.types import EmbeddingRequest, LLMRequest

__all__ = ["FakeScript", "Scripted", "can_answer", "reply_of"]

#: An answer, as a script may write it: text, an error, a reply, or an object that becomes JSON.
Answer = Union[str, Exception, FakeReply, Any]
Scripted = Union[Answer, Callable[[LLMRequest], Answer]]


def can_answer(entry: object) -> bool:
    """Whether a value may be an entry of a script."""
    if isinstance(entry, (str, Exception, FakeReply)) or is_object(entry):
        return True
    return callable(entry) and not isinstance(entry, type)


class FakeScript:
    """Entries in order, the last of which repeats, and others for certain models; its user locks it."""

    def __init__(self) -> None:
        self._lines: Dict[Optional[str], _Line] = {}

    def write(self, entries: Tuple[Scripted, ...], model: Optional[str]) -> None:
        """Begin again, with these entries for one model, or for all that have no script of their own."""
        if not entries:
            raise ConfigurationError("The script of a FakeProvider is empty. Pass at least one answer.")
        for position, entry in enumerate(entries, start=1):
            if not can_answer(entry):
                raise ConfigurationError(
                    f"Entry {position} of the script is {entry!r}, which is not an answer. Pass strings, "
                    "dicts, pydantic objects, errors, FakeReply objects or functions of a request, each as "
                    "an argument of its own."
                )
        self._lines[model] = _Line(entries)

    def take(self, request: LLMRequest) -> Scripted:
        """Use up the next entry for a request."""
        return self._line_of(request).take()

    def is_for_vectors(self, request: LLMRequest) -> bool:
        """Whether the next entry answers a request for vectors, with some or with an error."""
        entry = self._line_of(request).next
        if isinstance(entry, FakeReply):
            return entry.error is not None or entry.vectors is not None
        if isinstance(entry, (str, Exception)) or is_object(entry):
            return isinstance(entry, Exception)
        return request.model in self._lines  # elsewhere a function expects requests for answers

    def _line_of(self, request: LLMRequest) -> _Line:
        return self._lines.get(request.model) or self._lines[None]


class _Line:
    """The entries for one model, and how many of them were used."""

    def __init__(self, entries: Tuple[Scripted, ...]) -> None:
        self._entries = entries
        self._used = 0

    @property
    def next(self) -> Scripted:
        """The entry that comes next."""
        return self._entries[min(self._used, len(self._entries) - 1)]

    def take(self) -> Scripted:
        """Use the next entry up, unless it is the last."""
        entry = self.next
        self._used += 1
        return entry


def reply_of(entry: Scripted, request: LLMRequest) -> FakeReply:
    """The reply that an entry stands for."""
    answer: Answer = entry
    if not isinstance(entry, (str, Exception, FakeReply)) and not is_object(entry):
        answer = cast("Callable[[LLMRequest], Answer]", entry)(request)
    if isinstance(answer, Exception):
        return FakeReply(error=answer)
    if answer is None:
        raise ConfigurationError(
            "A function in the script of a FakeProvider returned None. Have it return an answer."
        )
    reply = as_asked(answer if isinstance(answer, FakeReply) else FakeReply(answer), request)
    if reply.vectors is not None and not isinstance(request, EmbeddingRequest):
        raise ConfigurationError(
            "The script of a FakeProvider has vectors where an answer is asked for. Put them where embed is "
            "called, or write them for the embedding model alone: answers(..., model=...)."
        )
    return reply
