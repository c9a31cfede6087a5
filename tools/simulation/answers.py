"""The replies of the simulated servers, made once for each dialect and then filled in, which is fast."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache
from typing import Callable, Dict, List, NamedTuple, Sequence, Tuple

from tests.support.everywhere import RATES
from tests.support.scripted_server import DIALECTS, Dialect, Reply, Usage, broken_json, empty, html

__all__ = ["TOKEN", "Form", "dialect_of", "form_of", "pieces_of", "price_of", "question_of", "usage_of"]

#: What every question begins with, and no other question has.
TOKEN = re.compile(rb"k\d+-\d+z")
_PLACE = "k0-0z"
_WORDS = (" and", " so", " on")
_ID = re.compile(r"req_\w+")
#: What makes ids differ from reply to reply; here all replies of a form are the same, whenever it was made.
_COUNT = re.compile(rb"(?<=[_-])\d{8}\b")


class Form(NamedTuple):
    """A reply with a gap where the token goes."""

    status: int
    headers: Tuple[Tuple[str, str], ...]
    pieces: Tuple[bytes, ...]
    is_stream: bool

    def filled(self, token: str) -> Tuple[List[Tuple[str, str]], List[bytes]]:
        """Headers and body for one question."""
        gap, value = _PLACE.encode(), token.encode()
        headers = [(name, _ID.sub(f"req_{token}", text)) for name, text in self.headers]
        return headers, [piece.replace(gap, value) for piece in self.pieces]


def question_of(token: str) -> str:
    return "".join(pieces_of(token))


def pieces_of(token: str) -> Sequence[str]:
    return (token, *_WORDS)


def usage_of(token: str) -> Usage:
    """What an answer is said to have used: not the same for all questions, so that mixed-up ones show."""
    number = sum(token.encode())
    return Usage(prompt=10 + number % 7, completion=5 + number % 5)


def price_of(token: str) -> Decimal:
    usage = usage_of(token)
    return Decimal(usage.prompt * RATES["in"] + usage.completion * RATES["out"]) / 1_000_000


def dialect_of(path: str) -> Dialect:
    return next(dialect for dialect in DIALECTS.values() if dialect.serves(path))


@cache
def form_of(dialect: Dialect, kind: str, stream: bool, usage: Usage) -> Form:
    """The reply of one kind: ``right``, or a fault that a provider itself has."""
    reply = _reply(dialect, kind, stream, usage)
    headers = tuple(reply.headers.items())
    pieces = tuple(_COUNT.sub(b"00000000", piece) for piece in reply.pieces())
    return Form(reply.status, headers, pieces, reply.chunks is not None)


def _reply(dialect: Dialect, kind: str, stream: bool, usage: Usage) -> Reply:
    if kind in dialect.failures:
        return dialect.failure(kind)
    pieces = pieces_of(_PLACE)
    if kind in _PAGES:
        return _PAGES[kind](stream)
    if not stream:
        return broken_json() if kind == "broken json" else dialect.whole("".join(pieces), usage=usage)
    if kind in _BROKEN_STREAMS:
        return _BROKEN_STREAMS[kind](dialect, pieces[:2])
    return dialect.stream(pieces, usage=usage, cut="recorded", noisy=kind == "noisy")


_PAGES: Dict[str, Callable[[bool], Reply]] = {
    "html": lambda stream: html(),
    "empty": lambda stream: empty(content_type="text/event-stream" if stream else "application/json"),
}
_BROKEN_STREAMS: Dict[str, Callable[[Dialect, Sequence[str]], Reply]] = {
    "broken json": lambda dialect, pieces: dialect.stream_broken_json(pieces, cut="recorded"),
    "never complete": lambda dialect, pieces: dialect.stream(pieces, complete=False, cut="recorded"),
    "error event": lambda dialect, pieces: dialect.stream_error(pieces, cut="recorded"),
    "error first": lambda dialect, pieces: dialect.stream_error(cut="recorded"),
}
