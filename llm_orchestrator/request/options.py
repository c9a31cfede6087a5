"""Default options of a provider entry: our parameters by name, and fields of the provider's body."""

from __future__ import annotations

from typing import AbstractSet, Any, Callable, Mapping, Tuple

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.types import DROPPABLE_PARAMETERS, JSON, PARAMETERS, LLMRequest, checked
from llm_orchestrator.utils.json import merged
from llm_orchestrator.utils.suggestions import nearly
from llm_orchestrator.utils.values import evolve

__all__ = ["check_entry_options", "check_options", "slips", "with_defaults"]

#: Names in ``options`` that stand for parameters of the call rather than for fields of the provider's body.
DEFAULTABLE_PARAMETERS = (*DROPPABLE_PARAMETERS, "max_tokens", "stop", "cache")
NUMBERS: Mapping[str, Callable[[str], float]] = {
    "temperature": float,
    "max_tokens": int,
    "top_p": float,
    "top_k": int,
    "seed": int,
    "frequency_penalty": float,
    "presence_penalty": float,
}
#: Fields of the providers' bodies that no option may replace.
RESERVED_OPTIONS = ("model", "messages", "input", "contents", "stream")
#: Keys of the entry, and arguments of a call, that would be no fields of any provider's body.
MISPLACED_OPTIONS = ("timeout", "total_timeout", "max_retries", "fallback", "tags", "extra_headers")


def with_defaults(request: LLMRequest, options: JSON, without: AbstractSet[str] = frozenset()) -> LLMRequest:
    """Fill in what a call left open from the options of its provider entry."""
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
        value = "off"  # as YAML reads the word
    if isinstance(value, str) and name in NUMBERS:
        value = _number_of(name, value)  # as it comes out of a variable
    try:
        return checked(name, value)
    except InvalidRequestError as error:
        quotes = " Write it in quotes if you mean the word." if isinstance(value, bool) else ""
        raise InvalidRequestError(f"The option {error}{quotes}") from None


def _number_of(name: str, text: str) -> Any:
    try:
        return NUMBERS[name](text)
    except ValueError:
        return text


def check_entry_options(options: JSON) -> None:
    """Refuse options of an entry that could only fail or be ignored later."""
    check_options(options)
    for name, value in options.items():
        if name in MISPLACED_OPTIONS:
            raise InvalidRequestError(
                f"The option {name!r} is no field of a provider's body. Set it in the entry or the call."
            )
        if name in DEFAULTABLE_PARAMETERS:
            _read(name, value)


def slips(options: JSON) -> Tuple[str, ...]:
    """Say which options look like a slip of the pen: they go to the provider, which may not mind them."""
    found = ((name, nearly(name, PARAMETERS)) for name in options)
    return tuple(
        f"{name} is no parameter of the library and was sent to the provider as it is. Did you mean {meant}?"
        for name, meant in found
        if meant
    )


def check_options(options: JSON) -> None:
    """Refuse options that would replace what only the library may set."""
    for name in options:
        if name in RESERVED_OPTIONS:
            raise InvalidRequestError(
                f"The option {name!r} would replace what the library sets. Use the call's own arguments."
            )
