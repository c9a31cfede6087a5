"""What HTTP can carry as a header."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Tuple

from llm_orchestrator.providers.http.core.reply_headers import ReplyHeaders
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


def reported_headers(headers: Mapping[str, str], redact: Callable[[str], str]) -> Mapping[str, str]:
    """The headers of a reply that an application may want to know."""
    if isinstance(headers, ReplyHeaders) and not headers.changed_by(redact):
        return _ReportedHeaders(headers)
    named = [(_reported_name(name), value) for name, value in headers.items()]
    return {name: redact(value)[:_LONGEST] for name, value in named if name is not None}


class _ReportedHeaders(Mapping[str, str]):
    """Those of a reply without secrets, looked for when they are asked for; as a copy they are a dict."""

    __slots__ = ("_found", "_headers")

    def __init__(self, headers: ReplyHeaders) -> None:
        self._headers = headers
        self._found: Optional[Dict[str, str]] = None

    def _read(self) -> Dict[str, str]:
        if self._found is None:
            chosen = self._headers.chosen(_reported_name)
            self._found = {name: value[:_LONGEST] for name, value in chosen.items()}
        return self._found

    def __getitem__(self, name: str) -> str:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return repr(self._read())

    def __reduce__(self) -> Tuple[Any, ...]:
        return dict, (self._read(),)

    @property
    def __pydantic_serializer__(self) -> Any:
        """How pydantic writes it where it knows no type: as a dict."""
        from pydantic_core import SchemaSerializer, core_schema

        as_dict = core_schema.plain_serializer_function_ser_schema(dict)
        return SchemaSerializer(core_schema.any_schema(serialization=as_dict))


@lru_cache(maxsize=256)
def _reported_name(sent: str) -> Optional[str]:
    """The name in lower case, None where it is not reported; every reply has nearly the same names."""
    name = sent.lower()
    return name if _REPORTED.search(name) else None
