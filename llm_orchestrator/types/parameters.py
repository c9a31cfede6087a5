"""What the value of a parameter may be, the same for a call's arguments and for the options of an entry."""

from __future__ import annotations

from collections import abc
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

__all__ = ["CACHE_MODES", "PARAMETERS", "checked"]

CACHE_MODES = ("auto", "off")


def checked(name: str, value: Any) -> Any:
    """Check a parameter that was given."""
    return _CHECKS[name](name, value)


def _invalid(text: str) -> Exception:
    from llm_orchestrator.exceptions import InvalidRequestError  # which imports these values

    return InvalidRequestError(text)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e300 < value < 1e300:
        raise _invalid(f"{name} is {value!r}. Give a number.")
    number: float = value
    return number


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _invalid(f"{name} is {value!r}. Give a whole number.")
    number: int = value
    return number


def _count(name: str, value: Any, least: int = 1) -> int:
    number = _whole(name, value)
    if number < least:
        raise _invalid(f"{name} is {value!r}. Give a whole number of at least {least}.")
    return number


def _switch(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _invalid(f"{name} is {value!r}. Give True or False.")


def _text(name: str, value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise _invalid(f"{name} is {value!r}. Give a text that is not empty, or leave it out.")


def _seconds(name: str, value: Any) -> float:
    seconds = _number(name, value)
    if seconds <= 0:
        raise _invalid(f"{name} is {value!r}. Give a number of seconds greater than 0.")
    return seconds


def _cache_mode(name: str, value: Any) -> str:
    if value not in CACHE_MODES:
        raise _invalid(f"{name} is {value!r}. Use one of {', '.join(CACHE_MODES)}.")
    mode: str = value
    return mode


def _retries(name: str, value: Any) -> int:
    return _count(name, value, least=0)


def _stop(name: str, value: Any) -> Optional[Tuple[str, ...]]:
    texts: Any = (value,) if isinstance(value, str) else value
    if not isinstance(texts, abc.Sequence) or not all(isinstance(text, str) and text for text in texts):
        raise _invalid(f"stop is {value!r}. Give a text, or a list of texts, none of them empty.")
    return tuple(texts) or None


def _tags(name: str, tags: Any) -> Dict[str, str]:
    return {str(tag): str(value) for tag, value in _mapping(name, tags).items()}


def _headers(name: str, headers: Any) -> Dict[str, str]:
    for header, value in _mapping(name, headers).items():
        if not (isinstance(header, str) and isinstance(value, str)):
            # The value may be a key, so it is not shown.
            raise _invalid(f"{name}[{header!r}] is no text. Give names and values as texts.")
    return dict(headers)


def _mapping(name: str, value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, abc.Mapping):
        raise _invalid(f"{name} is a {type(value).__name__}. Give a mapping of names to texts.")
    return value


_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "model": _text,
    "temperature": _number,
    "max_tokens": _count,
    "top_p": _number,
    "top_k": _count,
    "stop": _stop,
    "seed": _whole,
    "frequency_penalty": _number,
    "presence_penalty": _number,
    "parallel_tool_calls": _switch,
    "reasoning_effort": _text,
    "cache": _cache_mode,
    "timeout": _seconds,
    "extra_headers": _headers,
    "total_timeout": _seconds,
    "max_retries": _retries,
    "fallback": _switch,
    "tags": _tags,
}
#: The names of all parameters of a call but ``messages``.
PARAMETERS = (*_CHECKS, "tools", "tool_choice", "response_format")
