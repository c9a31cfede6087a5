"""Rows and sums as Arrow tables, and as Parquet files; needs the extra ``arrow``."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import islice
from typing import IO, Any, Callable, Iterable, Iterator, List, Mapping

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.numbers import is_amount

__all__ = ["to_table", "write_table"]

#: So many rows are in memory at once while a file is written.
BATCH = 5_000
#: Digits of an amount of money, and how many of them are decimals: more than any price has.
PRECISION, SCALE = 38, 20
_PLACES = Decimal(1).scaleb(-SCALE)
_EXACT = Context(prec=PRECISION, rounding=ROUND_HALF_EVEN)
_MOST = 2**63


def to_table(rows: Iterable[Mapping[str, Any]], types: Mapping[str, type]) -> Any:
    """Make a table of rows, with a column for each type."""
    pyarrow = _pyarrow()
    schema = _schema(pyarrow, types)
    batches = [_batch(pyarrow, part, types, schema) for part in _parts(rows)]
    return pyarrow.Table.from_batches(batches, schema=schema)


def write_table(file: IO[bytes], rows: Iterable[Mapping[str, Any]], types: Mapping[str, type]) -> int:
    """Write rows as a Parquet file; returns how many there were."""
    pyarrow = _pyarrow()
    from pyarrow import parquet

    schema, count = _schema(pyarrow, types), 0
    with parquet.ParquetWriter(file, schema) as writer:
        for part in _parts(rows):
            writer.write_batch(_batch(pyarrow, part, types, schema))
            count += len(part)
    return count


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise ConfigurationError(
            'Arrow tables and Parquet files need pyarrow. Run: pip install "llm-orchestrator[arrow]".'
        ) from error
    return pyarrow


def _schema(pyarrow: Any, types: Mapping[str, type]) -> Any:
    text = pyarrow.string()
    columns = {
        str: text,
        object: text,
        int: pyarrow.int64(),
        float: pyarrow.float64(),
        bool: pyarrow.bool_(),
        Decimal: pyarrow.decimal128(PRECISION, SCALE),
        datetime: pyarrow.timestamp("us", tz="UTC"),
        date: pyarrow.date32(),
        dict: pyarrow.map_(text, text),
    }
    return pyarrow.schema([(name, columns[kind]) for name, kind in types.items()])


def _parts(rows: Iterable[Mapping[str, Any]]) -> Iterator[List[Mapping[str, Any]]]:
    remaining = iter(rows)
    return iter(lambda: list(islice(remaining, BATCH)), [])


def _batch(pyarrow: Any, rows: List[Mapping[str, Any]], types: Mapping[str, type], schema: Any) -> Any:
    columns = [
        pyarrow.array([_fitting(row.get(name), types[name]) for row in rows], field.type)
        for name, field in zip(types, schema)
    ]
    return pyarrow.record_batch(columns, schema=schema)


def _fitting(value: Any, kind: type) -> Any:
    """A value as its column takes it; None for what a hand wrote into the file that is not of its kind."""
    if value is None or (kind is not object and not isinstance(value, kind)):
        return None
    return _CELLS[kind](value) if kind in _CELLS else value


def _money(value: Decimal) -> Any:
    return value.quantize(_PLACES, context=_EXACT) if value == 0 or is_amount(value) else None


_CELLS: Mapping[type, Callable[[Any], Any]] = {
    int: lambda number: number if -_MOST <= number < _MOST else None,
    Decimal: _money,
    dict: lambda tags: [(name, str(value)) for name, value in tags.items()],
    object: json.dumps,
}
