"""``MCPTools``: the tools of one MCP server, between its start and its end."""

from __future__ import annotations

import importlib.util
import os
import threading
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from llm_orchestrator.bulk.loops import PrivateLoop, private_loop
from llm_orchestrator.exceptions import (
    ConfigurationError,
    InvalidRequestError,
    OrchestratorError,
    ToolServerError,
)
from llm_orchestrator.mcp.address import address_of
from llm_orchestrator.mcp.results import Description, description_of
from llm_orchestrator.types import checked
from llm_orchestrator.types.served_tools import ServedTool, ToolServer
from llm_orchestrator.utils.suggestions import did_you_mean

if TYPE_CHECKING:
    from typing_extensions import Self

    from llm_orchestrator.mcp.connection import Connection

__all__ = ["MCPTool", "MCPTools"]


class MCPTools(ToolServer):
    """The tools of an MCP server; in ``tools`` of a call or a conversation it stands for all of them.

    A conversation that is used as a context manager starts the servers among its tools and closes them.
    Without one, ``with MCPTools(...) as tools:`` does, for many calls and conversations. ``with`` is for the
    sync ways of calling, ``async with`` for the async ones of that event loop.

    Args:
        server: The program that is the server, with its arguments, as a list; or its http or https URL
            ("Streamable HTTP").
        env: Environment variables of the program beside the few that are safe to hand on, such as PATH.
        cwd: The folder in which the program runs; None for the current one.
        headers: Headers sent with every request to a URL, such as Authorization.
        only: The names of the tools that are used; None for all.
        prefix: What the names of the tools begin with for the model, so that those of two servers differ.
        timeout: Seconds that the start may take, and each call where no ``tool_timeout`` is given.

    Raises:
        ConfigurationError: The extra ``mcp`` is not installed, or an argument is wrong.
    """

    def __init__(
        self,
        server: Union[str, Sequence[str]],
        *,
        env: Optional[Mapping[str, str]] = None,
        cwd: Union[str, os.PathLike[str], None] = None,
        headers: Optional[Mapping[str, str]] = None,
        only: Optional[Sequence[str]] = None,
        prefix: str = "",
        timeout: float = 60,
    ) -> None:
        if importlib.util.find_spec("mcp") is None:
            raise ConfigurationError(
                "Tools of MCP servers need the package mcp and Python 3.10 or later. Run: pip install "
                '"llm-orchestrator[mcp]".'
            )
        self._address = address_of(server, env=env, cwd=cwd, headers=headers)
        self._only = None if only is None else frozenset(only)
        self._prefix = prefix
        self._timeout: float = checked("timeout", timeout)
        self._tools: Tuple[MCPTool, ...] = ()
        self._connection: Optional[Connection] = None
        self._loop: Optional[PrivateLoop] = None  # of the sync ways
        self._turn = threading.Lock()  # one thread drives the loop at a time

    def __repr__(self) -> str:
        state = f"{len(self._tools)} tools" if self.is_started else "not started"
        return f"<MCPTools {self._address.shown!r}: {state}>"

    @property
    def is_started(self) -> bool:
        """Whether it has been started, and not closed."""
        return self._connection is not None

    @property
    def tools(self) -> Sequence[MCPTool]:
        """The tools that the server had when it started.

        Raises:
            OrchestratorError: It is not started.
        """
        if not self.is_started:
            raise OrchestratorError(
                f"The MCP server {self._address.shown!r} is not started. Use it, or the conversation that "
                "has it, in a with block (async with for the async ways)."
            )
        return self._tools

    # ---------------------------------------------------------------- start and end

    def __enter__(self) -> Self:
        self._refuse_a_second_start()
        loop = private_loop()
        try:
            self._take(*loop.run(self._open()))
        except BaseException:  # a Ctrl-C, too, must leave no loop behind
            loop.close()
            raise
        self._loop = loop
        return self

    def __exit__(self, *error: object) -> None:
        connection, loop = self._connection, self._loop
        if connection is None or loop is None:
            return
        self._connection = self._loop = None
        with self._turn:
            try:
                loop.run(connection.close(), to_the_end=True)
            finally:
                loop.close()

    async def __aenter__(self) -> Self:
        self._refuse_a_second_start()
        self._take(*await self._open())
        return self

    async def __aexit__(self, *error: object) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _refuse_a_second_start(self) -> None:
        if self.is_started:
            raise OrchestratorError(
                f"The MCP server {self._address.shown!r} is started already. Use the object as it is, or "
                "make another one."
            )

    async def _open(self) -> Tuple[Connection, List[Description]]:
        from llm_orchestrator.mcp.connection import Connection  # which imports the SDK

        connection = Connection(self._address, self._timeout)
        listed = await connection.tools()
        try:
            return connection, self._chosen(listed)
        except BaseException:  # what it tells of its tools cannot be used
            await connection.close()
            raise

    def _take(self, connection: Connection, descriptions: Sequence[Description]) -> None:
        self._connection = connection
        self._tools = tuple(MCPTool(self, description) for description in descriptions)

    def _chosen(self, listed: Sequence[Any]) -> List[Description]:
        names = [tool.name for tool in listed]
        missing = min((self._only or frozenset()) - set(names), default=None)
        if missing is not None:
            raise ToolServerError(
                f"The MCP server {self._address.shown!r} has no tool {missing!r}. "
                f"{did_you_mean(missing, names)}"
            )
        return [
            description_of(tool, self._prefix)
            for tool in listed
            if self._only is None or tool.name in self._only
        ]

    # ---------------------------------------------------------------- calls

    def check(self, *, awaits: bool) -> None:
        """Refuse the ways of calling for which it was not started."""
        if self.is_started and awaits is (self._loop is not None):
            way, block = ("async", "async with") if awaits else ("sync", "with")
            raise InvalidRequestError(
                f"The MCP server {self._address.shown!r} was not started for the {way} ways. Start it by "
                f"{block!r}."
            )

    def call(self, name: str, arguments: Dict[str, Any], timeout: Optional[float]) -> Any:
        """Have a tool run."""
        with self._turn:
            connection, loop = self._started(), self._loop
            assert loop is not None, "checked before"
            return loop.run(connection.call(name, arguments, timeout))

    async def acall(self, name: str, arguments: Dict[str, Any], timeout: Optional[float]) -> Any:
        """Have a tool run, async."""
        return await self._started().call(name, arguments, timeout)

    def _started(self) -> Connection:
        if self._connection is None:
            raise ToolServerError(f"The MCP server {self._address.shown!r} was closed. Start it again.")
        return self._connection


class MCPTool(ServedTool):
    """One tool of a server.

    Args:
        server: The server.
        description: What it told of the tool.
    """

    def __init__(self, server: MCPTools, description: Description) -> None:
        self._server = server
        self._served_as = description.served_as
        self.name = description.name
        self.description = description.description
        self.parameters = description.parameters

    def __repr__(self) -> str:
        return f"<MCPTool {self.name!r}>"

    def check(self, *, awaits: bool) -> None:
        """Refuse a way of calling on which it cannot run."""
        self._server.check(awaits=awaits)

    def call(self, arguments: Dict[str, Any], timeout: Optional[float]) -> Any:
        """Have it run."""
        return self._server.call(self._served_as, arguments, timeout)

    async def acall(self, arguments: Dict[str, Any], timeout: Optional[float]) -> Any:
        """Have it run, async."""
        return await self._server.acall(self._served_as, arguments, timeout)
