"""What decided the price of a call beside its usage, small enough to be kept with the call.

Requests and responses hold prompts and answers, which have no place in the ledger. Here they are reduced to
the few fields that a price depends on, so that pricing the facts later gives the same bill as the call.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from llm_orchestrator.pricing.terms import TIER_HEADER, find_header
from llm_orchestrator.utils.json import JSON, MAPPINGS

__all__ = ["price_facts"]

_TERMS = ("service_tier", "serviceTier", "speed", "inference_geo")
_REPORTED = (*_TERMS, "tool_usage")
#: The fields that say something; most requests and replies have none of them.
_OF_REQUEST = frozenset((*_TERMS, "prompt_cache_options", "background_options", "tools"))
_OF_RESPONSE = frozenset((*_REPORTED, "output", "tools", "candidates"))
_BILLED_ITEMS = ("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call")


def price_facts(
    request: JSON, headers: Mapping[str, str], response: JSON, *, batch: bool = False
) -> Dict[str, Any]:
    """Reduce a call to what decides its price."""
    tier = find_header(headers, TIER_HEADER)
    facts = {
        "batch": batch,
        "request": {} if _OF_REQUEST.isdisjoint(request) else _asked(request),
        "headers": {TIER_HEADER: tier} if tier else {},
        "response": {} if _OF_RESPONSE.isdisjoint(response) else _reported(response),
    }
    return {name: fact for name, fact in facts.items() if fact}


def _asked(request: JSON) -> Dict[str, Any]:
    asked = {name: request[name] for name in _TERMS if request.get(name)}
    if request.get("prompt_cache_options"):
        asked["prompt_cache_options"] = {"ttl": _mapping(request["prompt_cache_options"]).get("ttl")}
    if request.get("background_options"):
        window = _mapping(request["background_options"]).get("completion_window")
        asked["background_options"] = {"completion_window": window}
    tools = _image_tools(request.get("tools"))
    return {**asked, "tools": tools} if tools else asked


def _reported(response: JSON) -> Dict[str, Any]:
    reported = {name: response[name] for name in _REPORTED if response.get(name)}
    items = [_reduced(item) for item in _mappings(response.get("output")) if _is_billed(item)]
    if items:
        reported["output"] = items
    tools = _image_tools(response.get("tools"))
    if tools:
        reported["tools"] = tools
    searches = sum(map(_searches, _mappings(response.get("candidates"))))
    if searches:  # the queries themselves are the user's words
        reported["candidates"] = [{"groundingMetadata": {"webSearchQueries": [""] * searches}}]
    return reported


def _mapping(value: Any) -> JSON:
    return value if isinstance(value, MAPPINGS) else {}


def _mappings(values: Any) -> List[JSON]:
    """The objects in a list; a provider may send anything in its place."""
    values = values if isinstance(values, (list, tuple)) else ()
    return [value for value in values if isinstance(value, MAPPINGS)]


def _is_billed(item: JSON) -> bool:
    return item.get("type") in _BILLED_ITEMS


def _reduced(item: JSON) -> Dict[str, Any]:
    reduced = {name: item[name] for name in ("type", "status") if name in item}
    action = _mapping(item.get("action"))
    if "type" in action:
        reduced["action"] = {"type": action["type"]}
    return reduced


def _image_tools(tools: Any) -> List[Dict[str, Any]]:
    return [
        {"type": tool["type"], "model": tool.get("model")}
        for tool in _mappings(tools)
        if tool.get("type") == "image_generation"
    ]


def _searches(candidate: JSON) -> int:
    queries = _mapping(candidate.get("groundingMetadata")).get("webSearchQueries")
    return len(queries) if isinstance(queries, (list, tuple)) else 0
