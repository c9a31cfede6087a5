"""One way to write a test for sync and async callers: the async ones run on a loop of their own."""

from __future__ import annotations

import asyncio
import math
from typing import Any, Iterator, List, Optional

from llm_orchestrator.providers.http.core.aconnections import AsyncConnections
from llm_orchestrator.providers.http.core.connections import Connections
from llm_orchestrator.providers.http.core.messages import header_bytes
from llm_orchestrator.providers.http.core.origins import Origin
from llm_orchestrator.providers.http.core.settings import HttpSettings
from llm_orchestrator.providers.wire import Limits

HEADERS = header_bytes({"authorization": "Bearer sk-sentinel", "content-type": "application/json"})
PATIENT = Limits(connect=20, silence=20, deadline=math.inf)


class Answer:
    """An open reply, read without ``await``."""

    def __init__(self, caller: Caller, reply: Any) -> None:
        self.status: int = reply.status_code
        self.headers = reply.headers
        self.reply = reply
        self._caller = caller

    def pieces(self) -> Iterator[bytes]:
        chunks = self._caller.chunks(self.reply)
        while True:
            piece = self._caller.next(chunks)
            if piece is None:
                return
            yield piece

    def read(self) -> bytes:
        return b"".join(self.pieces())

    def close(self) -> None:
        self._caller.close_reply(self.reply)


class Caller:
    """A client of one server."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.settings = HttpSettings(**settings)
        self.origin = Origin.of(url, self.settings)
        self.connections: Any = self.make()

    def open(
        self, body: Optional[bytes] = b"{}", *, limits: Limits = PATIENT, path: str = "/v1", **more: Any
    ) -> Answer:
        method = more.get("method") or ("GET" if body is None else "POST")
        return Answer(self, self._open(method, path, body, limits))

    def ask(self, body: Optional[bytes] = b"{}", **more: Any) -> bytes:
        return self.open(body, **more).read()

    @property
    def idle(self) -> int:
        return len(self.connections._idle)

    def make(self) -> Any:
        raise NotImplementedError

    def _open(self, method: str, path: str, body: Optional[bytes], limits: Limits) -> Any:
        raise NotImplementedError

    def chunks(self, reply: Any) -> Any:
        raise NotImplementedError

    def next(self, chunks: Any) -> Optional[bytes]:
        raise NotImplementedError

    def close_reply(self, reply: Any) -> None:
        raise NotImplementedError

    def settle(self) -> None:
        """Let the loop do what it was told."""

    def close(self) -> None:
        raise NotImplementedError


class SyncCaller(Caller):
    def make(self) -> Any:
        return Connections(self.origin, self.settings)

    def _open(self, method: str, path: str, body: Optional[bytes], limits: Limits) -> Any:
        return self.connections.open(method, path, HEADERS, body, limits)

    def chunks(self, reply: Any) -> Any:
        return reply.iter_bytes()

    def next(self, chunks: Any) -> Optional[bytes]:
        return next(chunks, None)

    def close_reply(self, reply: Any) -> None:
        reply.close()

    def close(self) -> None:
        self.connections.close()


class AsyncCaller(Caller):
    def __init__(self, url: str, loop: Optional[asyncio.AbstractEventLoop] = None, **settings: Any) -> None:
        self.loop = loop or asyncio.new_event_loop()
        super().__init__(url, **settings)

    def make(self) -> Any:
        return AsyncConnections(self.origin, self.settings)

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    def _open(self, method: str, path: str, body: Optional[bytes], limits: Limits) -> Any:
        return self.run(self.connections.open(method, path, HEADERS, body, limits))

    def chunks(self, reply: Any) -> Any:
        return reply.aiter_bytes()

    def next(self, chunks: Any) -> Optional[bytes]:
        async def step() -> Optional[bytes]:
            try:
                return await chunks.__anext__()
            except StopAsyncIteration:
                return None

        return self.run(step())

    def close_reply(self, reply: Any) -> None:
        self.run(reply.aclose())

    def settle(self) -> None:
        async def turn() -> None:
            for _ in range(3):
                await asyncio.sleep(0)

        self.run(turn())

    def close(self) -> None:
        if not self.loop.is_closed():
            self.run(self.connections.aclose())
            self.run(self.loop.shutdown_default_executor())
            self.loop.close()


CALLERS: List[Any] = [SyncCaller, AsyncCaller]
