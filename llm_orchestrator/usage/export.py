"""Ledger rows for other programs: CSV files, JSON lines, and dicts with numbers in them."""

from __future__ import annotations

import json
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Mapping

from llm_orchestrator.usage.columns import COLUMNS
from llm_orchestrator.usage.ledger_csv import Row, encode
from llm_orchestrator.usage.record import as_text, parse_timestamp
from llm_orchestrator.utils.atomic_file import atomic_file
from llm_orchestrator.utils.json import read_json

__all__ = ["TYPES", "to_table", "typed", "write_csv", "write_jsonl", "write_parquet"]


def write_csv(path: Path, rows: Iterable[Row]) -> int:
    """Write rows to a new CSV file, which appears only when it is complete."""
    lines = (encode([row.get(column, "") for column in COLUMNS]) for row in rows)
    return _write(path, encode(COLUMNS), lines)


def write_jsonl(path: Path, rows: Iterable[Row]) -> int:
    """Write rows to a new file, each as a JSON object in a line of its own; otherwise as ``write_csv``."""
    # Money stays a string: a JSON number would become a binary fraction in most readers.
    lines = (json.dumps(typed(row), default=as_text).encode() + b"\n" for row in rows)
    return _write(path, b"", lines)


def write_parquet(path: Path, rows: Iterable[Row]) -> int:
    """Write rows to a new Parquet file, some thousands at a time; otherwise as ``write_csv``."""
    from llm_orchestrator.usage import arrow

    with atomic_file(path) as file:
        return arrow.write_table(file, map(typed, rows), TYPES)


def to_table(rows: Iterable[Row]) -> Any:
    """Make an Arrow table of rows."""
    from llm_orchestrator.usage import arrow

    return arrow.to_table(map(typed, rows), TYPES)


def typed(row: Row) -> Dict[str, Any]:
    """Read the strings of a row as the values they are."""
    return {name: _value(name, text) for name, text in row.items()}


def _write(path: Path, header: bytes, lines: Iterable[bytes]) -> int:
    count = 0
    with atomic_file(path) as file:
        file.write(header)
        for line in lines:
            file.write(line)
            count += 1
    return count


def _is_true(text: str) -> bool:
    return text == "true"


def _moment(text: str) -> datetime:
    return parse_timestamp(text).astimezone(timezone.utc)


_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens")
_MONEY = (
    "cost",
    "estimated_cost",
    "input_cost",
    "cache_read_cost",
    "cache_write_cost",
    "output_cost",
    "fees",
)
#: What the values of each column are; those of ``object`` are JSON.
TYPES: Mapping[str, type] = {
    **dict.fromkeys(COLUMNS, str),
    **dict.fromkeys((*_COUNTS, "reasoning_tokens", "attempt", "status_code"), int),
    **dict.fromkeys((*_MONEY, "multiplier", "discount"), Decimal),
    **dict.fromkeys(("latency", "time_to_first_token"), float),
    **dict.fromkeys(("final", "estimated", "streamed", "long_context"), bool),
    **dict.fromkeys(("timestamp", "started_at"), datetime),
    "price_from": date,
    "tags": dict,
    **dict.fromkeys(("price_facts", "usage_raw"), object),
}
_READERS: Mapping[type, Callable[[str], Any]] = {
    str: str,
    int: int,
    Decimal: Decimal,
    float: float,
    bool: _is_true,
    datetime: _moment,
    date: date.fromisoformat,
    dict: read_json,
    object: read_json,
}


def _value(name: str, text: str) -> Any:
    if not text:
        return None
    try:
        return _READERS[TYPES.get(name, str)](text)
    except (ValueError, ArithmeticError):  # a file may have been edited by hand
        return text
