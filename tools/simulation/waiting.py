"""How the program waits for the network: selectors, polls and an event loop on virtual time."""

from __future__ import annotations

import asyncio
import selectors
from contextlib import ExitStack, contextmanager
from queue import Empty
from types import SimpleNamespace
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple
from unittest import mock

from llm_orchestrator.providers.http.core import connection, connections, sockets
from tools.simulation.network import READABLE, WRITABLE, Network

__all__ = ["Poll", "Selector", "Stuck", "VirtualLoop", "installed"]

_EVENTS = {
    READABLE: selectors.EVENT_READ,
    WRITABLE: selectors.EVENT_WRITE,
    READABLE | WRITABLE: selectors.EVENT_READ | selectors.EVENT_WRITE,
}


class Stuck(BaseException):
    """Somebody waits, and nothing will ever happen any more; no ``except Exception`` may hide it."""


def wait(network: Network, ready: Callable[[], Any], seconds: Optional[float]) -> Any:
    """Let time pass until something is ready, or so many seconds are over."""
    clock = network.clock
    deadline = float("inf") if seconds is None else clock.now + max(seconds, 0.0)
    while True:
        found = ready()
        if found or clock.now >= deadline:
            return found
        network.look()
        moment = min(clock.next_event, deadline)
        if moment == float("inf"):
            raise Stuck("Everybody waits, and nothing will happen any more.")
        clock.advance_to(moment)


class Selector(selectors.BaseSelector):
    """Stands in for the system's selectors, in the event loop and in the sync way of connecting."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._keys: Dict[int, selectors.SelectorKey] = {}
        self._writers: Dict[int, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        descriptor = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = selectors.SelectorKey(fileobj, descriptor, events, data)
        self._keys[descriptor] = key
        if events & selectors.EVENT_WRITE:
            self._writers[descriptor] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        descriptor = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        self._writers.pop(descriptor, None)
        return self._keys.pop(descriptor)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    def select(self, timeout: Optional[float] = None) -> List[Tuple[selectors.SelectorKey, int]]:
        found: List[Tuple[selectors.SelectorKey, int]] = wait(self._network, self._ready, timeout)
        if len(found) > 1:
            self._network.chance.shuffle(found)
        return found

    def close(self) -> None:
        self._keys.clear()

    def _ready(self) -> List[Tuple[selectors.SelectorKey, int]]:
        keys, open_sockets = self._keys, self._network.sockets
        found = []
        for descriptor in self._network.readable:
            key = keys.get(descriptor)
            if key is not None and key.events & selectors.EVENT_READ:
                found.append((key, selectors.EVENT_READ))
        for descriptor, key in self._writers.items():
            sock = open_sockets.get(descriptor)
            if sock is not None and sock.ready(WRITABLE):
                found.append((key, selectors.EVENT_WRITE))
        return found


class Poll:
    """Stands in for ``select.poll``."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._watched: Any = None
        self._events = 0

    def register(self, watched: Any, events: int) -> None:
        self._watched, self._events = watched._end, events

    modify = register

    def poll(self, milliseconds: float) -> List[Tuple[int, int]]:
        seconds = milliseconds / 1000
        found = wait(self._network, lambda: self._watched.ready(self._events), seconds)
        return [(self._watched.descriptor, found)] if found else []


class Places:
    """Stands in for the queue of free places that sync calls wait at, when nobody else can run meanwhile."""

    def __init__(self, network: Network) -> None:
        self._clock = network.clock
        self._free = 0

    def put(self, place: None) -> None:
        self._free += 1

    def get_nowait(self) -> None:
        if not self._free:
            raise Empty
        self._free -= 1

    def get(self, timeout: float) -> None:
        if not self._free:
            self._clock.sleep(timeout)
        self.get_nowait()

    def qsize(self) -> int:
        return self._free


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop and transports, with a clock that jumps and a network in memory."""

    def __init__(self, network: Network) -> None:
        self._network = network
        super().__init__(Selector(network))

    def time(self) -> float:
        return self._network.clock.now

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> List[Any]:
        delay = self._network.chance.choice((0.0, 0.0, 0.002))
        await asyncio.sleep(delay)
        return self._network.resolve(host, port)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        """Call at once: threads would take turns as they like."""
        done = self.create_future()
        done.set_result(func(*args))
        return done

    @property
    def timers(self) -> int:
        """Timers that are still to ring."""
        return sum(not handle.cancelled() for handle in self._scheduled)  # type: ignore[attr-defined]

    # Nobody wakes this loop up from another thread.

    def _make_self_pipe(self) -> None:
        pass

    def _close_self_pipe(self) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


@contextmanager
def installed(network: Network) -> Iterator[None]:
    """Give the library this network and its clock, in place of the system's."""

    def resolve(host: str, port: int) -> List[sockets.Address]:
        return sockets.in_order(
            [sockets.Address(family, tuple(place)) for family, _, _, _, place in network.resolve(host, port)]
        )

    with ExitStack() as stack:
        stack.enter_context(network.clock.installed())
        stack.enter_context(mock.patch.object(sockets.ClientSocket, "to", network.socket_for))
        stack.enter_context(mock.patch.object(sockets, "select", SimpleNamespace(poll=lambda: Poll(network))))
        stack.enter_context(mock.patch.object(connection, "resolve", resolve))
        stack.enter_context(mock.patch.object(connection, "_Selector", lambda: Selector(network)))
        stack.enter_context(mock.patch.object(connections, "SimpleQueue", lambda: Places(network)))
        yield
