"""What HTTP can carry as a header."""

from __future__ import annotations

from functools import lru_cache
from typing import Callable, Dict, Mapping, Optional

from llm_orchestrator.utils.lazy import LazyPattern

__all__ = ["fault_of_headers", "is_header_text", "joined_headers", "reported_headers"]

#: Parts of the names of reply headers that tell about limits, tracing and time.
_REPORTED = LazyPattern(
    r"rate-?limit|retry-after|request-?id|trace|correlation|server-timing|processing-ms|cf-ray|service-tier|region"
)
#: Characters of a value that are kept; those that are meant are short.
_LONGEST = 500
_NAME = LazyPattern(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


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


@lru_cache(maxsize=1024)  # a host sends the same names with every reply
def _reported_name(name: str) -> Optional[str]:
    """The name in lower case of a header that an application may want to know, None for others."""
    lower = name.lower()
    return lower if _REPORTED.search(lower) else None


def reported_headers(headers: Mapping[str, str], redact: Callable[[str], str]) -> Dict[str, str]:
    """The headers of a reply that an application may want to know, without secrets."""
    names = ((_reported_name(name), name) for name in headers)
    return {name: redact(headers[sent])[:_LONGEST] for name, sent in names if name is not None}
