"""Default options of a provider entry: our parameters by name, and fields of the provider's body."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.providers.content import CACHE_MODES, merged, stop_texts
from llm_orchestrator.types import DROPPABLE_PARAMETERS, JSON, LLMRequest, changed

__all__ = ["check_options", "with_defaults"]

#: Names in ``options`` that stand for parameters of the call rather than for fields of the provider's body.
DEFAULTABLE_PARAMETERS = (*DROPPABLE_PARAMETERS, "max_tokens", "stop", "cache")
#: Fields of the providers' bodies that no option may replace.
RESERVED_OPTIONS = ("model", "messages", "input", "contents", "stream")


def with_defaults(request: LLMRequest, options: JSON) -> LLMRequest:
    """Fill in what a call left open from the options of its provider entry.

    Args:
        request: The call.
        options: The entry's options.

    Returns:
        The call with the entry's parameters where it set none, and the entry's other options below its own.
    """
    if not options:
        return request
    parameters = {
        name: READERS[name](value) if name in READERS else value
        for name, value in options.items()
        if name in DEFAULTABLE_PARAMETERS and name not in request.without and getattr(request, name) is None
    }
    others = {name: value for name, value in options.items() if name not in DEFAULTABLE_PARAMETERS}
    return changed(request, **parameters, provider_options=merged(others, request.provider_options))


def _cache_mode(value: Any) -> Any:
    mode = "off" if value is False else value  # YAML reads the word off as false
    if mode is not None and mode not in CACHE_MODES:
        raise InvalidRequestError(
            f"The option cache is {value!r}. Use {' or '.join(CACHE_MODES)}, or leave it out."
        )
    return mode


def _effort(value: Any) -> Any:
    if value is not None and not isinstance(value, str):
        raise InvalidRequestError(
            f"The option reasoning_effort is {value!r}. Give a text, in quotes where YAML reads no text."
        )
    return value


#: What reads the options that are more than numbers.
READERS: Mapping[str, Callable[[Any], Any]] = {
    "cache": _cache_mode,
    "reasoning_effort": _effort,
    "stop": stop_texts,
}


def check_options(options: JSON) -> None:
    """Refuse options that would replace what only the library may set.

    Args:
        options: The options of the entry and the call.

    Raises:
        InvalidRequestError: One of them would.
    """
    for name in options:
        if name in RESERVED_OPTIONS:
            raise InvalidRequestError(
                f"The option {name!r} would replace what the library sets. Use the call's own arguments."
            )
