"""Gemini's description of a failure, a ``google.rpc.Status``: its details hold the reason and a wait."""

from __future__ import annotations

import re
from typing import List, Mapping, Optional

from llm_orchestrator.providers.failures import Failure, says_only_why, words_of
from llm_orchestrator.providers.reading import as_mappings, as_text
from llm_orchestrator.types import JSON
from llm_orchestrator.utils.lazy import LazyPattern

__all__ = ["is_failure", "parse_failure"]

#: Words of an error about thinking, which names no field.
THINKING = LazyPattern(r"thinking[ _](level|budget|mode)", re.IGNORECASE)
#: How a model that cannot do without thinking says so.
ALWAYS_THINKS = "only works in thinking mode"
CONFIG_FIELD = LazyPattern(r"(generation_?config|tool_?config)\.(.*\.)?(?P<name>\w+)", re.IGNORECASE)
SECONDS = LazyPattern(r"(\d+(\.\d+)?)s")


#: Fields of which a reply has one.
ANSWERS = ("candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId", "models", "name")


def is_failure(body: JSON) -> bool:
    """Whether a failure came where a reply or an event should, with status 200."""
    return "error" in body or says_only_why(body, ANSWERS)


def parse_failure(body: JSON, status_code: Optional[int], headers: Mapping[str, str]) -> Failure:
    """Read what the server said."""
    error = body.get("error")
    message = words_of(body)
    if not isinstance(error, dict):
        error = {}
    details = as_mappings(error.get("details"))
    reasons = [as_text(detail.get("reason")) for detail in details]
    codes = [code for code in (*reasons, as_text(error.get("status"))) if code]
    if ALWAYS_THINKS in message:
        codes.append("unsupported_value")
    code = error.get("code")
    if status_code is None and isinstance(code, int):
        status_code = code
    return Failure(
        message,
        status_code,
        tuple(codes),
        _parameter(message, details),
        headers,
        _retry_delay(details),
    )


def _retry_delay(details: List[JSON]) -> Optional[float]:
    """The seconds of a ``RetryInfo``, written as ``"38s"``."""
    matches = (SECONDS.fullmatch(as_text(detail.get("retryDelay"))) for detail in details)
    return next((float(match[1]) for match in matches if match), None)


def _parameter(message: str, details: List[JSON]) -> Optional[str]:
    """The setting at fault: from a ``BadRequest`` detail, or from the words for thinking, which have none."""
    for detail in details:
        for violation in as_mappings(detail.get("fieldViolations")):
            match = CONFIG_FIELD.fullmatch(as_text(violation.get("field")))
            if match:
                return match["name"]
    return "thinking_level" if THINKING.search(message) else None
