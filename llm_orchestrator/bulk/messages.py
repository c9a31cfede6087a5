"""From a row to the messages that are sent for it: a template, a function, or the row itself."""

from __future__ import annotations

import json
from collections import abc
from string import Formatter
from typing import Any, Callable, List, Optional, Tuple, Union

from llm_orchestrator.exceptions import InvalidMessagesError, InvalidRequestError, OrchestratorError

__all__ = ["Field", "field_of", "fields_of", "function_of", "messages_function"]

#: What a run takes from a row: the name of a field, or a function of the row.
Field = Union[str, Callable[[Any], Any]]


def messages_function(messages: Union[Field, None]) -> Callable[[Any], Any]:
    """Make the function that gives a row's messages."""
    if messages is None:
        return _as_they_are
    return _template(messages) if isinstance(messages, str) else function_of(messages, "messages")


def function_of(given: Any, name: str) -> Callable[[Any], Any]:
    """Make an application's function safe to call: whatever it raises is the error of its row."""
    if not callable(given):
        raise InvalidRequestError(f"{name} is a {type(given).__name__}. Pass a text, a function or None.")

    def call(row: Any) -> Any:
        try:
            return given(row)
        except OrchestratorError:
            raise
        except Exception as error:  # one row's, and the others go on
            raise InvalidMessagesError(
                f"The function {name} failed on this row: {type(error).__name__}: {error}. "
                "Mend it, or the row."
            ) from error

    return call


def field_of(row: Any, field: str) -> Any:
    """Read a field of a row, or say that it is not there."""
    if not isinstance(row, abc.Mapping):
        raise InvalidMessagesError(
            f"The row is a {type(row).__name__} and has no field {field!r}. Pass rows that are objects."
        )
    value = row.get(field)
    if value is None:
        raise InvalidMessagesError(
            f"The row has nothing in the field {field!r}. It has {', '.join(map(str, row)) or 'no field'}."
        )
    return value


def fields_of(messages: Union[Field, None]) -> List[str]:
    """The fields that a template names."""
    return [field for _, field in _pieces(messages) if field is not None] if isinstance(messages, str) else []


def _as_they_are(row: Any) -> Any:
    return row


def _template(text: str) -> Callable[[Any], str]:
    pieces = _pieces(text)

    def fill(row: Any) -> str:
        return "".join(
            literal + ("" if field is None else _as_text(field_of(row, field))) for literal, field in pieces
        )

    return fill


def _pieces(text: str) -> List[Tuple[str, Optional[str]]]:
    try:
        parsed = list(Formatter().parse(text))
    except ValueError as error:
        raise InvalidRequestError(
            f"The template cannot be read: {error}. Write fields as {{name}}, and a brace as {{{{ or }}}}."
        ) from error
    for _, field, form, conversion in parsed:
        if field == "" or form or conversion:
            raise InvalidRequestError(
                "The template has a field without a name, or with a format. Write fields as {name}; for "
                "everything else pass a function."
            )
    return [(literal, field) for literal, field, _, _ in parsed]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
