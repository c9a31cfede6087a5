"""How long a server is waited for, on a clock that jumps: the real SDK talks to a server of the same process."""

from __future__ import annotations

import asyncio
import selectors
from contextlib import asynccontextmanager
from typing import Any, AsyncIterator, Callable, Coroutine, Optional

import pytest

from llm_orchestrator import ToolServerError, ToolTimeoutError
from llm_orchestrator.providers.http.redaction import Redactor

pytest.importorskip("mcp", reason="mcp is not installed: make test-mcp")

from mcp.server.mcpserver import MCPServer

from llm_orchestrator.mcp.connection import Connection


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop whose time jumps to the next timer where nothing else is to be done."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(JumpingSelector(self))

    def time(self) -> float:
        return self.now


class JumpingSelector(selectors.SelectSelector):
    """Waits for nothing."""

    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: Optional[float] = None) -> Any:
        assert timeout is not None, "nothing would end this waiting"
        self._loop.now += timeout
        return super().select(0)


class Here:
    """Where a server of this process is."""

    shown, redactor = "here", Redactor([])

    def __init__(self, server: MCPServer) -> None:
        self._server = server

    def transport(self) -> Any:
        return self._server


async def forever() -> str:
    await asyncio.get_running_loop().create_future()
    return "never"


def seconds_of(work: Callable[[], Coroutine[Any, Any, None]]) -> float:
    """How long something takes by the clock that jumps."""
    loop = JumpingLoop()
    try:
        loop.run_until_complete(asyncio.wait_for(work(), 100_000))
        assert not asyncio.all_tasks(loop)
        return loop.now
    finally:
        loop.close()


@pytest.mark.parametrize(("timeout", "seconds"), [(0.25, 0.25), (7, 7), (900, 900), (None, 33)])
def test_a_call_may_take_the_seconds_it_is_given(timeout: Optional[float], seconds: float) -> None:
    server = MCPServer("hangs")
    server.add_tool(forever)

    async def ask() -> None:
        connection = Connection(Here(server), 33)
        await connection.tools()
        with pytest.raises(ToolTimeoutError, match=f"did not end within {seconds:g} seconds"):
            await connection.call("forever", {}, timeout)
        await connection.close()

    assert seconds_of(ask) == pytest.approx(seconds)


@pytest.mark.parametrize("seconds", [0.25, 33])
def test_a_start_may_take_the_seconds_it_is_given(seconds: float) -> None:
    @asynccontextmanager
    async def lifespan(server: Any) -> AsyncIterator[None]:
        await forever()
        yield

    async def start() -> None:
        with pytest.raises(ToolServerError, match=f"did not tell its tools within {seconds:g} seconds"):
            await Connection(Here(MCPServer("silent", lifespan=lifespan)), seconds).tools()

    assert seconds_of(start) == pytest.approx(seconds)
