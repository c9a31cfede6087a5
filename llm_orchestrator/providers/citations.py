"""The sources that answers name, read from the fields in which each protocol has them."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.providers.contents import text_in, text_of
from llm_orchestrator.providers.reading import as_count, as_list, as_mapping, as_mappings, as_text_or_none
from llm_orchestrator.types import JSON, Citation

__all__ = ["annotations_in", "cited_blocks", "cited_parts", "grounding_of", "listed_sources"]

#: Where the providers put the fields of a source.
NAMES: Mapping[str, Tuple[str, ...]] = {
    "url": ("url", "uri"),
    "title": ("title", "document_title", "filename"),
    "text": ("cited_text", "quote"),
    "file_id": ("file_id",),
}


def _citation(source: Any, raw: Any, start: Optional[int] = None, end: Optional[int] = None) -> Citation:
    if start is None or end is None or start > end:
        start = end = None
    fields = as_mapping(source)
    found = {
        field: next(filter(None, (as_text_or_none(fields.get(name)) for name in names)), None)
        for field, names in NAMES.items()
    }
    return Citation(**found, start=start, end=end, raw=raw)


# ---------------------------------------------------------------- OpenAI: annotations


def annotations_in(annotations: Any, offset: int = 0) -> Iterator[Citation]:
    """The annotations of a text that begins at a place of the content, as Chat or Responses writes them."""
    for annotation in as_mappings(annotations):
        source = as_mapping(annotation.get(str(annotation.get("type")))) or annotation
        start, end = (as_count(source.get(name)) for name in ("start_index", "end_index"))
        is_placed = start is not None and end is not None
        yield _citation(
            source,
            annotation,
            offset + (start or 0) if is_placed else None,
            offset + (end or 0) if is_placed else None,
        )


def cited_parts(parts: Sequence[JSON], content: str) -> Tuple[Citation, ...]:
    """The annotations of all parts of an answer; each counts from the beginning of its own part."""
    if not any(part.get("annotations") for part in parts):
        return ()
    is_whole = text_in(parts) == content  # else a structured answer, of which the last part is the content
    offset = 0 if is_whole else len(content) - len(text_in(parts))
    found = []
    for part in parts:
        found += [
            cited for cited in annotations_in(part.get("annotations"), offset) if (cited.start or 0) >= 0
        ]
        offset += len(text_in([part]))
    return tuple(found)


def listed_sources(body: JSON) -> Tuple[Citation, ...]:
    """The sources that a host lists beside the answer: URLs, or objects with title and URL."""
    listed = as_list(body.get("search_results")) or as_list(body.get("citations"))
    if not listed:
        return ()
    sources = [({"url": source} if isinstance(source, str) else source, source) for source in listed]
    named = [pair for pair in sources if as_text_or_none(as_mapping(pair[0]).get("url"))]
    return tuple(_citation(fields, source) for fields, source in named)


# ---------------------------------------------------------------- Anthropic: citations of a block


def cited_blocks(blocks: Sequence[JSON]) -> Tuple[Citation, ...]:
    """The citations of the blocks of text: each is for the whole of its block."""
    if not any(block.get("citations") for block in blocks):
        return ()
    found, start = [], 0
    for block in blocks:
        if block.get("type") == "text":
            end = start + len(text_of(block.get("text")))
            found += [_citation(raw, raw, start, end) for raw in as_mappings(block.get("citations"))]
            start = end
    return tuple(found)


# ---------------------------------------------------------------- Gemini: grounding


def grounding_of(candidate: JSON, content: str) -> Tuple[Citation, ...]:
    """What the search found for an answer, and what of it is quoted from elsewhere."""
    grounding, quotes = (as_mapping(candidate.get(key)) for key in ("groundingMetadata", "citationMetadata"))
    sources = as_mappings(quotes.get("citations")) or as_mappings(quotes.get("citationSources"))
    found = [_citation(source, source, *_in_characters(source, content)) for source in sources]
    chunks = as_list(grounding.get("groundingChunks"))
    supported = list(_supported(chunks, as_mappings(grounding.get("groundingSupports")), content))
    found += supported or [_citation(_source(chunk), chunk) for chunk in as_mappings(chunks)]
    return tuple(found)


def _supported(chunks: Sequence[Any], supports: Sequence[JSON], content: str) -> Iterator[Citation]:
    for support in supports:
        place = _in_characters(as_mapping(support.get("segment")), content)
        for number in as_list(support.get("groundingChunkIndices")):
            index = as_count(number)
            if index is not None and index < len(chunks):
                yield _citation(_source(chunks[index]), support, *place)


def _source(chunk: Any) -> JSON:
    """A chunk says in its one field what kind of source it is: ``web``, ``retrievedContext``, ``maps``."""
    return next((value for value in as_mapping(chunk).values() if isinstance(value, dict)), {})


def _in_characters(segment: JSON, content: str) -> Tuple[Optional[int], Optional[int]]:
    """Gemini counts bytes, and leaves out a beginning of 0."""
    end = as_count(segment.get("endIndex"))
    if end is None:
        return None, None
    written = content.encode("utf-8", "replace")
    start = as_count(segment.get("startIndex")) or 0
    return len(written[:start].decode("utf-8", "ignore")), len(written[:end].decode("utf-8", "ignore"))
