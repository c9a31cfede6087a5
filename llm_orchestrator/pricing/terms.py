"""What decides a price outside the token counts: the tier that was served, the region, and the tools' fees.

Providers report these in different places: a field of the response, of its usage, a header, the URL. What was
served counts; what was requested is only believed where nothing says what was served.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple

from llm_orchestrator.pricing.book import STANDARD, PriceBook
from llm_orchestrator.pricing.query import PricingQuery
from llm_orchestrator.pricing.usage import InvalidUsageError, Request, image_generation
from llm_orchestrator.utils.json import JSON, MAPPINGS
from llm_orchestrator.utils.numbers import MOST_TOOL_CALLS, is_count, shown

__all__ = ["TIER_HEADER", "Terms", "find_header", "read_terms"]

#: Items of an output that have no fee of their own.
_FREE_ITEMS = ("message", "reasoning", "function_call")
#: Where Gemini names the served tier.
TIER_HEADER = "x-gemini-service-tier"


class Terms(NamedTuple):
    """The terms of one call.

    Attributes:
        tier: Service tier to bill, in the table's words.
        regional: Whether the call went to a region with a surcharge.
        calls: Calls of tools that have a fee, by the fee's name.
        recorded: Counts for the record that no fee is known for.
        extra: Work of other models inside the call, to be priced by itself.
        unknown: What was used but cannot be priced.
        notes: Remarks for the bill.
    """

    tier: str
    regional: bool
    calls: Mapping[str, int]
    recorded: Mapping[str, int]
    extra: Tuple[Request, ...]
    unknown: Tuple[str, ...]
    notes: Tuple[str, ...]


def read_terms(book: PriceBook, usage: JSON, query: PricingQuery) -> Terms:
    """Read the terms of a call; ``usage`` is its usage object, that of a stream put together."""
    tier, notes = _tier(book, usage, query)
    request, response = query.request, query.response
    region = usage.get("inference_geo") or request.get("inference_geo")
    regional = region in book.regions if region else book.is_regional(query.base_url)
    server_tools = usage.get("server_tool_use")
    if not server_tools and not _may_report_tools(response):
        return Terms(tier, regional, {}, {}, (), (), notes)
    calls = _calls_with_fee(server_tools or {}, response)
    recorded = _calls_without_fee(server_tools or {}, response)
    notes += tuple(
        f"{name}: {count} recorded, not priced; what they cost depends on the whole account."
        for name, count in recorded.items()
        if name != "web_fetch"  # free
    )
    extra, unknown = image_generation(request, response)
    return Terms(tier, regional, calls, recorded, extra, unknown, notes)


def _may_report_tools(response: JSON) -> bool:
    if "tool_usage" in response:
        return True
    candidates, items = response.get("candidates"), response.get("output")
    if candidates and any("groundingMetadata" in candidate for candidate in candidates):
        return True
    return bool(items) and not all(map(_is_free, items or ()))


def _is_free(item: JSON) -> bool:
    return isinstance(item, dict) and item.get("type") in _FREE_ITEMS


def _tier(book: PriceBook, usage: JSON, query: PricingQuery) -> Tuple[str, Tuple[str, ...]]:
    """The tier to bill, and a note where it is only assumed."""
    request, response = query.request, query.response
    if query.batch:
        return "batch", ()
    served = (
        response.get("service_tier")
        or response.get("serviceTier")
        or usage.get("service_tier")
        or usage.get("serviceTier")
        or usage.get("trafficType")
        or find_header(query.headers, TIER_HEADER)
        or query.service_tier
    )
    asked = request.get("service_tier") or request.get("serviceTier")
    tier = book.tier(served or asked)
    if tier == STANDARD:
        served = usage.get("speed") or response.get("speed")
        asked = request.get("speed")
        if not served and not asked:
            return _window(book, request) or STANDARD, ()
        tier = book.tier(served or asked)
    if tier == STANDARD or served:
        return tier, ()
    return tier, (f"The response does not name its service tier; {tier} was requested and is assumed.",)


def _window(book: PriceBook, request: JSON) -> Optional[str]:
    options = request.get("background_options")
    if not options or not isinstance(options, MAPPINGS):
        return None
    return book.window(options.get("completion_window"))


def find_header(headers: Mapping[str, str], name: str) -> Optional[str]:
    """Find a header whatever its case."""
    if not headers:  # most often
        return None
    value = headers.get(name)
    if value is None:
        value = next((headers[key] for key in headers if key.lower() == name), None)
    return value


def _calls_with_fee(server_tools: JSON, response: JSON) -> Dict[str, int]:
    reported = (response.get("tool_usage") or {}).get("web_search") or {}
    items = _items(response)
    searches = reported.get("num_requests")
    if searches is None:
        searches = sum(1 for item in items if _is_search(item))
    return _used(
        {
            "web_search": searches + (server_tools.get("web_search_requests") or 0),
            "file_search": _of_type(items, "file_search_call"),
        }
    )


def _calls_without_fee(server_tools: JSON, response: JSON) -> Dict[str, int]:
    containers = _of_type(_items(response), "code_interpreter_call")
    return _used(
        {
            "web_fetch": server_tools.get("web_fetch_requests") or 0,
            "code_execution": containers + (server_tools.get("code_execution_requests") or 0),
            "grounding": _grounding_queries(response),
        }
    )


def _used(calls: Dict[str, int]) -> Dict[str, int]:
    for name, count in calls.items():
        if not is_count(count, MOST_TOOL_CALLS):
            raise InvalidUsageError(f"{shown(count)} is not a number of calls of {name}.")
    return {name: count for name, count in calls.items() if count}


def _items(response: JSON) -> List[JSON]:
    return [item for item in response.get("output") or () if isinstance(item, MAPPINGS)]


def _of_type(items: List[JSON], kind: str) -> int:
    return sum(1 for item in items if item.get("type") == kind)


def _is_search(item: JSON) -> bool:
    """Opening a page and finding text in it are not billed, nor are failed searches."""
    if item.get("type") != "web_search_call" or item.get("status") == "failed":
        return False
    action: JSON = item.get("action") or {}
    return bool(action.get("type", "search") == "search")


def _grounding_queries(response: JSON) -> int:
    metadata = (candidate.get("groundingMetadata") or {} for candidate in response.get("candidates") or ())
    return sum(len(entry.get("webSearchQueries") or ()) for entry in metadata)
