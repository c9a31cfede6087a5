"""Tools of MCP servers (the extra ``mcp``) as tools of calls and conversations.

Nothing here is loaded, and no call takes longer, unless an application uses it.
"""

from __future__ import annotations

from llm_orchestrator.mcp.tools import MCPTools

__all__ = ["MCPTools"]
