"""Tools of real MCP servers; ``make test-mcp`` makes the environment they need."""
