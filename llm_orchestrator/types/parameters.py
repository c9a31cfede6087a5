"""What values the parameters of a call may have, in its arguments and in the options of a provider entry."""

from __future__ import annotations

from collections import abc
from typing import Any, Callable, Dict, Literal, Mapping, Optional, Tuple, Union, get_args

from llm_orchestrator.utils.hidden import hidden

__all__ = [
    "CACHE_MODES",
    "CHECKED_PARAMETERS",
    "CHOICES",
    "EFFORTS",
    "PARAMETERS",
    "CacheMode",
    "Choice",
    "Effort",
    "checked",
    "number_from_text",
]

CacheMode = Literal["auto", "1h", "off"]
CACHE_MODES: Tuple[str, ...] = get_args(CacheMode)
#: Words that some provider knows; others are sent as they are.
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
EFFORTS: Tuple[str, ...] = get_args(Effort)
#: What may be said of all tools; anything else chooses one.
Choice = Literal["auto", "none", "required"]
CHOICES: Tuple[str, ...] = get_args(Choice)


def checked(name: str, value: Any) -> Any:
    """Check the value of a parameter; returns it in the form that requests hold."""
    return _ALL_CHECKS[name](name, value)


def number_from_text(name: str, text: str) -> Any:
    """Read a string as a number where the parameter is one: environment variables are always strings."""
    if _CHECKS[name] not in _NUMBERS:
        return text
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _invalid(text: str) -> Exception:
    from llm_orchestrator.exceptions import InvalidRequestError  # which imports this package

    return InvalidRequestError(text)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e300 < value < 1e300:
        raise _invalid(f"{name} is {value!r}. Use a number.")
    number: float = value
    return number


def _integer(name: str, value: Any, least: Optional[int] = None) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON, YAML and data frames make 40.0 of 40
    if isinstance(value, bool) or not isinstance(value, int):
        raise _invalid(f"{name} is {value!r}. Use a whole number.")
    if least is not None and value < least:
        raise _invalid(f"{name} is {value!r}. Use a whole number of at least {least}.")
    number: int = value
    return number


def _count(name: str, value: Any) -> int:
    return _integer(name, value, least=1)


#: More of them are a mistake, in a call as in the configuration.
MOST_RETRIES = 1000


def _retries(name: str, value: Any) -> int:
    retries = _integer(name, value, least=0)
    if retries > MOST_RETRIES:
        raise _invalid(f"{name} is {value!r}. Use a whole number of at most {MOST_RETRIES}.")
    return retries


def _seconds(name: str, value: Any) -> float:
    seconds = _number(name, value)
    if seconds <= 0:
        raise _invalid(f"{name} is {value!r}. Use a number of seconds greater than 0.")
    return seconds


def _switch(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _invalid(f"{name} is {value!r}. Use True or False.")


def _string(name: str, value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise _invalid(f"{name} is {value!r}. Use a string that is not empty, or leave it out.")


def _logprobs(name: str, value: Any) -> Union[bool, int, None]:
    if isinstance(value, bool):
        return value or None
    return _integer(name, value, least=1)


def _cache_mode(name: str, value: Any) -> str:
    if value not in CACHE_MODES:
        raise _invalid(f"{name} is {value!r}. Use one of {', '.join(CACHE_MODES)}.")
    mode: str = value
    return mode


def _stop(name: str, value: Any) -> Optional[Tuple[str, ...]]:
    strings: Any = (value,) if isinstance(value, str) else value
    if not isinstance(strings, abc.Sequence) or not all(isinstance(item, str) and item for item in strings):
        raise _invalid(f"stop is {value!r}. Use a string, or a list of strings, none of them empty.")
    return tuple(strings) or None


def _tags(name: str, tags: Any) -> Dict[str, str]:
    return {str(tag): str(value) for tag, value in _mapping(name, tags).items()}


def _headers(name: str, headers: Any) -> Dict[str, str]:
    for header, value in _mapping(name, headers).items():
        if not (isinstance(header, str) and isinstance(value, str)):
            # The value may be a key, so it is not shown.
            raise _invalid(f"{name}[{header!r}] is not a string. Use strings for header names and values.")
    return hidden(headers)


def _mapping(name: str, value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, abc.Mapping):
        raise _invalid(f"{name} is a {type(value).__name__}. Use a mapping of names to strings.")
    return value


_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "model": _string,
    "temperature": _number,
    "max_tokens": _count,
    "top_p": _number,
    "top_k": _count,
    "stop": _stop,
    "seed": _integer,
    "frequency_penalty": _number,
    "presence_penalty": _number,
    "parallel_tool_calls": _switch,
    "reasoning_effort": _string,
    "logprobs": _logprobs,
    "cache": _cache_mode,
    "timeout": _seconds,
    "extra_headers": _headers,
    "total_timeout": _seconds,
    "max_retries": _retries,
    "fallback": _switch,
    "reask": _retries,
    "tags": _tags,
}
#: Those of ``embed`` and of loops of tools alone.
_OTHER_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "dimensions": _count,
    "batch_size": _count,
    "tool_timeout": _seconds,
}
_ALL_CHECKS = {**_CHECKS, **_OTHER_CHECKS}
#: The checks of parameters that are numbers.
_NUMBERS = (_number, _integer, _count)
#: The parameters of a call that ``checked`` checks.
CHECKED_PARAMETERS = tuple(_CHECKS)
#: All parameters of a call except ``messages``.
PARAMETERS = (*CHECKED_PARAMETERS, "tools", "tool_choice", "response_format")
