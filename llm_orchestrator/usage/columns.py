"""The columns of the ledger: its header, and how much of a row each reader needs.

The columns that a report reads come first, those that only an audit needs after them, JSON last.
"""

from __future__ import annotations

__all__ = [
    "COLUMNS",
    "DETAILS",
    "DETAIL_COLUMNS",
    "END_OF_ROW",
    "REPORT_COLUMNS",
    "REQUIRED_COLUMNS",
    "SCHEMA",
]

#: Version of the columns. It is written as the last cell and is like no other cell, so that a row cut
#: anywhere is recognised.
SCHEMA = "v2"
END_OF_ROW = f",{SCHEMA}\n"

#: What a CSV file must have to serve as a ledger.
REQUIRED_COLUMNS = (
    "timestamp",
    "provider",
    "model",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cost",
    "session_id",
)
#: What a report reads.
REPORT_COLUMNS = (
    *REQUIRED_COLUMNS,
    "call_id",
    "attempt",
    "final",
    "usage_status",
    "price_status",
    "estimated",
    "estimated_cost",
    "tags",
)
#: Columns that hold a field of ``CostDetails``, and its name there.
DETAILS = {
    "priced_model": "model",
    "match": "match",
    "price_source": "source",
    "price_version": "price_version",
    "price_from": "period_from",
    "service_tier": "tier",
    "long_context": "long_context",
    "multiplier": "multiplier",
    "discount": "discount",
    "input_cost": "input",
    "cache_read_cost": "cache_read",
    "cache_write_cost": "cache_write",
    "output_cost": "output",
    "fees": "fees",
}
#: Columns that hold lists of it.
LISTS = ("counts", "rates", "recorded", "unpriced")
#: The header of a ledger.
COLUMNS = (
    *REPORT_COLUMNS,
    "status",
    "error_type",
    "status_code",
    "finish_reason",
    "request_id",
    "requested_model",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    *DETAILS,
    *LISTS,
    "estimated_counts",
    "estimator",
    "streamed",
    "latency",
    "time_to_first_token",
    "started_at",
    "price_provider",
    "api",
    "base_url",
    "price_facts",
    "usage_raw",
    "schema",
)
#: What a page with charts reads: everything before the columns of JSON.
DETAIL_COLUMNS = COLUMNS[: COLUMNS.index("time_to_first_token") + 1]
