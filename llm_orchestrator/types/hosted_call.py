"""``HostedCall``: what a tool did that the provider runs itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional, Tuple

from llm_orchestrator.types.citation import Citation
from llm_orchestrator.utils.values import Value

__all__ = ["HostedCall"]


@dataclass(frozen=True, eq=False, repr=False)
class HostedCall(Value):
    """A call of a tool that ran at the provider, in the same words for every provider.

    Attributes:
        name: What ran: ``web_search``, ``web_fetch``, ``file_search``, ``code_execution``,
            ``image_generation``, ``maps``, ``shell``, ``tool_search``; a tool of an MCP server by its own
            name, and any other by the provider's.
        asked: What was asked, a text each: the queries, the addresses, the code or the commands; what has no
            such text as its JSON.
        output: What it wrote: the output of code, the text of a page; None where nothing is told but sources.
        sources: The pages, places and files that came, files that code has written among them.
        error: Why it failed, in the provider's words; None when it did not.
        id: The provider's id of the call.
        raw: The objects of the call and its result as the provider sent them.
    """

    name: str
    asked: Tuple[str, ...] = ()
    output: Optional[str] = None
    sources: Tuple[Citation, ...] = ()
    error: Optional[str] = None
    id: Optional[str] = None
    raw: Tuple[Any, ...] = field(default=(), repr=False)
