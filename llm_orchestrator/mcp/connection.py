"""One connection to an MCP server, on one event loop: opened, asked and closed, with a bound for each.

The SDK's client has to be left in the task that entered it, so a task of its own holds it from the start to
the end. Whatever the server does, no task and no program is left behind.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Dict, List, Optional, Set

from llm_orchestrator.exceptions import OrchestratorError, ToolServerError, ToolTimeoutError
from llm_orchestrator.mcp.address import Address
from llm_orchestrator.mcp.results import reason_of, result_of
from llm_orchestrator.providers.http.redaction import redact_logs, stop_redacting_logs

__all__ = ["Connection"]

#: Seconds for the end: the SDK asks a program to end, then makes it, which takes up to seven.
ENDING = 10.0
#: Seconds in which what is given up tells the server so.
GIVING_UP = 1.0


class Connection:
    """The connection.

    Args:
        address: Where the server is.
        timeout: Seconds for its start, and for a call that has no other limit.
    """

    def __init__(self, address: Address, timeout: float) -> None:
        import anyio

        self._address, self._timeout = address, timeout
        self._redactor = address.redactor
        self._scope = anyio.CancelScope()
        self._loop = asyncio.get_running_loop()
        self._listed: asyncio.Future[List[Any]] = self._loop.create_future()
        self._leaving = asyncio.Event()
        self._client: Any = None
        self._holder = self._loop.create_task(self._hold())

    async def _hold(self) -> None:
        from mcp import Client

        redact_logs(self._redactor)
        try:
            with self._scope:
                async with Client(self._address.transport()) as client:
                    self._client = client
                    self._listed.set_result(await _tools_of(client))
                    await self._leaving.wait()
        finally:
            stop_redacting_logs(self._redactor)

    async def tools(self) -> List[Any]:
        """Wait for the start; what the server tells of its tools."""
        try:
            waited: Set[asyncio.Future[Any]] = {self._holder, self._listed}
            await asyncio.wait(waited, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
            if self._listed.done():
                return self._listed.result()
            raise self._not_started()
        except BaseException:  # a cancellation, too, must leave no program behind
            await self.close()
            raise

    async def call(self, name: str, arguments: Dict[str, Any], timeout: Optional[float]) -> Any:
        """Have a tool run; its result as a text or JSON."""
        if asyncio.get_running_loop() is not self._loop:
            raise OrchestratorError(
                f"The MCP server {self._address.shown!r} was started on another event loop. Start one on "
                "each loop."
            )
        seconds = self._timeout if timeout is None else timeout
        asking = self._loop.create_task(self._client.call_tool(name, arguments))
        try:
            await asyncio.wait({self._holder, asking}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                return self._result_of(name, asking)
            raise self._ended() if self._holder.done() else _too_late(name, seconds)
        finally:
            await _give_up(asking)

    async def close(self) -> None:
        """End it, also where the one who waits for that is cancelled meanwhile."""
        self._leaving.set()
        if not self._listed.done():
            self._scope.cancel()  # it may never get to where it could leave
        ends, cancelled = time.monotonic() + ENDING, False
        while not self._holder.done() and time.monotonic() < ends:
            try:
                await asyncio.wait({self._holder}, timeout=ends - time.monotonic())
            except asyncio.CancelledError:
                cancelled = True
                self._scope.cancel()
        await _give_up(self._holder)
        if cancelled:
            raise asyncio.CancelledError

    def _result_of(self, name: str, asking: asyncio.Task[Any]) -> Any:
        try:
            return self._redactor.clean(result_of(asking.result()))
        except ToolServerError as error:
            self._redactor.scrub(error)
            raise
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # all that the SDK raises
            if self._holder.done():
                raise self._ended() from None
            raise ToolServerError(
                f"The MCP server {self._address.shown!r} did not run {name!r}. {self._words(error)}."
            ) from None

    def _not_started(self) -> ToolServerError:
        if not self._holder.done():
            problem = f"It did not tell its tools within {self._timeout:g} seconds. Allow more with timeout."
        else:
            problem = f"{self._why_it_ended()}. Check the command or the URL, and what the server prints."
        return ToolServerError(f"The MCP server {self._address.shown!r} did not start. {problem}")

    def _ended(self) -> ToolServerError:
        return ToolServerError(
            f"The MCP server {self._address.shown!r} has ended. {self._why_it_ended()}. Start it again."
        )

    def _why_it_ended(self) -> str:
        error = None if self._holder.cancelled() else self._holder.exception()
        return "It was closed" if error is None else self._words(error)

    def _words(self, error: BaseException) -> str:
        return self._redactor.redact(reason_of(error)).rstrip(".")


async def _give_up(task: asyncio.Task[Any]) -> None:
    """End a task that may not want to end; what it raised is known, or wanted by nobody any more."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=GIVING_UP)
    if task.done() and not task.cancelled():
        task.exception()


def _too_late(name: str, seconds: float) -> ToolTimeoutError:
    return ToolTimeoutError(
        f"The tool {name!r} did not end within {seconds:g} seconds. Allow more, or let it end by itself."
    )


async def _tools_of(client: Any) -> List[Any]:
    """All pages of the server's list."""
    page = await client.list_tools()
    tools = list(page.tools)
    while page.next_cursor:
        page = await client.list_tools(cursor=page.next_cursor)
        tools += page.tools
    return tools
