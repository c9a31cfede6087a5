"""The arguments that hold for every turn of a conversation, and the servers among its tools."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack
from typing import Any, Dict, List, Tuple

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.request.arguments import call_arguments, hide_headers
from llm_orchestrator.types import LLMRequest
from llm_orchestrator.types.served_tools import ToolServer
from llm_orchestrator.utils.json import beside

__all__ = ["DefaultArguments"]


class DefaultArguments:
    """Checked when they are given; what needs a server's tools, once it is started.

    Args:
        given: The arguments.

    Attributes:
        request: What they make of a request.
        tools: The tools themselves, for a request has only their schemas.
    """

    def __init__(self, given: Dict[str, Any]) -> None:
        if "messages" in given:
            raise InvalidRequestError(
                "A conversation begins without messages. Pass them to its first turn, and instructions as system."
            )
        self._given = given
        self._entered: Any = None
        self.request: LLMRequest = call_arguments("Hi", **hide_headers(self._known())).request
        self.tools: Tuple[Any, ...] = tuple(given.get("tools") or ())
        self.for_turns = self._with_schemas()

    def _known(self) -> Dict[str, Any]:
        """Those that can be checked now."""
        if not self._servers():
            return self._given
        known = beside(self._given, "tool_choice")
        return {**known, "tools": [tool for tool in known["tools"] if tool not in self._servers()]}

    def _servers(self) -> List[ToolServer]:
        tools = self._given.get("tools")
        return [
            tool
            for tool in (tools if isinstance(tools, (list, tuple)) else ())
            if isinstance(tool, ToolServer) and not tool.is_started
        ]

    def _with_schemas(self) -> Dict[str, Any]:
        """The schemas of tools are made here once, and not with every turn."""
        if not self.request.tools or self._servers():
            return self._given
        return {**self._given, "tools": self.request.tools}

    def _check_again(self) -> None:
        self.request = call_arguments("Hi", **self._given).request
        self.for_turns = self._with_schemas()

    # ---------------------------------------------------------------- the servers

    def start(self) -> None:
        """Start the servers that nobody has started."""
        with ExitStack() as entered:
            for server in self._servers():
                entered.enter_context(server)
            self._check_again()
            self._entered = entered.pop_all()

    async def astart(self) -> None:
        """Start them, async."""
        async with AsyncExitStack() as entered:
            for server in self._servers():
                await entered.enter_async_context(server)
            self._check_again()
            self._entered = entered.pop_all()

    def close(self) -> None:
        """Close the servers that were started here."""
        entered, self._entered = self._entered, None
        if entered is not None:
            entered.close()
            self.for_turns = self._with_schemas()

    async def aclose(self) -> None:
        """Close them, async."""
        entered, self._entered = self._entered, None
        if entered is not None:
            await entered.aclose()
            self.for_turns = self._with_schemas()
