"""What a host's own tools did for an answer of Chat, where it tells: Groq's ``executed_tools``."""

from __future__ import annotations

from typing import Any, Tuple

from llm_orchestrator.providers.hosted import asked_in, name_of_tool, sources_in
from llm_orchestrator.providers.reading import as_mapping, as_mappings, as_text, as_text_or_none
from llm_orchestrator.types import JSON, HostedCall, parse_arguments

__all__ = ["hosted_calls"]


def hosted_calls(executed: Any) -> Tuple[HostedCall, ...]:
    """The calls that a host has made."""
    return tuple(map(_hosted_call, as_mappings(executed)))


def _hosted_call(call: JSON) -> HostedCall:
    written = as_text(call.get("arguments"))
    return HostedCall(
        name=name_of_tool(as_text(call.get("name")) or as_text(call.get("type"))),
        asked=asked_in(parse_arguments(written) or {}) or tuple(filter(None, [written])),
        output=as_text_or_none(call.get("output")),
        sources=sources_in(as_mapping(call.get("search_results")).get("results")),
        raw=(call,),
    )
