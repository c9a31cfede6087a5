"""The value of a JSON text that is still being written.

pydantic reads unfinished JSON, but from its beginning: with every piece of a long text, that is work without
end. So the containers that are open keep their finished elements, and only the last element is read again.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Optional, Union

from pydantic_core import from_json

from llm_orchestrator.request.json_text import start_of_json

__all__ = ["PartialJSON"]

#: Where a string ends, or what in it is no end; and what begins, parts and ends elements.
_IN_STRING = re.compile(r'\\.|"', re.DOTALL)
_OUTSIDE = re.compile(r'["{}\[\],]')
_IN_NUMBERS = "0123456789+-.eE"
_FIRST_OF_NUMBERS = frozenset("0123456789-")
#: Deeper nesting is a mistake of the model, and pydantic does not read it either.
_MOST_LEVELS = 200

Container = Union[Dict[str, Any], List[Any]]


class _Open(NamedTuple):
    """A container that has not ended: its finished elements, and its key where it stands in a dict."""

    elements: Container
    key: Optional[str]

    @property
    def bracket(self) -> str:
        return "{" if isinstance(self.elements, dict) else "["


class PartialJSON:
    """The value of a JSON text so far, for as long as it is a dict or a list.

    A string that has not ended is there as far as it has come, a number only once something follows it. Each
    value is a new one; only what is finished in it is shared with those after it.
    """

    def __init__(self) -> None:
        self.value: Any = None  # None until the text begins
        self._open: List[_Open] = []
        self._rest = ""  # of the text, after the last finished element
        self._at = 0  # up to where the rest was searched
        self._in_string = False
        self._is_over = False  # it is whole, or it is not JSON

    def feed(self, text: str) -> bool:
        """Read on; whether there is another value now."""
        if self._is_over:
            return False
        before = self.value
        self._rest += text
        try:
            if not self._open and not self._begin():
                return False
            self._search()
            if not self._is_over:
                self.value = self._value_so_far()
        except ValueError:  # it is not JSON, as whoever parses the whole of it will find
            self._is_over = True
        return bool(self.value is not None and (before is None or self.value != before))

    def _begin(self) -> bool:
        start = start_of_json(self._rest)
        if start is None:
            return False
        self._rest = self._rest[start:]
        return True

    def _search(self) -> None:
        """Find what begins and ends in the text that has come."""
        while not self._is_over:
            found = (_IN_STRING if self._in_string else _OUTSIDE).search(self._rest, self._at)
            if found is None:
                self._at = len(self._rest) - self._rest.endswith("\\", self._at)  # half an escape
                return
            mark, self._at = found[0], found.end()
            if mark == '"':
                self._in_string = not self._in_string
            elif not self._in_string:
                self._cut(mark)

    def _cut(self, mark: str) -> None:
        """Take off what ends with a bracket or a comma."""
        element, self._rest, self._at = self._rest[: self._at - 1], self._rest[self._at :], 0
        if mark in "{[":
            self._enter(mark, element)
        elif mark == ",":
            self._finish(element, "}" if self._open[-1].bracket == "{" else "]")
        else:
            self._finish(element, mark)
            self._leave()

    def _enter(self, bracket: str, before: str) -> None:
        if len(self._open) >= _MOST_LEVELS:
            raise ValueError("too many levels")
        key = None
        if self._open and self._open[-1].bracket == "{":
            (key,) = from_json("{" + before + "null}")
        elif before.strip():
            raise ValueError("two elements without a comma")
        self._open.append(_Open({} if bracket == "{" else [], key))

    def _finish(self, element: str, end: str) -> None:
        """Add an element that has ended; ``end`` is what ends its container, or would."""
        around = self._open[-1]
        _add(around.elements, from_json(around.bracket + element + end))

    def _leave(self) -> None:
        ended = self._open.pop()
        if self._open:
            _add(self._open[-1].elements, _inside(ended.elements, ended.key))
        else:
            self.value, self._is_over = ended.elements, True

    def _value_so_far(self) -> Any:
        element = self._rest if self._in_string else _without_number(self._rest)
        value = from_json(self._open[-1].bracket + element, allow_partial="trailing-strings")
        for elements, key in reversed(self._open):
            whole = {**elements, **value} if isinstance(elements, dict) else [*elements, *value]
            value = _inside(whole, key)
        return whole


def _add(elements: Any, new: Any) -> None:
    """Add the elements of a container to one of the same kind."""
    if isinstance(elements, dict):
        elements.update(new)
    else:
        elements += new


def _inside(value: Container, key: Optional[str]) -> Container:
    """Put a value into a container like the one it stands in."""
    return [value] if key is None else {key: value}


def _without_number(text: str) -> str:
    """Leave out a number at the end, of which more digits may come."""
    before = text.rstrip(_IN_NUMBERS)
    return before if text[len(before) : len(before) + 1] in _FIRST_OF_NUMBERS else text
