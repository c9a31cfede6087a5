"""What HTTP can carry as a header."""

from __future__ import annotations

import re
from typing import Callable, Dict, Iterator, Mapping, Optional, Tuple, Type

__all__ = ["ReportedHeaders", "fault_of_headers", "is_header_text", "joined_headers"]

#: Parts of the names of reply headers that tell about limits, tracing and time.
_REPORTED = re.compile(
    r"rate-?limit|retry-after|request-?id|trace|correlation|server-timing|processing-ms|cf-ray|service-tier|region"
)
#: Characters of a value that are kept; those that are meant are short.
_LONGEST = 500
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _is_header_name(text: str) -> bool:
    """Whether a string can be the name of a header (RFC 9110, section 5.6.2)."""
    return _NAME.fullmatch(text) is not None


def is_header_text(text: str) -> bool:
    """Whether a string can be the value of a header: printable ASCII without blanks at its ends."""
    return text.isascii() and text.isprintable() and text == text.strip()


def fault_of_headers(headers: Mapping[str, str]) -> Optional[str]:
    """What is wrong with headers, and what to do; no value is shown, which may be a key."""
    known: Dict[str, str] = {}
    for name, value in headers.items():
        if not (_is_header_name(name) and is_header_text(value)):
            return (
                f"the header {name!r} holds what HTTP cannot carry. Use printable ASCII without line breaks, "
                "and without blanks at the ends."
            )
        if known.setdefault(name.lower(), name) != name:
            return f"{known[name.lower()]!r} and {name!r} are one header. Remove one of them."
    return None


def joined_headers(*layers: Mapping[str, str]) -> Dict[str, str]:
    """Headers in which a later layer replaces the earlier ones, in whatever case the names are written."""
    names: Dict[str, str] = {}
    joined: Dict[str, str] = {}
    for layer in layers:
        for name, value in layer.items():
            joined.pop(names.get(name.lower(), name), None)
            names[name.lower()] = name
            joined[name] = value
    return joined


class ReportedHeaders(Mapping[str, str]):
    """The headers of a reply that an application may want to know, sought when one of them is read.

    Args:
        headers: All headers of the reply.
        redact: Takes secrets out of a text.
    """

    __slots__ = ("_headers", "_kept", "_redact")

    def __init__(self, headers: Mapping[str, str], redact: Callable[[str], str]) -> None:
        self._headers = headers
        self._redact = redact
        self._kept: Optional[Dict[str, str]] = None

    def _found(self) -> Dict[str, str]:
        if self._kept is None:
            names = ((name, name.lower()) for name in self._headers)
            reported = {name: self._headers[sent] for sent, name in names if _REPORTED.search(name)}
            self._kept = {name: self._redact(value)[:_LONGEST] for name, value in reported.items()}
        return self._kept

    def __getitem__(self, name: str) -> str:
        return self._found()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found())

    def __len__(self) -> int:
        return len(self._found())

    def __repr__(self) -> str:
        return repr(self._found())

    def __reduce__(self) -> Tuple[Type[Dict[str, str]], Tuple[Dict[str, str]]]:
        return dict, (self._found(),)  # a copy, or one for another process, needs no secrets to seek by
