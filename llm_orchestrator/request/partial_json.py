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

#: A string, or else what begins and ends containers; a quotation mark alone begins a string without an end.
_MARKS = r'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\]]'
_OUTSIDE = re.compile(_MARKS, re.DOTALL)
_OUTSIDE_OR_COMMA = re.compile(f"{_MARKS}|,", re.DOTALL)
_IN_STRING = re.compile(r'\\.|"', re.DOTALL)
#: Characters of elements without brackets that are read with every piece; longer ones are cut at a comma.
_LONG = 200
_IN_NUMBERS = "0123456789+-.eE"
_FIRST_OF_NUMBERS = frozenset("0123456789-")
#: Deeper nesting is a mistake of the model, and pydantic does not read it either.
_MOST_LEVELS = 200

Container = Union[Dict[str, Any], List[Any]]


class _Open(NamedTuple):
    """A container that has not ended: its brackets, its finished elements, its key where it is in a dict."""

    bracket: str
    end: str
    elements: Container
    key: Optional[str]


class PartialJSON:
    """The value of a JSON text so far, for as long as it is a dict or a list.

    A string that has not ended is there as far as it has come, a number only once something follows it. Each
    value is a new one; only what is finished in it is shared with those after it.

    Args:
        under: The key of the dict under which the value stands; None where it is the whole of the text.
    """

    def __init__(self, under: Optional[str] = None) -> None:
        self.value: Any = None  # None until it begins
        self._under = under
        self._open: List[_Open] = []
        self._rest = ""  # of the text, after what was added to the containers
        self._last: Any = None  # what the rest was read as
        self._at = 0  # up to where the rest was searched
        self._in_string = False
        self._is_over = False  # it is whole, or it is not JSON

    def feed(self, text: str) -> bool:
        """Read on; whether there is another value now."""
        if self._is_over:
            return False
        self._rest += text
        try:
            if not self._open and not self._begin():
                return False
            value = self._read()
        except ValueError:  # it is not JSON, as whoever parses the whole of it will find
            self._is_over = True
            return False
        return value is not None and self._take(value)

    def _take(self, value: Any) -> bool:
        if self._under is not None and isinstance(value, dict):
            value = value.get(self._under)
        if value is None or value == self.value:
            return False
        self.value = value
        return True

    def _begin(self) -> bool:
        start = start_of_json(self._rest)
        if start is None:
            return False
        self._rest = self._rest[start:]
        return True

    def _read(self) -> Optional[Container]:
        """The value so far; None where it is the same."""
        whole = self._search()
        if whole is not None:
            return whole
        rest = self._rest if self._in_string else _without_number(self._rest)
        last = from_json(_in_bracket(self._open[-1].bracket, rest), allow_partial="trailing-strings")
        if last == self._last:
            return None
        self._last = value = last
        for _, _, elements, key in reversed(self._open):
            whole = {**elements, **value} if isinstance(elements, dict) else [*elements, *value]
            value = _inside(whole, key)
        return whole

    def _search(self) -> Optional[Container]:
        """Find what begins and ends in the text that has come; the whole value where it has ended."""
        while True:
            rest = self._rest
            outside = _OUTSIDE if len(rest) < _LONG else _OUTSIDE_OR_COMMA
            found = (_IN_STRING if self._in_string else outside).search(rest, self._at)
            if found is None:
                self._at = len(rest) - (self._in_string and rest.endswith("\\", self._at))  # half an escape
                return None
            mark, self._at = found[0], found.end()
            if mark == '"':
                self._in_string = not self._in_string
            elif len(mark) == 1 and self._cut(mark):
                self._is_over = True
                return self._open[0].elements

    def _cut(self, mark: str) -> bool:
        """Take off what a bracket or a comma ends; whether that is the whole value."""
        before, self._rest = self._rest[: self._at - 1], self._rest[self._at :]
        self._at, self._last = 0, None
        if mark in "{[":
            self._enter(mark, before)
        elif mark == ",":
            self._add(before, self._open[-1].end)
        else:
            self._add(before, mark)
            return self._leave()
        return False

    def _add(self, text: str, end: str) -> None:
        """Add finished elements to the container that is open; ``end`` is what ends it, or would."""
        around = self._open[-1]
        _extend(around.elements, from_json(_in_bracket(around.bracket, text) + end))

    def _enter(self, bracket: str, before: str) -> None:
        """Open a container, before which stand other elements and its key."""
        if len(self._open) >= _MOST_LEVELS:
            raise ValueError("too many levels")
        key = None
        if self._open:
            self._add(before + "null", self._open[-1].end)
            around = self._open[-1].elements
            key = around.popitem()[0] if isinstance(around, dict) else around.pop()
        end = "}" if bracket == "{" else "]"
        self._open.append(_Open(bracket, end, {} if bracket == "{" else [], key))

    def _leave(self) -> bool:
        if len(self._open) == 1:
            return True
        ended = self._open.pop()
        _extend(self._open[-1].elements, _inside(ended.elements, ended.key))
        return False


def _extend(elements: Any, new: Any) -> None:
    """Add the elements of a container to one of the same kind."""
    if isinstance(elements, dict):
        elements.update(new)
    else:
        elements += new


def _in_bracket(bracket: str, text: str) -> str:
    """Begin a container with elements; a comma divides them from those that it has already."""
    return bracket + text.lstrip().removeprefix(",")


def _inside(value: Container, key: Optional[str]) -> Container:
    """Put a value into a container like the one it stands in."""
    return [value] if key is None else {key: value}


def _without_number(text: str) -> str:
    """Leave out a number at the end, of which more digits may come."""
    before = text.rstrip(_IN_NUMBERS)
    return before if text[len(before) : len(before) + 1] in _FIRST_OF_NUMBERS else text
