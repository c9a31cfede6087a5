"""``NetworkGuard``: fails a test that connects to another machine, and reports the host.

Loopback is allowed, because event loops use it, and tests with a local server or database. Only Python's
sockets are watched, not those of other processes and of libraries in C.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import contextmanager
from functools import wraps
from typing import Any, Callable, Dict, Iterator, List, Set

__all__ = ["NetworkGuard"]

INTERNET = (socket.AF_INET, socket.AF_INET6)
#: The functions of ``socket`` that resolve a name, and how to get the addresses from their results.
LOOK_UPS: Dict[str, Callable[[Any], List[Any]]] = {
    "getaddrinfo": lambda found: [address[0] for *_, address in found],
    "gethostbyname": lambda found: [found],
    "gethostbyname_ex": lambda found: found[2],
}


class NetworkGuard:
    """Watches what a test connects to; the value of the fixture ``no_network``.

    Args:
        *hosts: The other hosts that are allowed; names or addresses, as the program under test writes them.

    Attributes:
        refused: The message about each connection that was refused, in order.
    """

    def __init__(self, *hosts: str) -> None:
        self.refused: List[str] = []
        self._allowed: Set[str] = set(hosts)

    def allow(self, *hosts: str) -> None:
        """Allow the test to reach some hosts.

        Args:
            *hosts: Names or addresses, as the program under test writes them.
        """
        self._allowed.update(hosts)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch every connection and every name resolution in a ``with`` block.

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
        if name in self._allowed or _is_local(name):
            return
        import pytest

        called = name if port is None else f"{name}, port {port}"
        self.refused.append(
            f"This test may not use the network, but it connected to {called}. Pass the scripted "
            f"orchestrator to the program under test, or allow the host: no_network.allow({name!r})."
        )
        pytest.fail(self.refused[-1])  # not an Exception, so the program under test does not catch it


def _is_local(host: Any) -> bool:
    """Whether it is an address of this machine, as None and the empty name are."""
    if not host or host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
