"""What servers and networks do to a reply: framing, packing and timing that is allowed, and faults.

A draft is a reply before it becomes bytes; each function here changes one thing about it.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, field
from email.utils import formatdate
from random import Random
from typing import Callable, Dict, List, Optional, Tuple

from tools.simulation.clock import EPOCH

__all__ = ["FAULTS", "KINDS", "LEFTOVERS", "STREAM_KINDS", "Draft", "vary"]

#: How a reply ends: the connection stays, is closed or broken, or nothing more ever comes.
KEEP, FIN, RST, SILENCE = "keep", "fin", "rst", "silence"


@dataclass
class Draft:
    """A reply that is being made up.

    Attributes:
        status: HTTP status.
        headers: Names and values beside those about the body.
        pieces: The body.
        foreign: A whole reply that belongs to somebody else.
        framing: ``length``, ``chunked`` or ``close``.
        version: Of HTTP.
        interim: What comes before the head.
        wait: Seconds before the first byte.
        pause: Seconds between segments.
        segments: ``one``, ``each`` piece of the body, or ``cuts`` anywhere.
        length_error: By how much the content-length is wrong.
        cut: Where the bytes stop coming, as a share of all; None for nowhere.
        broken_at: Before which piece something comes that is not a chunk; None for nowhere.
        ending: How it ends.
        tail: Bytes behind the reply, in the same segment.
        late: Bytes that come so many seconds after the reply, unless the next request is on its way.
        idle: After how many seconds the server closes the idle connection, and how; None for never.
    """

    status: int
    headers: List[Tuple[str, str]]
    pieces: List[bytes]
    foreign: bytes
    framing: str = "length"
    version: str = "1.1"
    interim: bytes = b""
    wait: float = 0.0
    pause: float = 0.0
    segments: str = "one"
    length_error: int = 0
    cut: Optional[float] = None
    broken_at: Optional[int] = None
    ending: str = KEEP
    tail: bytes = b""
    late: Optional[Tuple[float, bytes]] = None
    idle: Optional[Tuple[float, str]] = None
    extensions: bytes = field(default=b"")


def vary(draft: Draft, chance: Random, latency: float) -> None:
    """Make the reply one of the many that are all right."""
    draw = chance.random
    draft.wait = latency * draw()
    if draw() < 0.5:
        draft.segments = chance.choice(("each", "cuts"))
        draft.pause = chance.choice((0.0, 0.0, 0.0002, 0.02))
    if draw() < 0.3:
        draft.framing = "chunked" if draw() < 0.8 else "close"
        draft.extensions = chance.choice((b"", b"", b";a=b"))
    if draw() < 0.15:
        _pack(draft, chance)
    if draw() < 0.06:
        draft.interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    if draw() < 0.1:
        draft.headers.append(chance.choice((("connection", "close"), ("keep-alive", "timeout=3"))))
    if draw() < 0.03:
        draft.version = "1.0"
        draft.framing = "length" if draft.framing == "chunked" else draft.framing
    if draw() < 0.3:
        draft.idle = (chance.choice((0.0, 0.0005, 0.05, 1.0, 5.0)), chance.choice((FIN, RST, "408")))


def _pack(draft: Draft, chance: Random) -> None:
    body = b"".join(draft.pieces)
    if chance.random() < 0.5:
        packed, name = gzip.compress(body, 1, mtime=0), "gzip"
    else:
        packed, name = zlib.compress(body, 1), "deflate"
    middle = chance.randrange(len(packed) + 1)
    draft.pieces = [packed[:middle], packed[middle:]]
    draft.headers.append(("content-encoding", name))


# ---------------------------------------------------------------- faults


def _cut(ending: str) -> Callable[[Draft, Random], None]:
    def cut(draft: Draft, chance: Random) -> None:
        draft.cut = chance.choice((0.0, 0.01, chance.random(), chance.random(), 0.999))
        draft.ending = ending

    return cut


def _wrong_length(draft: Draft, chance: Random) -> None:
    draft.framing = "length"
    draft.length_error = chance.choice((-40, -3, -1, 1, 30))
    draft.ending = chance.choice((KEEP, FIN))


def _broken_chunks(draft: Draft, chance: Random) -> None:
    draft.framing, draft.version = "chunked", "1.1"
    draft.broken_at = chance.randrange(len(draft.pieces) + 1)


def _two_lengths(draft: Draft, chance: Random) -> None:
    draft.framing = "length"
    draft.headers.append(("content-length", "7"))


def _garbage(draft: Draft, chance: Random) -> None:
    draft.interim = chance.choice(
        (b"\0\1\2\3", b"SSH-2.0-sim\r\n", b"HTTP/9 200 OK\r\n\r\n", b"HTTP/1.1 2\r\n")
    )


def _storm(draft: Draft, chance: Random) -> None:
    draft.interim = b"HTTP/1.1 102 Processing\r\n\r\n" * chance.choice((100, 101, 300))


def _upgrade(draft: Draft, chance: Random) -> None:
    draft.interim = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"


def _broken_packing(draft: Draft, chance: Random) -> None:
    draft.headers.append(("content-encoding", chance.choice(("gzip", "deflate", "br"))))


def _slow(draft: Draft, chance: Random) -> None:
    draft.wait = chance.choice((0.3, 1.0, 3.0, 12.0))


def _drip(draft: Draft, chance: Random) -> None:
    draft.segments, draft.pause = "cuts", chance.choice((0.1, 0.3, 0.9, 2.0))


def _head_flood(draft: Draft, chance: Random) -> None:
    draft.headers.append(("x-flood", "a" * 70_000))


#: What may come behind a reply that is another's whole reply.
LEFTOVERS: Dict[str, Callable[[bytes], bytes]] = {
    "whole": lambda foreign: foreign,
    "half": lambda foreign: foreign[: len(foreign) // 2],
    "head": lambda foreign: foreign[:25],
    "byte": lambda foreign: b"H",
    "interim": lambda foreign: b"HTTP/1.1 100 Continue\r\n\r\n",
    "blank": lambda foreign: b"\r\n\r\n" + foreign,
    "twice": lambda foreign: foreign + foreign,
}


def _keep_open(draft: Draft) -> None:
    """Bytes behind a body that ends with its connection would belong to it."""
    if draft.framing == "close":
        draft.framing = "length"


def _tail(draft: Draft, chance: Random) -> None:
    _keep_open(draft)
    draft.tail = chance.choice(list(LEFTOVERS.values()))(draft.foreign)


def _late(draft: Draft, chance: Random) -> None:
    _keep_open(draft)
    delay = chance.choice((0.0, 0.0, 0.0005, 0.01, 0.3, 2.0))
    draft.late = (delay, chance.choice(list(LEFTOVERS.values()))(draft.foreign))


#: Faults of the wire, by name.
FAULTS: Dict[str, Callable[[Draft, Random], None]] = {
    "cut by FIN": _cut(FIN),
    "cut by RST": _cut(RST),
    "silence": _cut(SILENCE),
    "wrong length": _wrong_length,
    "broken chunks": _broken_chunks,
    "two lengths": _two_lengths,
    "garbage": _garbage,
    "interim storm": _storm,
    "upgrade": _upgrade,
    "broken packing": _broken_packing,
    "slow": _slow,
    "drip": _drip,
    "head flood": _head_flood,
    "leftover": _tail,
    "late leftover": _late,
}

#: Faults of the provider, by the names of ``answers.form_of``.
KINDS = (
    "rate_limit",
    "overloaded",
    "server",
    "bad_key",
    "quota",
    "model_not_found",
    "context_length",
    "html",
    "empty",
    "broken json",
)
STREAM_KINDS = ("error event", "error first", "never complete", "noisy")


def retry_after(chance: Random, now: float) -> List[Tuple[str, str]]:
    """How a server says when to come again, if it does."""
    seconds = chance.choice((0.0, 0.2, 1.0, 7.0, 277_403.0))
    return chance.choice(
        (
            [],
            [("retry-after", f"{seconds:g}")],
            [("retry-after-ms", f"{seconds * 1000:g}")],
            [("retry-after", formatdate(EPOCH + now + seconds, usegmt=True))],
            [("retry-after", "soon")],
        )
    )
