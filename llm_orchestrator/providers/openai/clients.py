"""Which servers are OpenAI's own, and what keeps the environment out of the SDK's clients."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, Dict, Optional
from urllib.parse import urlsplit

__all__ = ["headers_against_environment", "is_hosted_by_openai", "without_environment"]

OPENAI_HOST = "api.openai.com"
AZURE_HOST_SUFFIX = ".openai.azure.com"
AZURE_PATH = "/openai/v1"


@lru_cache(maxsize=64)
def is_hosted_by_openai(base_url: Optional[str]) -> bool:
    """Whether a URL leads to OpenAI's own API, regional hosts and Azure's v1 API included."""
    if base_url is None:
        return True
    try:
        address = urlsplit(base_url)
    except ValueError:
        return False  # it is no URL, which whoever sends something there says
    host = address.hostname or ""
    if host == OPENAI_HOST or host.endswith("." + OPENAI_HOST):
        return True
    return host.endswith(AZURE_HOST_SUFFIX) and f"{address.path}/".startswith(AZURE_PATH + "/")


def headers_against_environment(sdk: Any, **own: str) -> Dict[str, Any]:
    """Undo the headers of OPENAI_CUSTOM_HEADERS, which the SDK sends and no argument turns off."""
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    names = [line.partition(":")[0].strip() for line in lines if ":" in line]
    return {**{name: sdk.Omit() for name in names}, **own} if names else {}


def without_environment(client: Any) -> Any:
    """Remove the organization and project that the SDK took from the environment."""
    client.organization = None
    client.project = None
    return client
