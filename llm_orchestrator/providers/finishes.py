"""What a finish reason means: its protocol's own words, then what any word says of a block or a failure."""

from __future__ import annotations

import re
from typing import Any, Mapping

from llm_orchestrator.types import JSON, FinishReason
from llm_orchestrator.utils.lazy import LazyPattern

__all__ = ["failure_of_finish", "finish_of", "says_failure"]

#: Parts of words for an answer that somebody's filter stopped; hosts have new ones every year.
BLOCKED = LazyPattern(
    "armor|blocked|blocklist|escalation|filter|guardrail|jailbreak|moderat|prohibited|pup_limited|recitation"
    "|refus|safety|sensitive|spii",
    re.IGNORECASE,
)
#: Words for a failure of the server that stand where a finish reason should.
FAILED = LazyPattern(
    r"(.*_)?(error|failed|failure|timeout|unavailable)|abort(ed)?|insufficient_.*|timed_out", re.IGNORECASE
)


def finish_of(word: str, known: Mapping[str, FinishReason]) -> FinishReason:
    """Read a finish reason; a word that says nothing is ``OTHER``."""
    if word in known:
        return known[word]
    if says_failure(word):
        return FinishReason.ERROR
    return FinishReason.CONTENT_FILTER if BLOCKED.search(word) else FinishReason.OTHER


def says_failure(word: Any) -> bool:
    """Whether what should be a finish reason says that the server failed."""
    return isinstance(word, str) and FAILED.fullmatch(word) is not None


def failure_of_finish(word: str) -> JSON:
    """The body of an error for a failure that only a finish reason tells."""
    words = f"The provider ended the answer with {word!r}. Try again, or ask another model."
    return {"error": {"code": word, "message": words}}
