"""OpenAI's description of a failure: an error body, an error event, or a response that failed."""

from __future__ import annotations

from typing import Mapping, Optional

from llm_orchestrator.providers.failures import (
    MOST_SHOWN,
    Failure,
    field_at_fault,
    says_only_why,
    words_of,
)
from llm_orchestrator.providers.openai.cache import BREAKPOINT, CACHE_OPTIONS
from llm_orchestrator.providers.reading import (
    as_count,
    as_mapping,
    as_mappings,
    as_text,
    as_text_or_none,
)
from llm_orchestrator.types import JSON

__all__ = ["is_failure", "parse_failure"]

#: Codes of a failed response that are the request's fault, so that no retry can help.
REQUEST_FAULTS = frozenset(
    {
        "bio_policy",
        "data_residency_mismatch",
        "empty_image_file",
        "failed_to_download_image",
        "image_content_policy_violation",
        "image_file_not_found",
        "image_file_too_large",
        "image_parse_error",
        "image_too_large",
        "image_too_small",
        "invalid_base64_image",
        "invalid_image",
        "invalid_image_format",
        "invalid_image_mode",
        "invalid_image_url",
        "misalignment_policy_violation",
        "unsupported_image_media_type",
    }
)
#: What servers of llama.cpp say with status 500 of a text that is longer than a batch.
TOO_LONG_TO_EMBED = "too large to process. increase the physical batch size"
#: Fields of which a reply or a chunk has one.
ANSWERS = ("choices", "type", "output", "usage", "data", "id")
#: Where a failure says what kind it is, most specific first, and what says nothing there.
CODE_FIELDS = ("code", "type", "status")
NO_CODE = (None, "", "error")


def is_failure(body: JSON) -> bool:
    """Whether a failure came where a reply or an event should, with status 200."""
    is_error = body.get("type") == "error" or body.get("object") == "error" or body.get("error")
    return bool(is_error) or says_only_why(body, ANSWERS)


def parse_failure(body: JSON, status_code: Optional[int], headers: Mapping[str, str]) -> Failure:
    """Read what the server said."""
    detail = _detail(body)
    number = as_count(detail.get("code"))
    if status_code is None and number is not None and 400 <= number < 600:
        status_code = number
    codes = [str(detail[field]) for field in CODE_FIELDS if detail.get(field) not in NO_CODE]
    if codes and codes[0] in REQUEST_FAULTS:
        codes.append("invalid_request_error")
    message = _with_words_behind(words_of(body), detail)
    if TOO_LONG_TO_EMBED in message:
        codes.append("exceed_context_size_error")
    return Failure(
        message=message,
        status_code=status_code,
        codes=tuple(codes),
        parameter=_parameter(as_text_or_none(detail.get("param")) or field_at_fault(body), message),
        headers=headers,
    )


def _parameter(named: Optional[str], message: str) -> Optional[str]:
    """The field at fault; that of the cache for its breakpoints, which stand deep in the messages."""
    return CACHE_OPTIONS if BREAKPOINT in (named or message) else named


def _with_words_behind(words: str, detail: JSON) -> str:
    """A gateway's words, and those of the provider behind it."""
    behind = as_text(as_mapping(detail.get("metadata")).get("raw"))[:MOST_SHOWN]
    return f"{words}: {behind}" if behind and behind not in words else words


def _detail(body: JSON) -> JSON:
    """The object that describes the failure: hosts send it by itself, in a list, or without a wrapper."""
    wrapped = body.get("error") or body.get("errors") or body.get("detail")
    if isinstance(wrapped, list):
        wrapped = next(iter(as_mappings(wrapped)), None)
    return as_mapping(wrapped) or body
