"""Ledger rows for other programs: CSV files, JSON lines, and dicts with numbers in them."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Mapping

from llm_orchestrator.usage.columns import COLUMNS
from llm_orchestrator.usage.ledger_csv import Row, encode
from llm_orchestrator.utils.atomic_file import atomic_file
from llm_orchestrator.utils.json import read_json

__all__ = ["typed", "write_csv", "write_jsonl"]


def write_csv(path: Path, rows: Iterable[Row]) -> int:
    """Write rows to a new CSV file, which appears only when it is complete."""
    lines = (encode([row.get(column, "") for column in COLUMNS]) for row in rows)
    return _write(path, encode(COLUMNS), lines)


def write_jsonl(path: Path, rows: Iterable[Row]) -> int:
    """Write rows to a new file, each as a JSON object in a line of its own; otherwise as ``write_csv``."""
    # Money stays a string: a JSON number would become a binary fraction in most readers.
    lines = (json.dumps(typed(row), default=_as_string).encode() + b"\n" for row in rows)
    return _write(path, b"", lines)


def typed(row: Row) -> Dict[str, Any]:
    """Read the strings of a row as the values they are."""
    return {name: _value(name, text) for name, text in row.items()}


def _as_string(value: Any) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)


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


_READERS: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens", "attempt", "status_code"), int),
    **dict.fromkeys(("cached_tokens", "cache_write_tokens", "reasoning_tokens"), int),
    **dict.fromkeys(("cost", "estimated_cost", "multiplier", "discount"), Decimal),
    **dict.fromkeys(("input_cost", "cache_read_cost", "cache_write_cost", "output_cost", "fees"), Decimal),
    **dict.fromkeys(("latency", "time_to_first_token"), float),
    **dict.fromkeys(("final", "estimated", "streamed", "long_context"), _is_true),
    **dict.fromkeys(("tags", "price_facts", "usage_raw"), read_json),
}


def _value(name: str, text: str) -> Any:
    if not text:
        return None
    reader = _READERS.get(name)
    try:
        return reader(text) if reader else text
    except (ValueError, ArithmeticError):  # a file may have been edited by hand
        return text
