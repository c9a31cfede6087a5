"""Keeps a test off the network: whatever would leave this machine fails the test and says what it was.

This machine itself stays reachable: event loops talk to themselves over loopback, and so do tests with a
local database or server of theirs. Only Python's own sockets are watched; other processes and libraries that
open sockets in C are not.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import contextmanager
from functools import wraps
from typing import Any, Callable, Iterator, Set

__all__ = ["NetworkGuard"]

INTERNET = (socket.AF_INET, socket.AF_INET6)


class NetworkGuard:
    """Watches what a test connects to; the value of the fixture ``no_network``.

    Args:
        *hosts: What may be reached beside this machine; names or addresses, as the program under test writes
            them.
    """

    def __init__(self, *hosts: str) -> None:
        self._allowed: Set[str] = set(hosts)

    def allow(self, *hosts: str) -> None:
        """Let the test reach some hosts all the same.

        Args:
            *hosts: Names or addresses, as the program under test writes them.
        """
        self._allowed.update(hosts)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch every connection and every look-up of a name.

        Yields:
            Nothing.
        """
        import pytest

        with pytest.MonkeyPatch.context() as patch:
            for method in ("connect", "connect_ex", "sendto"):
                patch.setattr(socket.socket, method, self._watched(getattr(socket.socket, method)))
            patch.setattr(socket, "getaddrinfo", self._watched_lookup(socket.getaddrinfo))
            yield

    def _watched(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def watched(sender: socket.socket, *arguments: Any) -> Any:
            if sender.family in INTERNET:
                host, port, *_ = arguments[-1]
                self._check(host, port)
            return method(sender, *arguments)

        return watched

    def _watched_lookup(self, look_up: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(look_up)
        def watched(host: Any, port: Any, *arguments: Any, **keywords: Any) -> Any:
            self._check(host, port)
            found = look_up(host, port, *arguments, **keywords)
            self._allowed.update(address[0] for *_, address in found)
            return found

        return watched

    def _check(self, host: Any, port: Any) -> None:
        name = host.decode() if isinstance(host, bytes) else host
        if name in self._allowed or _is_here(name):
            return
        import pytest

        pytest.fail(  # as an outcome of pytest, which no ``except Exception`` on the way can swallow
            f"This test may not use the network, but something in it called {name}, port {port}. Give the "
            f"program the scripted orchestrator, or let the test reach that host: no_network.allow({name!r})."
        )


def _is_here(host: Any) -> bool:
    """Whether an address is this machine's own; None and the empty name stand for it, too."""
    if not host or host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
