"""Rows on their way: from the texts of a ledger's line to the values of a row in the database, and back.

What a column cannot hold exactly as it is written stands in ``detail`` too: an export is then the same from
a database and from a CSV ledger.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Dict, Mapping
from uuid import UUID

from llm_orchestrator.usage.columns import COLUMNS, SCHEMA
from llm_orchestrator.usage.database.schema import DETAIL, TYPED
from llm_orchestrator.usage.export import TYPES, typed
from llm_orchestrator.usage.groups import tags_of
from llm_orchestrator.usage.record import as_text

__all__ = ["row_of", "values_of"]

_MOST = 2**63
#: Characters of a session that are indexed: PostgreSQL refuses a row whose index entry is longer than 2.7 kB.
_INDEXED = 500
_ALWAYS = {"provider": "", "model": "", "session_id": ""}  # columns that are never NULL


def values_of(row_id: UUID, row: Mapping[str, str]) -> Dict[str, Any]:
    """The values of a row of the database, from the cells of a ledger's row by name."""
    texts = {name: row.get(name, "") for name in TYPED}
    detail = {name: row[name] for name in DETAIL if row.get(name)}
    if row.get("schema") == SCHEMA:
        del detail["schema"]  # as it is with nearly all rows
    else:
        detail["schema"] = row.get("schema", "")
    values: Dict[str, Any] = {"id": row_id}
    for name, value in typed(texts).items():
        text = texts[name]
        values[name] = stored = _storable(name, text, value)
        if text and (stored is None or as_text(stored) != text or name == "tags"):
            detail[name] = text  # a map of tags comes back in another order
    for name, empty in _ALWAYS.items():
        values[name] = empty if values[name] is None else values[name]
    values["detail"] = detail or None
    return values


def _storable(name: str, text: str, value: Any) -> Any:
    """A value as its column takes it; None for what is not of its kind."""
    kind: Any = TYPES[name]
    if not isinstance(value, kind):
        return None
    if kind is dict:
        return dict(tags_of(text))
    if kind is int:
        return value if -_MOST <= value < _MOST else None
    if kind is Decimal:
        return value if value.is_finite() else None
    return value[:_INDEXED] if name == "session_id" else value


def row_of(values: Mapping[str, Any]) -> Dict[str, str]:
    """The cells of a ledger's row by name, from the values of a row of the database."""
    detail = values["detail"] or {}
    cells = {name: as_text(values[name]) for name in TYPED}
    cells.update(detail)
    cells["schema"] = detail.get("schema", SCHEMA)
    return {name: cells.get(name, "") for name in COLUMNS}
