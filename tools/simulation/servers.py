"""Simulated servers: read requests, answer each with its own question, and misbehave as the weather says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from random import Random
from typing import Counter as CounterOf
from typing import Dict, List, Tuple

from tools.simulation.answers import TOKEN, dialect_of, form_of, usage_of
from tools.simulation.faults import FAULTS, FIN, KEEP, KINDS, RST, STREAM_KINDS, Draft, retry_after, vary
from tools.simulation.network import Link, Network

__all__ = ["Seen", "Server", "Weather"]

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_FOREIGN_TEXT = "k0-1z"  # nobody asks this
#: How attempts to connect end, beside success, and after how long.
_CONNECT_FAULTS = (
    ("refused", 0.0),
    ("refused", 0.5),
    ("lost", 0.0),
    ("unreachable", 0.0),
    ("ok", 2.0),
    ("ok", 30.0),
)
_PAUSE_408 = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@dataclass
class Weather:
    """What may happen in one simulation: most have few kinds of faults, so that each meets many calls.

    Attributes:
        share: The share of faulty replies.
        connect_share: The share of attempts to connect that go wrong.
        latency: The longest time that a server usually thinks.
        faults: The faults of the wire that there are.
        kinds: The faults of the provider that there are.
    """

    share: float
    connect_share: float
    latency: float
    faults: List[str]
    kinds: List[str]

    @classmethod
    def drawn(cls, chance: Random) -> Weather:
        names = [*FAULTS, *KINDS, *STREAM_KINDS]
        found = chance.sample(names, chance.choice((2, 5, len(names))))
        return cls(
            share=chance.choice((0.0, 0.1, 0.3, 0.6)),
            connect_share=chance.choice((0.0, 0.0, 0.05, 0.4)),
            latency=chance.choice((0.0, 0.01, 0.3)),
            faults=[name for name in found if name in FAULTS],
            kinds=[name for name in found if name not in FAULTS],
        )


@dataclass
class Seen:
    """What the servers saw of one question.

    Attributes:
        requests: Whole requests that arrived.
        signs: When such a request arrived, which may take a while, and when bytes of a reply reached the
            client.
    """

    requests: int = 0
    signs: List[float] = field(default_factory=list)


class Server:
    """One host.

    Attributes:
        seen: What was seen, by token; all servers share it.
        faults: How many replies had which fault; shared, too.
        open: Sockets that connect, or are connected, to it.
        most_open: The most there were while the program waited.
    """

    def __init__(
        self, network: Network, weather: Weather, seen: Dict[str, Seen], faults: CounterOf[str]
    ) -> None:
        self.network = network
        self.weather = weather
        self.seen = seen
        self.faults = faults
        self.open = self.most_open = 0
        self._peers: Dict[int, ServedPeer] = {}
        self._refuses_until = 0.0

    def connecting(self) -> Tuple[str, float]:
        chance = self.network.chance
        if self.network.clock.now < self._refuses_until:
            return "refused", 0.0
        if chance.random() < self.weather.connect_share:
            return chance.choice(_CONNECT_FAULTS)
        return "ok", chance.choice((0.0, 0.0, 0.001, 0.02))

    def accept(self, link: Link) -> ServedPeer:
        peer = self._peers[link.number] = ServedPeer(self, link)
        return peer

    def forget(self, link: Link) -> None:
        self._peers.pop(link.number, None)

    def crash(self, seconds: float) -> None:
        """Break all connections, and refuse new ones for a while."""
        self.faults["crash"] += 1
        self._refuses_until = self.network.clock.now + seconds
        for peer in list(self._peers.values()):
            peer.link.reset()

    def draft_for(self, path: str, token: str, stream: bool) -> Draft:
        """Make up the reply to a request."""
        chance, weather = self.network.chance, self.weather
        names = [*weather.faults, *(name for name in weather.kinds if stream or name in KINDS)]
        fault = chance.choice(names) if names and chance.random() < weather.share else ""
        if fault:
            self.faults[fault] += 1
        draft = self._draft(path, fault if fault in weather.kinds else "right", token, stream)
        vary(draft, chance, weather.latency)
        if fault in FAULTS:
            FAULTS[fault](draft, chance)
        if draft.status in (429, 503, 529):
            draft.headers += retry_after(chance, self.network.clock.now)
        return draft

    def _draft(self, path: str, kind: str, token: str, stream: bool) -> Draft:
        dialect, usage = dialect_of(path), usage_of(token)
        form = form_of(dialect, kind, stream, usage)
        headers, pieces = form.filled(token)
        other = form_of(dialect, "right", stream, usage)
        foreign = Draft(200, *other.filled(_FOREIGN_TEXT), b"")
        return Draft(form.status, headers, pieces, b"".join(rendered(foreign)))


class ServedPeer:
    """The server's end of one connection: one request at a time."""

    def __init__(self, server: Server, link: Link) -> None:
        self.link = link
        self._server = server
        self._came = b""
        self._has_refused = False

    def receive(self, data: bytes) -> None:
        self._came += data
        head_end = self._came.find(b"\r\n\r\n")
        if head_end < 0:
            return
        found = _LENGTH.search(self._came, 0, head_end)
        end = head_end + 4 + (int(found[1]) if found else 0)
        if len(self._came) < end:
            self._perhaps_refuse_early()
            return
        request, self._came = self._came[:end], self._came[end:]
        if not self._has_refused:
            self._answer(request)
        self._has_refused = False

    def left(self) -> None:
        self._server.forget(self.link)

    def _perhaps_refuse_early(self) -> None:
        if self._has_refused or not self._server.weather.share:
            return
        if self._server.network.chance.random() < 0.02:
            self._has_refused = True
            self._server.faults["early refusal"] += 1
            self.link.downward(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")

    def _answer(self, request: bytes) -> None:
        path = request.split(b" ", 2)[1].decode()
        found = TOKEN.search(request)
        assert found is not None, "every question has a token"
        token = found[0].decode()
        seen = self._server.seen[token]
        seen.requests += 1
        seen.signs.append(self._server.network.clock.now)
        self._server.network.note("request", self.link.number, token)
        stream = b'"stream":true' in request or "streamGenerateContent" in path
        draft = self._server.draft_for(path.partition("?")[0], token, stream)
        self._send(draft, seen)

    def _send(self, draft: Draft, seen: Seen) -> None:
        link = self.link
        segments = in_segments(draft, self._server.network.chance)
        if segments and draft.ending == KEEP:
            segments[-1] += draft.tail
        delay = draft.wait
        for segment in segments:
            seen.signs.append(link.downward(segment, delay))
            delay += draft.pause
        if draft.ending == FIN or (draft.framing == "close" and draft.ending == KEEP):
            link.finish()
        elif draft.ending == RST:
            link.reset()
        elif draft.ending == KEEP:
            self._go_on(draft)

    def _go_on(self, draft: Draft) -> None:
        """What a server does with a connection that stays open."""
        sent = self.link.sent

        def speak(data: bytes) -> None:
            # Once the next request is on its way nobody could tell these bytes from its reply.
            if self.link.sent == sent:
                self.link.reach_client(data)

        if draft.late is not None:
            delay, data = draft.late
            self.link.when_here(self.link.until_quiet + delay, lambda: speak(data))
        if draft.idle is not None:
            self._close_when_idle(*draft.idle)

    def _close_when_idle(self, delay: float, how: str) -> None:
        clock, sent = self._server.network.clock, self.link.sent

        def close() -> None:
            if self.link.sent != sent and how != RST:  # it is in use again; or is it, on its way?
                return
            if how == "408":
                self.link.downward(_PAUSE_408)
            (self.link.reset if how == RST else self.link.finish)()

        clock.at(clock.now + self.link.until_quiet + delay, close)


# ---------------------------------------------------------------- a draft as bytes


def rendered(draft: Draft) -> List[bytes]:
    """The head, and each piece of the body as it travels."""
    lines = [
        f"HTTP/{draft.version} {draft.status} Status",
        *(f"{name}: {text}" for name, text in draft.headers),
    ]
    length = sum(map(len, draft.pieces))
    if draft.framing == "length":
        lines.append(f"content-length: {max(length + draft.length_error, 0)}")
    elif draft.framing == "chunked":
        lines.append("transfer-encoding: chunked")
    if draft.framing == "length" and draft.version == "1.0":
        lines.append("connection: keep-alive")
    head = draft.interim + ("\r\n".join(lines) + "\r\n\r\n").encode()
    return [head, *(_chunks(draft) if draft.framing == "chunked" else draft.pieces)]


def _chunks(draft: Draft) -> List[bytes]:
    chunks = [b"%x%s\r\n%s\r\n" % (len(piece), draft.extensions, piece) for piece in draft.pieces if piece]
    chunks.append(b"0\r\nx-trailer: 1\r\n\r\n" if draft.extensions else b"0\r\n\r\n")
    if draft.broken_at is not None:
        chunks.insert(min(draft.broken_at, len(chunks) - 1), b"this is not a chunk\r\n")
    return chunks


def in_segments(draft: Draft, chance: Random) -> List[bytes]:
    """Cut a reply into what arrives together."""
    parts = rendered(draft)
    if draft.segments == "each" and draft.cut is None:
        return parts
    whole = b"".join(parts)
    if draft.cut is not None:
        whole = whole[: int(len(whole) * draft.cut)]
    if draft.segments == "one":
        return [whole] if whole else []
    places = sorted(chance.randrange(len(whole) + 1) for _ in range(chance.choice((1, 3, 12))))
    bounds = [0, *places, len(whole)]
    return [whole[start:end] for start, end in zip(bounds, bounds[1:]) if end > start]
