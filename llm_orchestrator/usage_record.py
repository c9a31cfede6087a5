"""One row of the ledger as a value: what one request to a model used, cost and how it ended.

The names of the record's fields are the columns of the CSV file, in this order. A record turns itself into a
row of text; from there on, ledger, report and export know nothing but rows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any, Callable, Dict, Mapping, Optional, Union

from llm_orchestrator.types import MISSING_USAGE, TokenUsage

__all__ = ["COLUMNS", "REQUIRED_COLUMNS", "Tokens", "UsageRecord", "as_usage", "as_utc", "parse_timestamp"]

#: Tokens as a caller may give them: the keys ``prompt``, ``completion`` and ``total``, or a ``TokenUsage``.
Tokens = Union[Mapping[str, Optional[int]], TokenUsage, None]

#: Version of the columns. It is written as the last cell, never empty, so that a row cut anywhere is
#: recognised.
SCHEMA = "1"


@dataclass(frozen=True)
class UsageRecord:
    """One request that was sent: an attempt of a call.

    Attributes:
        timestamp: When the request ended, in UTC.
        provider: Name of the configured provider entry.
        model: Model that answered; for a failed attempt the one asked.
        prompt_tokens: Everything the model read, cached tokens included; None when not told.
        completion_tokens: Everything the model wrote, reasoning included; None when not told.
        total_tokens: Prompt and completion together; None when not told.
        cost: US dollars; None when unknown.
        session_id: The session the call belongs to.
        call_id: The same for all attempts of one call.
        attempt: Position of the request within its call, counted from 1.
        final: Whether the call ended with this request.
        status: ``ok``, ``error``, ``interrupted`` or ``cancelled``.
        error_type: Name of the error class; None when there was no error.
        status_code: HTTP status; None when no response came.
        request_id: The provider's id of the request.
        requested_model: Model that was asked.
        cached_tokens: The part of the prompt read from a cache.
        cache_write_tokens: The part of the prompt written to a cache.
        reasoning_tokens: The part of the completion that was reasoning.
        usage_status: ``reported``, ``partial``, ``estimated`` or ``missing``, see ``TokenUsage.source``.
        price_status: ``priced``, ``partial``, ``stale``, ``unpriced`` or ``free``, see
            ``CostDetails.status``.
        streamed: Whether the answer was streamed.
        latency: Seconds the request took.
        tags: The tags given to the call.
    """

    timestamp: datetime
    provider: str
    model: str
    prompt_tokens: Optional[int]
    completion_tokens: Optional[int]
    total_tokens: Optional[int]
    cost: Optional[Decimal]
    session_id: str
    call_id: str
    attempt: int = 1
    final: bool = True
    status: str = "ok"
    error_type: Optional[str] = None
    status_code: Optional[int] = None
    request_id: Optional[str] = None
    requested_model: Optional[str] = None
    cached_tokens: Optional[int] = None
    cache_write_tokens: Optional[int] = None
    reasoning_tokens: Optional[int] = None
    usage_status: str = "reported"
    price_status: str = "priced"
    streamed: bool = False
    latency: Optional[float] = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def to_row(self) -> Dict[str, str]:
        """Write the record as text by column name.

        Returns:
            One text for each of ``COLUMNS``; an empty one where the value is not known.
        """
        row = {name: _as_text(getattr(self, name)) for name in _FIELDS}
        row["schema"] = SCHEMA
        return row


_FIELDS = tuple(item.name for item in fields(UsageRecord))
COLUMNS = (*_FIELDS, "schema")
#: What a CSV file must have to serve as a ledger.
REQUIRED_COLUMNS = COLUMNS[:8]


def as_usage(tokens: Tokens) -> TokenUsage:
    """Read tokens in any of the forms a caller may give them.

    Args:
        tokens: A mapping with the keys ``prompt``, ``completion`` and ``total`` (each may be left out), a
            ``TokenUsage``, or None when nothing is known.

    Returns:
        The usage; a total left out is the sum of the two parts when both are known.

    Raises:
        ValueError: The mapping has another key.
    """
    if isinstance(tokens, TokenUsage):
        return tokens
    if not tokens:
        return MISSING_USAGE
    unknown = sorted(set(tokens) - {"prompt", "completion", "total"})
    if unknown:
        raise ValueError(f"Unknown kinds of tokens: {', '.join(unknown)}. Use prompt, completion and total.")
    prompt, completion, total = (tokens.get(key) for key in ("prompt", "completion", "total"))
    if total is None and prompt is not None and completion is not None:
        total = prompt + completion
    return TokenUsage(prompt, completion, total)


def as_utc(moment: Optional[date], *, end_of_day: bool = False) -> Optional[datetime]:
    """Place a point in time on the UTC clock.

    Args:
        moment: A datetime, read as local time when it names no zone; or a date, which means its first moment
            in local time. None stays None.
        end_of_day: A date means its last moment instead.

    Returns:
        The same point in time, in UTC.

    Raises:
        TypeError: It is neither.
    """
    if moment is None:
        return None
    if not isinstance(moment, date):
        raise TypeError(f"{moment!r} is not a date. Use datetime.datetime or datetime.date.")
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time.max if end_of_day else time.min)
    return moment.astimezone(timezone.utc)


def parse_timestamp(text: str) -> datetime:
    """Read a timestamp of a ledger row.

    Args:
        text: ISO 8601; without a zone it is local time.

    Returns:
        The point in time, with its zone.

    Raises:
        ValueError: The text is not a timestamp.
    """
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.astimezone(timezone.utc)


_WRITERS: Mapping[type, Callable[[Any], str]] = {
    type(None): lambda _: "",
    bool: lambda value: "true" if value else "false",
    Decimal: lambda value: format(value, "f"),  # str() would write 1E-7
    float: lambda value: format(value, ".6f"),
    datetime: lambda value: str(value.isoformat(timespec="microseconds")),
    dict: lambda value: json.dumps(value, ensure_ascii=False, default=str) if value else "",
}


def _as_text(value: Any) -> str:
    return _WRITERS.get(type(value), str)(value)
