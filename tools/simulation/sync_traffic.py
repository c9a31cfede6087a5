"""The sync callers of a simulation: one thread that has several streams open and reads them in any order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List

from tools.simulation.answers import question_of
from tools.simulation.traffic import Callers, Told, note_answer, note_error

__all__ = ["run_sync"]


@dataclass
class Opened:
    """A stream that is open.

    Attributes:
        told: What its caller was told so far.
        stream: The stream.
        pieces: After how many pieces it is left.
        is_dropped: Whether it is then dropped, and not closed.
        left_at: When its caller turned to something else.
    """

    told: Told
    stream: Any
    pieces: int
    is_dropped: bool
    left_at: float


class SyncCallers:
    """Makes calls one after the other, and reads a bit of an open stream now and then."""

    def __init__(self, callers: Callers, at_a_time: int) -> None:
        self._callers = callers
        self._chance = callers.chance
        self._clock = callers.clock
        self._most = at_a_time
        self._open: List[Opened] = []

    def run(self, calls: int) -> None:
        for number in range(calls):
            self._begin(self._callers.new_told(number))
            self._callers.perhaps_work()
            if self._open and self._chance.random() < 0.5:
                self._go_on()
            while len(self._open) >= self._most:
                self._go_on()
        while self._open:
            self._go_on()

    def _begin(self, told: Told) -> None:
        orchestrator = self._chance.choice(self._callers.family)
        question = question_of(told.token)
        told.began = self._clock.now
        if self._chance.random() < 0.4:
            try:
                note_answer(orchestrator.send_request(question, **told.arguments), told)
            except Exception as error:
                note_error(error, told)
            told.ended = self._clock.now
            return
        stream = orchestrator.send_streaming_request(question, **told.arguments)
        pieces = self._chance.choice((1, 2, 100, 100))
        self._open.append(Opened(told, stream, pieces, self._chance.random() < 0.5, told.began))

    def _go_on(self) -> None:
        """Read the next piece of one of the streams, or leave it."""
        opened = self._chance.choice(self._open)
        told = opened.told
        told.worked += self._clock.now - opened.left_at  # with the others
        try:
            self._read(opened)
        except Exception as error:
            note_error(error, told)
        opened.left_at = told.ended = self._clock.now
        if told.outcome:
            self._open.remove(opened)

    def _read(self, opened: Opened) -> None:
        told = opened.told
        piece = next(opened.stream, None)
        if piece is None:
            text, told.text = told.text, ""
            note_answer(opened.stream.response, told)
            if text != told.text:
                told.wrong = f"the pieces {text!r} are not the answer {told.text!r}"
            return
        told.text += piece
        opened.pieces -= 1
        if not opened.pieces:
            told.outcome = "dropped" if opened.is_dropped else "left"
            if not opened.is_dropped:
                opened.stream.close()


def run_sync(callers: Callers, calls: int, at_a_time: int) -> None:
    """Make so many calls, with at most so many streams open."""
    SyncCallers(callers, at_a_time).run(calls)
