"""The options of a provider entry: defaults for parameters of a call, and fields of the provider's body."""

from __future__ import annotations

from typing import AbstractSet, Any, Tuple

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.types import (
    DROPPABLE_PARAMETERS,
    JSON,
    PARAMETERS,
    LLMRequest,
    checked,
    number_from_text,
)
from llm_orchestrator.utils.json import merged
from llm_orchestrator.utils.suggestions import closest
from llm_orchestrator.utils.values import evolve

__all__ = ["check_entry_options", "check_options", "likely_typos", "near_misses", "with_defaults"]

#: The efforts that providers know.
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
#: Options that are defaults for parameters of a call; all others are fields of the provider's body.
DEFAULTABLE_PARAMETERS = (*DROPPABLE_PARAMETERS, "max_tokens", "stop", "cache")
#: Fields of the provider's body that only the library sets.
RESERVED_OPTIONS = ("model", "messages", "input", "contents", "stream")
#: Settings of the entry and arguments of a call that are not fields of any provider's body.
MISPLACED_OPTIONS = ("timeout", "total_timeout", "max_retries", "fallback", "tags", "extra_headers")


def with_defaults(request: LLMRequest, options: JSON, without: AbstractSet[str] = frozenset()) -> LLMRequest:
    """Fill in what a call does not set from the options of its provider entry."""
    if not options:
        return request
    parameters = {
        name: _read(name, value)
        for name, value in options.items()
        if name in DEFAULTABLE_PARAMETERS and name not in without and getattr(request, name) is None
    }
    others = {name: value for name, value in options.items() if name not in DEFAULTABLE_PARAMETERS}
    return evolve(request, **parameters, provider_options=merged(others, request.provider_options))


def _read(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "cache" and value is False:
        value = "off"  # YAML reads an unquoted `off` as False
    if isinstance(value, str):
        value = number_from_text(name, value)
    try:
        return checked(name, value)
    except InvalidRequestError as error:
        quotes = " If you mean the word, write it in quotes." if isinstance(value, bool) else ""
        raise InvalidRequestError(f"The option {error}{quotes}") from None


def check_entry_options(options: JSON) -> None:
    """Refuse options of an entry that would fail or be ignored in every call."""
    check_options(options)
    for name, value in options.items():
        if name in MISPLACED_OPTIONS:
            raise InvalidRequestError(
                f"The option {name!r} is not a field of the provider's body. Set it in the entry or the call."
            )
        if name in DEFAULTABLE_PARAMETERS:
            _read(name, value)


def likely_typos(options: JSON) -> Tuple[str, ...]:
    """Warn about options that look like a mistyped parameter: the provider may ignore them."""
    found = ((name, closest(name, PARAMETERS)) for name in options)
    return tuple(
        f"{name} is not a parameter of the library and was sent to the provider as it is. "
        f"Did you mean {parameter}?"
        for name, parameter in found
        if parameter
    )


def near_misses(request: LLMRequest) -> Tuple[str, ...]:
    """Warn about a word that looks like a mistyped one; it is sent as it is, for providers may know more."""
    effort = request.reasoning_effort
    if effort is None or effort in EFFORTS:
        return ()
    meant = closest(effort, EFFORTS, cutoff=0.6)
    if meant is None:
        return ()
    return (f"reasoning_effort {effort!r} was sent as it is. Did you mean {meant!r}?",)


def check_options(options: JSON) -> None:
    """Refuse options that would replace what only the library may set."""
    for name in options:
        if name in RESERVED_OPTIONS:
            raise InvalidRequestError(
                f"The option {name!r} would replace what the library sets. Use the call's arguments instead."
            )
