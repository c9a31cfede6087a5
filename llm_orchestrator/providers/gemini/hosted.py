"""What Gemini's own tools did: parts of the answer, or what stands beside them in the candidate."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.providers.hosted import asked_in, name_of_tool, sources_in, written_in
from llm_orchestrator.providers.reading import as_list, as_mapping, as_mappings, as_text, as_text_or_none
from llm_orchestrator.types import JSON, HostedCall

__all__ = ["hosted_calls"]

#: The parts that hold a call, and those with its result.
CALLS = {"executableCode": "codeExecutionResult", "toolCall": "toolResponse"}
#: What stands beside the parts of a candidate.
GROUNDING, PAGES = "groundingMetadata", "urlContextMetadata"
#: The tools that grounding tells of: the field with their queries, and the kind of what they have found.
GROUNDED: Mapping[str, Tuple[str, str]] = {
    "web_search": ("webSearchQueries", "web"),
    "image_search": ("imageSearchQueries", "image"),
    "file_search": ("retrievalQueries", "retrievedContext"),
    "maps": ("", "maps"),
}
OK, FETCHED = "OUTCOME_OK", "URL_RETRIEVAL_STATUS_SUCCESS"


def hosted_calls(candidate: JSON, parts: Sequence[JSON]) -> Tuple[HostedCall, ...]:
    """The calls that Gemini has made; those of its parts tell more than what stands beside them."""
    in_parts = list(_in_parts(parts)) if any(part.keys() & CALLS.keys() for part in parts) else []
    if not candidate.keys() & {GROUNDING, PAGES}:
        return tuple(in_parts)
    names = {call.name for call in in_parts}
    beside = [*_grounded(as_mapping(candidate.get(GROUNDING))), *_fetched(as_mapping(candidate.get(PAGES)))]
    return (*in_parts, *(call for call in beside if call.name not in names))


def _in_parts(parts: Sequence[JSON]) -> Iterator[HostedCall]:
    for place, part in enumerate(parts):
        for field in part.keys() & CALLS.keys():
            call = as_mapping(part[field])
            yield _in_part(call, _result_of(call, parts[place + 1 :], CALLS[field]))


def _result_of(call: JSON, later: Sequence[JSON], field: str) -> Optional[JSON]:
    """The result with the id of a call; without an id, the next one."""
    results = [as_mapping(part[field]) for part in later if field in part]
    own = (result for result in results if result.get("id") == call.get("id"))
    return next(own, None)


def _in_part(call: JSON, result: Optional[JSON]) -> HostedCall:
    came = as_mapping(result)
    response = as_mapping(came.get("response"))
    outcome = as_text(came.get("outcome"))
    return HostedCall(
        name=name_of_tool(as_text(call.get("toolType")) or "code_execution"),
        asked=asked_in(as_mapping(call.get("args")) or call),
        output=written_in(came, response),
        sources=sources_in(*response.values()),
        error=outcome if outcome not in ("", OK) else None,
        id=as_text_or_none(call.get("id")),
        raw=(call,) if result is None else (call, result),
    )


def _grounded(grounding: JSON) -> Iterator[HostedCall]:
    """One call for each kind of search: which query has found what is not told."""
    chunks: Dict[str, List[Any]] = {}
    for chunk in as_mappings(grounding.get("groundingChunks")):
        for kind, place in chunk.items():
            chunks.setdefault(kind, []).append(place)
    for name, (field, kind) in GROUNDED.items():
        queries = tuple(filter(None, map(as_text, as_list(grounding.get(field)))))
        if queries or kind in chunks:
            yield HostedCall(name, queries, sources=sources_in(chunks.get(kind)), raw=(grounding,))


def _fetched(pages: JSON) -> Iterator[HostedCall]:
    for page in as_mappings(pages.get("urlMetadata")):
        status = as_text(page.get("urlRetrievalStatus"))
        address = as_text(page.get("retrievedUrl"))
        is_there = status in ("", FETCHED)
        yield HostedCall(
            "web_fetch",
            (address,) if address else (),
            sources=sources_in([page]) if is_there else (),
            error=None if is_there else status,
            raw=(page,),
        )
