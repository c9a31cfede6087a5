"""One row of the ledger as a value: what one request to a model used and cost, why, and how it ended.

A record turns itself into a row of strings; from there on, ledger, report and export know nothing but rows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

from llm_orchestrator.types import MISSING_USAGE, CostDetails, TokenUsage
from llm_orchestrator.usage.columns import COLUMNS, DETAILS, LISTS, SCHEMA
from llm_orchestrator.utils.lazy import LazyModule
from llm_orchestrator.utils.numbers import is_count, shown
from llm_orchestrator.utils.values import Value, evolve

if TYPE_CHECKING:
    import pydantic_core
else:
    pydantic_core = LazyModule("pydantic_core")  # a program that only reads a ledger does without

__all__ = [
    "BLANK",
    "WRITERS",
    "Tokens",
    "UsageRecord",
    "as_text",
    "as_usage",
    "as_utc",
    "parse_counts",
    "parse_timestamp",
]

#: Tokens as a caller may give them: the keys ``prompt``, ``completion`` and ``total``, or a ``TokenUsage``.
Tokens = Union[Mapping[str, Optional[int]], TokenUsage, None]

#: Years that a ledger may have been written in; no clock of any zone fails on them.
_FIRST_YEAR, _LAST_YEAR = 1970, 2999
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, eq=False, repr=False)
class UsageRecord(Value):
    """One request that was sent: an attempt of a call.

    Attributes:
        timestamp: When the request ended, in UTC.
        provider: Name of the configured provider entry.
        model: Model that answered; for a failed attempt the one asked.
        prompt_tokens: Everything the model read, cached tokens included; None when not reported.
        completion_tokens: Everything the model wrote, reasoning included; None when not reported.
        total_tokens: Prompt and completion together; None when not reported.
        cost: US dollars, what was estimated included; None when unknown.
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
        usage_status: ``reported``, ``partial``, ``estimated`` or ``missing``, see ``TokenUsage.source``;
            ``none`` for a request the provider refused.
        price_status: ``priced``, ``partial``, ``stale``, ``unpriced`` or ``free``, see
            ``CostDetails.status``.
        streamed: Whether the answer was streamed.
        latency: Seconds the request took.
        tags: The tags given to the call.
        finish_reason: Why the model stopped.
        time_to_first_token: Seconds until the first piece of a streamed answer.
        started_at: When the request was sent, in UTC; its price is the one of that moment.
        estimated_counts: Tokens that had to be estimated, by class (``in``, ``out``).
        estimator: Name of the method that estimated them.
        cost_details: How the cost came about; None when the caller named the cost.
        price_provider: The provider whose prices were used.
        api: The provider's API that answered, in the words of ``price_usage``.
        base_url: Scheme and host the request went to; None for the vendor's own.
        usage_raw: The provider's usage object as it was received.
        price_facts: What else of request and response decided the price.
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
    finish_reason: Optional[str] = None
    time_to_first_token: Optional[float] = None
    started_at: Optional[datetime] = None
    estimated_counts: Mapping[str, int] = field(default_factory=dict)
    estimator: Optional[str] = None
    cost_details: Optional[CostDetails] = field(default=None, repr=False)
    price_provider: Optional[str] = None
    api: Optional[str] = None
    base_url: Optional[str] = None
    usage_raw: Any = field(default=None, repr=False)
    price_facts: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, fields: Dict[str, Any]) -> UsageRecord:
        """Make one from its fields by name.

        Args:
            fields: Every field that is not left at its default.

        Returns:
            The record.
        """
        return evolve(_EMPTY, **fields)

    @property
    def estimated(self) -> bool:
        """Whether tokens or cost, or a part of them, are estimates."""
        return bool(self.estimated_counts) or self.usage_status == "estimated"

    @property
    def estimated_cost(self) -> Optional[Decimal]:
        """The part of ``cost`` that is an estimate; None when nothing was estimated or it has no price."""
        if self.usage_status == "estimated":
            return self.cost
        return self.cost_details.estimated if self.cost_details else None

    def to_row(self) -> Dict[str, str]:
        """Write the record as strings by column name.

        Returns:
            One string for each of ``COLUMNS``; an empty one where the value is unknown.
        """
        return dict(zip(COLUMNS, map(as_text, self.values())))

    def values(self) -> List[Any]:
        """List what the cells of its row say, in the order of ``COLUMNS``.

        Returns:
            One value for each column, None where it is unknown.
        """
        own = self.__dict__
        is_estimated = self.estimated
        return [
            *_before_estimate(own),
            is_estimated,
            self.estimated_cost if is_estimated else None,
            *_before_price(own),
            *_price_values(self.cost_details),
            _as_list(self.estimated_counts),
            *_after_price(own),
            _as_document(self.price_facts),
            _as_document(self.usage_raw),
            SCHEMA,
        ]


_EMPTY = UsageRecord(datetime.min, "", "", None, None, None, None, "", "")
#: The fields of a record of which nothing is known.
BLANK: Dict[str, Any] = dict(_EMPTY.__dict__)
_ESTIMATE, _TAGS, _PRICE, _AFTER, _DOCUMENTS = map(
    COLUMNS.index, ("estimated", "tags", next(iter(DETAILS)), "estimator", "price_facts")
)
_Getter = Callable[[Mapping[str, Any]], Sequence[Any]]
_before_estimate: _Getter = itemgetter(*COLUMNS[:_ESTIMATE])
_before_price: _Getter = itemgetter(*COLUMNS[_TAGS:_PRICE])
_after_price: _Getter = itemgetter(*COLUMNS[_AFTER:_DOCUMENTS])
_details: _Getter = itemgetter(*DETAILS.values())
_NO_DETAILS = (None,) * (len(DETAILS) + len(LISTS))


def _price_values(details: Optional[CostDetails]) -> Sequence[Any]:
    if details is None:
        return _NO_DETAILS
    lists = (_as_list(details.counts), _as_list(details.rates), _as_list(details.recorded))
    return (*_details(details.__dict__), *lists, " ".join(details.unpriced))


def as_usage(tokens: Tokens) -> TokenUsage:
    """Read tokens in any of the forms a caller may give them.

    Args:
        tokens: A mapping with the keys ``prompt``, ``completion`` and ``total`` (each may be left out), a
            ``TokenUsage``, or None when nothing is known.

    Returns:
        The usage; a total left out is the sum of the two parts when both are known.

    Raises:
        ValueError: The mapping has another key, or a value that is not a count.
    """
    if isinstance(tokens, TokenUsage):
        return tokens
    if not tokens:
        return MISSING_USAGE
    unknown = sorted(set(tokens) - {"prompt", "completion", "total"})
    if unknown:
        raise ValueError(f"Unknown kinds of tokens: {', '.join(unknown)}. Use prompt, completion and total.")
    prompt, completion, total = (_count(tokens, key) for key in ("prompt", "completion", "total"))
    if total is None and prompt is not None and completion is not None:
        total = prompt + completion
    return TokenUsage(prompt, completion, total)


def _count(tokens: Mapping[str, Optional[int]], key: str) -> Optional[int]:
    count = tokens.get(key)
    if count is None:
        return None
    number = int(count) if hasattr(count, "__index__") and not isinstance(count, bool) else None
    if not is_count(number):
        raise ValueError(
            f"{shown(count)} is not a number of {key} tokens. Use a whole number from 0, or None if unknown."
        )
    return number


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
    if isinstance(moment, datetime):
        return _in_utc(moment)
    if not end_of_day or moment == date.max:
        return _in_utc(datetime.combine(moment, time.max if end_of_day else time.min))
    # The last hour of a day may come twice; the first moment of the next one leaves no doubt.
    return _in_utc(datetime.combine(moment + timedelta(days=1), time.min)) - timedelta(microseconds=1)


def _in_utc(moment: datetime) -> datetime:
    try:
        if moment.tzinfo:
            return moment.astimezone(timezone.utc)
        # astimezone() of Python 3.9 is an hour off where clocks skip one; a float cannot hold microseconds.
        seconds = moment.replace(microsecond=0).timestamp()
        return _EPOCH + timedelta(seconds=seconds, microseconds=moment.microsecond)
    except (OverflowError, ValueError, OSError):  # the first or last days of all calendars mean no limit
        return moment.replace(tzinfo=timezone.utc)


def parse_timestamp(text: str) -> datetime:
    """Read a timestamp of a ledger row.

    Args:
        text: ISO 8601; without a zone it is local time.

    Returns:
        The point in time, with its zone.

    Raises:
        ValueError: The string is not a timestamp, or of a year in which there was no ledger.
    """
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError(f"{text!r} is in the year {moment.year}")
    return moment if moment.tzinfo else _in_utc(moment)


def parse_counts(text: str) -> Dict[str, int]:
    """Read a list of counts of a ledger row.

    Args:
        text: ``in=12 out=3``; empty for none.

    Returns:
        The counts by name.

    Raises:
        ValueError: The string is not such a list.
    """
    pairs = (pair.rpartition("=") for pair in text.split())
    return {name: int(count) for name, _, count in pairs}


_encode_json = json.JSONEncoder(ensure_ascii=False, default=str).encode


def _as_json(value: Any) -> str:
    return _encode_json(value) if value else ""


def _as_document(value: Any) -> str:
    """JSON for programs alone: without spaces, by a writer four times as fast as ``json``."""
    if not value:
        return ""
    try:
        return pydantic_core.to_json(value, fallback=str).decode()
    except ValueError:  # half a character, for instance, which UTF-8 cannot hold
        return _encode_json(value)


@lru_cache(maxsize=8)
def _as_minute(year: int, month: int, day: int, hour: int, minute: int) -> str:
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}"


def _as_moment(value: datetime) -> str:
    """ISO 8601 with microseconds; most rows are of the minute of the row before, whose text is known."""
    if value.tzinfo is not timezone.utc:
        return value.isoformat(timespec="microseconds")
    minute = _as_minute(value.year, value.month, value.day, value.hour, value.minute)
    return "%s:%02d.%06d+00:00" % (minute, value.second, value.microsecond)  # noqa: UP031 (the fastest)


def _as_money(value: Decimal) -> str:
    text = str(value)
    return f"{value:f}" if "E" in text else text  # never 1E-7


#: How a value is written, by its type; one of another type as ``str`` writes it.
WRITERS: Mapping[type, Callable[[Any], str]] = {
    bool: ("false", "true").__getitem__,
    int: str,
    float: "{:.6f}".format,
    Decimal: _as_money,
    datetime: _as_moment,
    dict: _as_json,
    list: _as_json,
}


def as_text(value: Any) -> str:
    """Write a value as the text of a cell.

    Args:
        value: One of ``UsageRecord.values``.

    Returns:
        The text, empty for None.
    """
    return "" if value is None else WRITERS.get(type(value), str)(value)


def _as_list(values: Mapping[str, Any]) -> str:
    if not values:
        return ""
    return " ".join(
        [
            f"{name}={_as_money(value)}" if type(value) is Decimal else f"{name}={value}"
            for name, value in values.items()
        ]
    )
