"""Usage objects as hosts send them: merged over a stream, and their counts where OpenAI documents them.

Answers and prices are both made of these, so that they count alike.
"""

from __future__ import annotations

import re
from decimal import Decimal
from operator import is_
from typing import Any, Dict, Mapping, Optional

from llm_orchestrator.utils.json import JSON, MAPPINGS
from llm_orchestrator.utils.lazy import LazyPattern

__all__ = [
    "counted_by_gemini",
    "documented_usage",
    "in_numbers",
    "replaced_usage",
    "reported_cost",
    "updated_usage",
]

#: Where hosts put tokens that were read from a cache; all are a part of the prompt.
CACHED = ("cached_tokens", "prompt_cache_hit_tokens")
#: Where hosts put what they charge, and the dollars that one of it is.
COSTS: Mapping[str, Decimal] = {
    "cost": Decimal(1),
    "total_cost": Decimal(1),
    "estimated_cost": Decimal(1),
    "cost_in_usd_ticks": Decimal("1e-10"),
}
#: Types of values that stay as they are.
_NUMBERS = frozenset((int, bool, type(None)))
#: More than any call costs: a number above it is none.
MOST_DOLLARS = 1_000_000
#: A count as text, no longer than one can be.
_COUNT = LazyPattern(r"[0-9]{1,9}", re.ASCII)


def in_numbers(usage: JSON) -> JSON:
    """A usage object whose counts are numbers, also where a host writes them as text or as 12.0."""
    changes = {
        key: number
        for key, value in usage.items()
        if type(value) not in _NUMBERS and (number := _in_numbers(key, value)) is not value
    }
    return {**usage, **changes} if changes else usage


def _in_numbers(key: str, value: Any) -> Any:
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, dict):
        return in_numbers(value)
    if isinstance(value, list):
        entries = [_in_numbers(key, entry) for entry in value]
        return value if all(map(is_, entries, value)) else entries
    return _count_in(value) if "token" in key.lower() else value


def _count_in(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, str) and _COUNT.fullmatch(value) else value


# A later count replaces an earlier one. Nothing does not, and a 0 only beside a count of the same side,
# of what was read or of what was written.


#: The names of both counts in Chat and in Responses.
CHAT, RESPONSES = ("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens")
#: The counts that Gemini's total is the sum of.
GEMINI = ("promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
#: What a usage object holds where everything stands in its documented place, as at most hosts.
DOCUMENTED = {
    names: frozenset(("total_tokens", *names, *(f"{name}_details" for name in names)))
    for names in (CHAT, RESPONSES)
}


def updated_usage(before: JSON, after: JSON) -> Dict[str, Any]:
    """The usage after an event that repeats only some counts: each that it holds replaces the one before."""
    return {**before, **_with_later(before, after)}


def replaced_usage(before: JSON, after: JSON) -> Dict[str, Any]:
    """The usage after an event that holds all counts: it replaces the one before as a whole."""
    if not _holds_counts(after) and _holds_counts(before):
        return dict(before)
    return _with_later(before, after)


def _with_later(before: JSON, after: JSON) -> Dict[str, Any]:
    values = after.values()
    if all(values) and not any(isinstance(value, dict) for value in values):
        return dict(after)  # nothing that a count before could be lost to
    counts = (key for key, value in after.items() if _is_count(value) and value)
    counted = {_is_written(key) for key in counts if "total" not in key}
    return {key: _later(before.get(key), value, _is_written(key) in counted) for key, value in after.items()}


def _later(old: Any, new: Any, is_counted: bool) -> Any:
    if new is None or (not is_counted and _is_count(new) and not new and _is_count(old)):
        return old
    if isinstance(old, MAPPINGS) and isinstance(new, MAPPINGS):
        return updated_usage(old, new)
    return new


def _is_written(name: str) -> bool:
    return any(word in name for word in ("output", "completion", "candidates", "thoughts", "reasoning"))


def _holds_counts(usage: JSON) -> bool:
    return any(_is_count(value) and value for value in usage.values())


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def documented_usage(usage: JSON) -> JSON:
    """The counts in OpenAI's documented places; the same object where they stand there already."""
    names = CHAT if "prompt_tokens" in usage or "completion_tokens" in usage else RESPONSES
    prompt, completion = names
    if usage.keys() <= DOCUMENTED[names] and _adds_up(usage, prompt, completion):
        return usage
    changes: Dict[str, Any] = {}
    cached = next((usage[name] for name in CACHED if _is_count(usage.get(name))), None)
    changes.update(_with_detail(usage, f"{prompt}_details", "cached_tokens", cached))
    reasoning = usage.get("reasoning_tokens")
    details = _with_detail(usage, f"{completion}_details", "reasoning_tokens", reasoning)
    changes.update(details)
    changes.update(_known_from_total(usage, prompt, completion))
    return {**usage, **changes} if changes else usage


def _adds_up(usage: JSON, prompt: str, completion: str) -> bool:
    read, written, total = usage.get(prompt), usage.get(completion), usage.get("total_tokens")
    return type(read) is type(written) is type(total) is int and read + written == total


def _with_detail(usage: JSON, place: str, name: str, count: Any) -> Dict[str, Any]:
    """A detail that stands beside the counts instead of in its own object."""
    details = usage.get(place)
    known = details if isinstance(details, MAPPINGS) else {}
    return {place: {**known, name: count}} if _is_count(count) and not known.get(name) else {}


def _known_from_total(usage: JSON, prompt: str, completion: str) -> Dict[str, int]:
    """What the total tells of its parts: hosts count reasoning beside the completion, or leave out one."""
    read, written, total = usage.get(prompt), usage.get(completion), usage.get("total_tokens")
    if total is None or not all(count is None or _is_count(count) for count in (read, written, total)):
        return {}
    if read is not None and total > read + (written or 0):
        return {completion: total - read}
    if read is None and written is not None and total > written:
        return {prompt: total - written}
    return {}


def counted_by_gemini(usage: JSON) -> JSON:
    """A usage object of Gemini whose total tells a count that is not there, of the prompt or the thoughts."""
    prompt, tools, candidates, thoughts = map(usage.get, GEMINI)
    if candidates is None or (prompt is not None and thoughts is not None):
        return usage
    counts = [prompt or 0, tools or 0, candidates or 0, thoughts or 0]
    total = usage.get("totalTokenCount") or 0
    if not all(map(_is_count, (total, *counts))) or total <= sum(counts):
        return usage
    return {**usage, GEMINI[0] if prompt is None else GEMINI[-1]: total - sum(counts)}


def reported_cost(usage: Any) -> Optional[Decimal]:
    """What the host itself says that the call costs, in dollars."""
    if not isinstance(usage, MAPPINGS) or usage.keys().isdisjoint(COSTS):
        return None
    for name, unit in COSTS.items():
        value = usage.get(name)
        if isinstance(value, MAPPINGS):  # a cost in parts
            value = value.get("total_cost")
        if (
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            and 0 <= value < MOST_DOLLARS / unit
        ):
            return Decimal(str(value)) * unit
    return None
