"""Addresses on loopback where no server answers: one refuses, one never answers, one never even connects."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from typing import Iterator


def _url(place: socket.socket) -> str:
    return f"http://127.0.0.1:{place.getsockname()[1]}"


@contextmanager
def refusing_url() -> Iterator[str]:
    """An address that refuses connections; the port stays taken, so nobody else can answer there."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        yield _url(place)


@contextmanager
def silent_url() -> Iterator[str]:
    """An address that takes connections and requests, and never answers."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        place.listen(128)
        yield _url(place)


@contextmanager
def unreachable_url() -> Iterator[str]:
    """An address where connecting itself hangs, as behind a firewall that drops packets (on Linux)."""
    with ExitStack() as stack:
        place = stack.enter_context(socket.socket())
        place.bind(("127.0.0.1", 0))
        place.listen(0)
        # Two waiting connections fill the queue; the kernel ignores whoever comes after them.
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(place.getsockname())
        yield _url(place)
