"""Answers that repeat the question, some of them faulty: for tests with more callers than a script can serve.

Every caller can tell its own answer from all others, so nothing that is mixed up, cut or doubled goes unseen.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Callable, Dict, Mapping, Tuple
from typing import Counter as CounterOf

from tests.support.scripted_server.connection import Request
from tests.support.scripted_server.faults import BEFORE_HEAD, Close, End, Garbage, Reset, Stall
from tests.support.scripted_server.replies import Reply, broken_json, empty, html
from tests.support.scripted_server.wire import DIALECTS, Dialect

__all__ = ["FAULTS", "STALLS", "FaultyEcho", "echo"]

#: Makes a faulty reply of a dialect, the right answer, and the answer's text.
MakeFault = Callable[[Dialect, Reply, str], Reply]


def echo(request: Request) -> Reply:
    """Answer with the question, whole or streamed as it was asked."""
    _, _, reply = _answer(request)
    return reply


class FaultyEcho:
    """Repeats the question, and answers a share of the requests with a random fault.

    Args:
        share: The share of faulty replies, 0 to 1.
        seed: Makes the faults the same every time, as far as requests arrive in the same order.
        stalls: Whether some replies never end; the caller then needs a short timeout.

    Attributes:
        requests: How many requests were answered.
        faults: How many replies had which fault.
    """

    def __init__(self, share: float, seed: int = 0, *, stalls: bool = False) -> None:
        self.requests = 0
        self.faults: CounterOf[str] = Counter()
        self._share = share
        self._random = random.Random(seed)
        self._stalls = stalls

    def __call__(self, request: Request) -> Reply:
        """The reply to one request."""
        dialect, text, reply = _answer(request)
        self.requests += 1
        if self._random.random() >= self._share:
            return reply
        kinds = {**FAULTS["streamed" if reply.chunks else "whole"], **(STALLS if self._stalls else {})}
        kind = self._random.choice(sorted(kinds))
        self.faults[kind] += 1
        return kinds[kind](dialect, reply, text)


def _answer(request: Request) -> Tuple[Dialect, str, Reply]:
    dialect = next(dialect for dialect in DIALECTS.values() if dialect.serves(request.path))
    asked = dialect.read_request(request.body, request.path)
    text = asked["messages"][-1][1]
    if not asked["stream"]:
        return dialect, text, dialect.whole(text)
    pieces = [piece for piece in text.replace(" ", " \0").split("\0") if piece]
    return dialect, text, dialect.stream(pieces, cut="recorded")


_EVERYWHERE: Mapping[str, MakeFault] = {
    "rate limit": lambda dialect, reply, text: dialect.failure("rate_limit"),
    "overloaded": lambda dialect, reply, text: dialect.failure("overloaded"),
    "server error": lambda dialect, reply, text: dialect.failure("server"),
    "reset before the head": lambda dialect, reply, text: reply.but(fault=Reset(BEFORE_HEAD)),
    "closed before the head": lambda dialect, reply, text: reply.but(fault=Close(BEFORE_HEAD)),
    "HTML page": lambda dialect, reply, text: html(),
}

#: Faults of whole and of streamed answers, by name.
FAULTS: Dict[str, Mapping[str, MakeFault]] = {
    "whole": {
        **_EVERYWHERE,
        "empty body": lambda dialect, reply, text: empty(),
        "half a body": lambda dialect, reply, text: reply.but(length_error=10),
        "broken JSON": lambda dialect, reply, text: broken_json(),
    },
    "streamed": {
        **_EVERYWHERE,
        "empty stream": lambda dialect, reply, text: empty(content_type="text/event-stream"),
        "clean end too early": lambda dialect, reply, text: reply.but(fault=End(2)),
        "closed in the middle": lambda dialect, reply, text: reply.but(fault=Close(2)),
        "reset in the middle": lambda dialect, reply, text: reply.but(fault=Reset(2)),
        "broken transfer coding": lambda dialect, reply, text: reply.but(fault=Garbage(after=2)),
        "broken JSON": lambda dialect, reply, text: dialect.stream_broken_json([text[:3]]),
        "error event": lambda dialect, reply, text: dialect.stream_error([text[:3]]),
        "error as first event": lambda dialect, reply, text: dialect.stream_error(),
    },
}

#: Replies that never come, or never end.
STALLS: Mapping[str, MakeFault] = {
    "silence": lambda dialect, reply, text: reply.but(fault=Stall(BEFORE_HEAD)),
    "silence after the head": lambda dialect, reply, text: reply.but(fault=Stall(0)),
}
