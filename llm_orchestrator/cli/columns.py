"""Which columns the output of ``map`` has, and what stands in them."""

from __future__ import annotations

import json
from collections import abc
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.bulk import BulkResult
from llm_orchestrator.exceptions import ConfigurationError

__all__ = ["Columns"]

#: What is known of a result beside the fields of its row.
OWN = ("answer", "vector", "error", "cost", "key")


class Columns:
    """Makes an output row of a result.

    Args:
        wanted: Names such as ``id``, ``answer``, ``answer.label`` or ``mood=answer.label``; empty for all
            fields of the row, then the answer, or the vector, and the error.
        fields: The names of the fields of structured answers, in their order.
        is_flat: Whether each field of a structured answer becomes a column.
        with_error: Whether rows with an error are among the output.
        with_vectors: Whether rows have vectors, not answers.
    """

    def __init__(
        self,
        wanted: Sequence[str],
        fields: Optional[Sequence[str]],
        *,
        is_flat: bool,
        with_error: bool,
        with_vectors: bool = False,
    ) -> None:
        self._wanted = [_named(text) for text in wanted]
        self._fields = fields
        self._is_flat = is_flat
        self._with_error = with_error
        self._shown = "vector" if with_vectors else "answer"

    def of(self, result: BulkResult) -> Dict[str, Any]:
        """The output row."""
        row = _fields_of(result.row)
        own = {
            "answer": self._answer(result),
            "vector": result.vector,
            "error": None if result.error is None else f"{type(result.error).__name__}: {result.error}",
            "cost": None if result.cost is None else format(result.cost, "f"),
            "key": result.key,
        }
        if self._wanted:
            return {name: _look_up(path, row, own) for name, path in self._wanted}
        return self._all(row, own)

    def _answer(self, result: BulkResult) -> Any:
        if self._fields is None or result.content is None:
            return result.content
        try:
            return json.loads(result.content)
        except ValueError:  # cut off, or a refusal in words
            return result.content

    def _all(self, row: Mapping[str, Any], own: Mapping[str, Any]) -> Dict[str, Any]:
        output = dict(row)
        answer = own["answer"]
        if self._is_flat and self._fields is not None:
            given = answer if isinstance(answer, dict) else {}
            for name in self._fields:
                output[f"answer.{name}" if name in row else name] = given.get(name)
        else:
            output["answer.text" if self._shown in row else self._shown] = own[self._shown]
        if self._with_error:
            output["answer.error" if "error" in row else "error"] = own["error"]
        return output


def _named(text: str) -> Tuple[str, List[str]]:
    name, separator, path = text.partition("=")
    source = path if separator else text
    if not name.strip() or not source.strip():
        raise ConfigurationError(
            f"The column {text!r} cannot be read. Write the name of a field, or NAME=FIELD."
        )
    return name.strip(), source.strip().split(".")


def _fields_of(row: Any) -> Mapping[str, Any]:
    return row if isinstance(row, abc.Mapping) else {"row": row}


def _look_up(path: Sequence[str], row: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
    whole = ".".join(path)
    if whole in row:
        return row[whole]
    value: Any = row if path[0] in row else own
    for name in path:
        value = value.get(name) if isinstance(value, abc.Mapping) else None
    return value
