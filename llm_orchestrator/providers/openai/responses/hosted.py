"""What OpenAI's own tools did, among the items of a response."""

from __future__ import annotations

from typing import Optional, Sequence, Tuple

from llm_orchestrator.providers.hosted import asked_in, name_of_tool, reason_in, sources_in, written_in
from llm_orchestrator.providers.openai.responses.turns import CALL_ITEMS
from llm_orchestrator.providers.reading import as_mapping, as_mappings, as_text, as_text_or_none
from llm_orchestrator.types import JSON, HostedCall
from llm_orchestrator.utils.json import beside

__all__ = ["hosted_calls"]

CALL, PROGRAM, OUTPUT, MCP = "_call", "program", "_output", "mcp_call"
#: States of a call that was not carried out to its end.
FAILED = ("failed", "incomplete")


def hosted_calls(items: Sequence[JSON], waiting: Sequence[JSON]) -> Tuple[HostedCall, ...]:
    """The calls that OpenAI has made; those that wait for the application are none of them."""
    calls = [item for item in items if _is_call(item) and item not in waiting]
    if not calls:
        return ()
    results = {
        as_text(item.get("call_id")): item for item in items if as_text(item.get("type")).endswith(OUTPUT)
    }
    return tuple(_hosted_call(call, results.get(as_text(call.get("call_id")))) for call in calls)


def _is_call(item: JSON) -> bool:
    kind = as_text(item.get("type"))
    return kind not in CALL_ITEMS and kind.endswith((CALL, PROGRAM))


def _hosted_call(item: JSON, result: Optional[JSON]) -> HostedCall:
    kind, came = as_text(item.get("type")), as_mapping(result)
    outputs = [*as_mappings(item.get("outputs")), *as_mappings(came.get("output"))]
    action = as_mapping(item.get("action"))
    files = [output for output in outputs if "url" in output]
    return HostedCall(
        name=as_text(item.get("name")) if kind == MCP else name_of_tool(_without_ending(kind)),
        asked=_asked(item, beside(action, "type", "sources")),
        output=as_text_or_none(item.get("output")) or written_in(*outputs, came),
        sources=sources_in(action.get("sources"), item.get("results"), files),
        error=reason_in(item.get("error")) or (item["status"] if item.get("status") in FAILED else None),
        id=as_text_or_none(item.get("id")),
        raw=(item,) if result is None else (item, result),
    )


def _without_ending(kind: str) -> str:
    return kind[: -len(CALL)] if kind.endswith(CALL) else kind


def _asked(item: JSON, action: JSON) -> Tuple[str, ...]:
    arguments = item.get("arguments")
    if arguments and isinstance(arguments, str):
        return (arguments,)
    return asked_in(action or as_mapping(arguments), item)
