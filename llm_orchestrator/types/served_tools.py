"""Tools that are no functions of the program: something else describes them and makes their calls.

What that is (``llm_orchestrator.mcp`` has servers of MCP) is unknown here and to the calls that use them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, Optional, Sequence

from llm_orchestrator.utils.json import JSON

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ServedTool", "ToolServer", "each_tool"]


class ServedTool(ABC):
    """One tool of a server.

    Attributes:
        name: The name by which the model calls it.
        description: What the model is told of it.
        parameters: The JSON schema of its arguments, an object.
    """

    name: str
    description: str
    parameters: JSON

    @abstractmethod
    def check(self, *, awaits: bool) -> None:
        """Refuse a way of calling on which it cannot run."""

    @abstractmethod
    def call(self, arguments: Dict[str, Any], timeout: Optional[float]) -> Any:
        """Make a call within so many seconds; None for the server's own limit."""

    @abstractmethod
    async def acall(self, arguments: Dict[str, Any], timeout: Optional[float]) -> Any:
        """Make a call, async."""


class ToolServer(ABC):
    """What serves tools between its start and its end, and stands for all of them in ``tools``."""

    @property
    @abstractmethod
    def is_started(self) -> bool:
        """Whether it has been started, and not closed."""

    @property
    @abstractmethod
    def tools(self) -> Sequence[ServedTool]:
        """Its tools; OrchestratorError where it is not started."""

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(self, *error: object) -> None: ...

    @abstractmethod
    async def __aenter__(self) -> Self: ...

    @abstractmethod
    async def __aexit__(self, *error: object) -> None: ...


def each_tool(tools: Iterable[Any]) -> Iterator[Any]:
    """The tools of a call, those of servers in their place."""
    for tool in tools:
        if isinstance(tool, ToolServer):
            yield from tool.tools
        else:
            yield tool
