"""The key that a vendor's SDK insists on where an entry has none: it is given one, which never leaves."""

from __future__ import annotations

from typing import Any

__all__ = ["PLACEHOLDER", "remove_placeholder", "without_placeholder"]

PLACEHOLDER = "no-key-is-configured"


def without_placeholder(client: Any) -> Any:
    """Have the HTTP client of an OpenAI or Anthropic SDK client send no placeholder."""
    http_client = client._client
    hook = _aremove_placeholder if hasattr(http_client, "aclose") else remove_placeholder
    http_client.event_hooks = {**http_client.event_hooks, "request": [hook]}
    return client


def remove_placeholder(request: Any) -> None:
    """Remove the header that holds the placeholder, whichever the SDK put it in; a hook for sync clients."""
    for name in [name for name, value in request.headers.items() if value.endswith(PLACEHOLDER)]:
        del request.headers[name]


async def _aremove_placeholder(request: Any) -> None:
    remove_placeholder(request)
