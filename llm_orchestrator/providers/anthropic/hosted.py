"""What Anthropic's own tools did, and those of MCP servers, among the blocks of a message."""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

from llm_orchestrator.providers.contents import parts_in, text_in
from llm_orchestrator.providers.hosted import asked_in, name_of_tool, reason_in, sources_in, written_in
from llm_orchestrator.providers.reading import as_mapping, as_mappings, as_text, as_text_or_none
from llm_orchestrator.types import JSON, Citation, HostedCall

__all__ = ["hosted_calls"]

SERVER, MCP, RESULT, ERROR = "server_tool_use", "mcp_tool_use", "tool_result", "_error"


def hosted_calls(blocks: Sequence[JSON]) -> Tuple[HostedCall, ...]:
    """The calls that Anthropic has made, each with its result, which may come many blocks later."""
    calls = [block for block in blocks if block.get("type") in (SERVER, MCP)]
    if not calls:
        return ()
    results = {
        as_text(block.get("tool_use_id")): block
        for block in blocks
        if as_text(block.get("type")).endswith(RESULT)
    }
    return tuple(_hosted_call(call, results.get(as_text(call.get("id")))) for call in calls)


def _hosted_call(call: JSON, result: Optional[JSON]) -> HostedCall:
    name, arguments = as_text(call.get("name")), as_mapping(call.get("input"))
    content = as_mapping(result).get("content")
    error = _error(as_mapping(result), content)
    is_mcp = call.get("type") == MCP
    return HostedCall(
        name=name if is_mcp else name_of_tool(name),
        asked=asked_in(arguments),
        output=None if error else _output(content, is_mcp),
        sources=() if is_mcp else _sources(content),
        error=error,
        id=as_text_or_none(call.get("id")),
        raw=(call,) if result is None else (call, result),
    )


def _error(result: JSON, content: object) -> Optional[str]:
    """An error stands in place of the content; of an MCP server's tool, its text says what went wrong."""
    if result.get("is_error") is True:
        return text_in(parts_in(content)) or "error"
    said = as_mapping(content)
    return reason_in(said) if as_text(said.get("type")).endswith(ERROR) else None


def _output(content: object, is_mcp: bool) -> Optional[str]:
    if is_mcp:
        return text_in(parts_in(content)) or None
    came = as_mapping(content)
    document = as_mapping(as_mapping(came.get("content")).get("source"))
    page = as_text(document.get("data")) if document.get("type") == "text" else ""
    tools = "\n".join(as_text(tool.get("tool_name")) for tool in as_mappings(came.get("tool_references")))
    return written_in(came) or page or as_text(came.get("content")) or tools or None


def _sources(content: object) -> Tuple[Citation, ...]:
    """The results of a search, the page that was fetched, or the files that code has written."""
    came = as_mapping(content)
    pages: List[JSON] = []
    if as_text(came.get("url")):
        pages = [{"title": as_mapping(came.get("content")).get("title"), "url": came["url"]}]
    return sources_in(content, pages, came.get("content"))
