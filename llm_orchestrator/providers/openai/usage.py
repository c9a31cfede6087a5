"""The usage objects of OpenAI's two APIs, which differ in two names."""

from __future__ import annotations

from typing import Any

from llm_orchestrator.providers.reading import as_count, as_mapping
from llm_orchestrator.types import JSON, MISSING_USAGE, TokenUsage
from llm_orchestrator.utils.usage import documented_usage, in_numbers
from llm_orchestrator.utils.values import make

__all__ = ["find_usage", "read_usage"]


#: What the same count is called in the other API; some hosts mix them up.
OTHER_NAMES = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
}


def find_usage(body: JSON, choice: JSON) -> JSON:
    """The usage object of a completion or a chunk, in the places where hosts put it; empty where none is."""
    found = body.get("usage") or choice.get("usage")
    if not found and "x_groq" in body:
        found = as_mapping(body["x_groq"]).get("usage")
    return in_numbers(as_mapping(found)) if found else {}


def read_usage(raw: Any, prompt: str, completion: str) -> TokenUsage:
    """Read a usage object whose counts have these names."""
    reported = in_numbers(as_mapping(raw))
    usage = documented_usage(reported)
    if prompt not in usage and completion not in usage and OTHER_NAMES[prompt] in usage:
        prompt, completion = OTHER_NAMES[prompt], OTHER_NAMES[completion]
    read, written = as_count(usage.get(prompt)), as_count(usage.get(completion))
    total = as_count(usage.get("total_tokens"))
    if not (read or written or total):
        return MISSING_USAGE  # a request always has a prompt: zeros alone were not counted
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
        raw=reported,
    )
