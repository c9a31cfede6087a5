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
from typing import Any, Callable, Dict, Iterator, List, Set

__all__ = ["NetworkGuard"]

INTERNET = (socket.AF_INET, socket.AF_INET6)
#: The functions of ``socket`` that look a name up, and where in their results the addresses are.
LOOK_UPS: Dict[str, Callable[[Any], List[Any]]] = {
    "getaddrinfo": lambda found: [address[0] for *_, address in found],
    "gethostbyname": lambda found: [found],
    "gethostbyname_ex": lambda found: found[2],
}


class NetworkGuard:
    """Watches what a test connects to; the value of the fixture ``no_network``.

    Args:
        *hosts: What may be reached beside this machine; names or addresses, as the program under test writes
            them.

    Attributes:
        refused: What was said of each call that was not let through, in order.
    """

    def __init__(self, *hosts: str) -> None:
        self.refused: List[str] = []
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
            for name, addresses in LOOK_UPS.items():
                patch.setattr(socket, name, self._watched_lookup(getattr(socket, name), addresses))
            yield

    def _watched(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def watched(sender: socket.socket, *arguments: Any) -> Any:
            if sender.family in INTERNET:
                host, port, *_ = arguments[-1]
                self._check(host, port)
            return method(sender, *arguments)

        return watched

    def _watched_lookup(
        self, look_up: Callable[..., Any], addresses: Callable[[Any], List[Any]]
    ) -> Callable[..., Any]:
        @wraps(look_up)
        def watched(host: Any, *arguments: Any, **keywords: Any) -> Any:
            self._check(host, *arguments[:1])
            found = look_up(host, *arguments, **keywords)
            self._allowed.update(addresses(found))
            return found

        return watched

    def _check(self, host: Any, port: Any = None) -> None:
        name = host.decode() if isinstance(host, bytes) else host
        if name in self._allowed or _is_here(name):
            return
        import pytest

        called = name if port is None else f"{name}, port {port}"
        self.refused.append(
            f"This test may not use the network, but something in it called {called}. Give the program the "
            f"scripted orchestrator, or let the test reach that host: no_network.allow({name!r})."
        )
        pytest.fail(self.refused[-1])  # as an outcome of pytest, which no ``except Exception`` can swallow


def _is_here(host: Any) -> bool:
    """Whether an address is this machine's own; None and the empty name stand for it, too."""
    if not host or host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
