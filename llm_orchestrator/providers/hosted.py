"""What the calls of the providers' own tools have in common; each protocol's folder reads its fields."""

from __future__ import annotations

import json
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.providers.reading import as_mapping, as_mappings, as_text, as_text_or_none
from llm_orchestrator.types import JSON, Citation

__all__ = ["asked_in", "name_of_tool", "reason_in", "sources_in", "written_in"]

#: Our words for tools, where a provider's differ.
NAMES: Mapping[str, str] = {
    # Anthropic
    "bash_code_execution": "code_execution",
    "text_editor_code_execution": "code_execution",
    "tool_search_tool_bm25": "tool_search",
    "tool_search_tool_regex": "tool_search",
    # Gemini
    "google_maps": "maps",
    "google_search_image": "image_search",
    "google_search_web": "web_search",
    "url_context": "web_fetch",
    # OpenAI, and hosts that speak its Chat
    "code_interpreter": "code_execution",
    "program": "code_execution",
    "python": "code_execution",
    "search": "web_search",
    "visit": "web_fetch",
}
#: Where what was asked stands, the usual fields first.
ASKED = ("queries", "query", "pattern", "url", "urls", "code", "commands", "command", "revised_prompt")
#: Where the address of a source stands, its title, its text and its id.
SOURCE: Sequence[Tuple[str, ...]] = (
    ("url", "uri", "sourceUri", "retrievedUrl"),
    ("title", "filename"),
    ("text", "content", "snippet"),
    ("file_id",),
)
#: Where what was written stands.
WRITTEN = ("logs", "stdout", "output", "result", "stderr")
#: Where the reason of a failure stands.
REASONS = ("message", "error_message", "error_code", "content", "code", "type")


def name_of_tool(word: str) -> str:
    """Our word for a tool, or the provider's."""
    return NAMES.get(word.lower(), word.lower())


def asked_in(*places: JSON) -> Tuple[str, ...]:
    """The texts of what was asked, in the first place that holds any; else the first place as its JSON."""
    for value in (place.get(field) for place in places for field in ASKED):
        texts = tuple(filter(None, map(as_text, value if isinstance(value, list) else [value])))
        if texts:
            return texts
    return (_json(places[0]),) if places[0] else ()


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):  # nested deeper than anything that was meant
        return "..."


def sources_in(*lists: Any) -> Tuple[Citation, ...]:
    """What came, as far as it has an address, a title, a text or an id."""
    found: List[Citation] = []
    for place in (place for listed in lists for place in as_mappings(listed)):
        url, title, text, file_id = (_first(place, names) for names in SOURCE)
        found += [Citation(url, title, text, file_id, raw=place)] if url or title or text or file_id else []
    return tuple(found)


def _first(place: JSON, names: Tuple[str, ...]) -> Optional[str]:
    return next(filter(None, (as_text_or_none(place.get(name)) for name in names)), None)


def written_in(*places: JSON) -> Optional[str]:
    """What code or commands have written."""
    return "".join(as_text(place.get(field)) for place in places for field in WRITTEN) or None


def reason_in(error: Any) -> Optional[str]:
    """Why a call failed: a text, or what an object says of it."""
    return as_text_or_none(error) or _first(as_mapping(error), REASONS)
