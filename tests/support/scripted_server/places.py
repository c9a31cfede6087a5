"""Addresses on loopback where no server answers: one refuses, one never answers, one never even connects."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import Iterator, List


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


@contextmanager
def dripping_head_url(every: float = 0.01) -> Iterator[str]:
    """An address that sends the head of its reply byte by byte, and never comes to its end."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        place.listen(8)
        stop = threading.Event()
        dripping = threading.Thread(target=_drip, args=(place, stop, every))
        dripping.start()
        try:
            yield _url(place)
        finally:
            stop.set()
            dripping.join()


def _drip(place: socket.socket, stop: threading.Event, every: float) -> None:
    place.settimeout(every)
    with ExitStack() as stack:
        clients: List[socket.socket] = []
        while not stop.wait(every):
            with suppress(OSError):  # nobody came, or it has left
                clients.append(stack.enter_context(place.accept()[0]))
                clients[-1].settimeout(5)
                clients[-1].recv(65536)  # a head that comes before the request would be no reply
                clients[-1].sendall(b"HTTP/1.1 200 OK\r\nx-endless: ")
            for client in clients:
                with suppress(OSError):  # it may have left
                    client.sendall(b"x")
