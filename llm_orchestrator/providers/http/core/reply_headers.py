"""The headers of one reply."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Callable, Dict, ItemsView, Iterator, Mapping, Optional

__all__ = ["ReplyHeaders"]


class ReplyHeaders(Mapping[str, str]):
    """Headers of a reply, looked for in its head when they are asked for: a reply has 24, and two are read.

    Args:
        head: The head as it came, with the end of its last line.
    """

    __slots__ = ("_head", "_lower")

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._lower = head.lower()

    def __getitem__(self, name: str) -> str:
        found = self._find(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _line_start(name) in self._lower

    def get(self, name: str, default: Any = None) -> Any:
        """Look a header up; without the exception that would be made for one that is missing."""
        found = self._find(name)
        return default if found is None else found

    def _find(self, name: str) -> Optional[str]:
        wanted = _line_start(name)
        at = self._lower.find(wanted)
        if at < 0:
            return None
        values = []
        while at >= 0:
            end = self._head.index(b"\r\n", at + len(wanted))
            values.append(self._head[at + len(wanted) : end].strip(b" \t"))
            at = self._lower.find(wanted, end)
        return b", ".join(values).decode("latin-1")

    def items(self) -> ItemsView[str, str]:
        """All headers, names in lower case."""
        return self.chosen(str.lower).items()

    def chosen(self, name_of: Callable[[str], Optional[str]]) -> Dict[str, str]:
        """The headers for whose names, as they were sent, ``name_of`` has one to give, read in one go."""
        read: Dict[str, str] = {}
        for line in self._head.decode("latin-1").split("\r\n")[1:-1]:  # after the status
            sent, _, value = line.partition(":")
            name = name_of(sent)
            if name is not None:
                value = value.strip(" \t")
                read[name] = f"{read[name]}, {value}" if name in read else value
        return read

    def changed_by(self, redact: Callable[[str], str]) -> bool:
        """Whether there is something to redact."""
        head = self._head.decode("latin-1")
        return redact(head) is not head

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self.items()])

    def __len__(self) -> int:
        return len(self.items())

    def __repr__(self) -> str:
        return f"ReplyHeaders({', '.join(self)})"  # without values, which may be secret


@lru_cache(maxsize=256)
def _line_start(name: str) -> bytes:
    return b"\r\n%b:" % name.lower().encode("latin-1", "replace")
