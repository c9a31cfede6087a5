"""The usage objects of OpenAI's two APIs, which differ in two names."""

from __future__ import annotations

from typing import Any

from llm_orchestrator.providers.reading import as_count, as_mapping
from llm_orchestrator.types import MISSING_USAGE, TokenUsage
from llm_orchestrator.utils.values import make

__all__ = ["read_usage"]


def read_usage(raw: Any, prompt: str, completion: str) -> TokenUsage:
    """Read a usage object whose counts have these names."""
    usage = as_mapping(raw)
    read, written, total = (as_count(usage.get(name)) for name in (prompt, completion, "total_tokens"))
    if read is None and written is None and total is None:
        return MISSING_USAGE
    if total is None and read is not None and written is not None:
        total = read + written
    read_details = as_mapping(usage.get(f"{prompt}_details"))
    written_details = as_mapping(usage.get(f"{completion}_details"))
    return make(
        TokenUsage,
        prompt_tokens=read,
        completion_tokens=written,
        total_tokens=total,
        cached_tokens=as_count(read_details.get("cached_tokens")),
        cache_write_tokens=as_count(read_details.get("cache_write_tokens")),
        reasoning_tokens=as_count(written_details.get("reasoning_tokens")),
        raw=raw,
    )
