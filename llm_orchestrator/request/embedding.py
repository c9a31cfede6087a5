"""The arguments of ``embed``, checked."""

from __future__ import annotations

from collections import abc
from typing import Any, Sequence, Tuple, Union

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.request.arguments import CallArguments, checked_fields, checked_if_given
from llm_orchestrator.request.options import check_options
from llm_orchestrator.request.signatures import embedding_parameters
from llm_orchestrator.types import JSON, MODEL_PARAMETERS, EmbeddingRequest, Message
from llm_orchestrator.utils.characters import has_halves
from llm_orchestrator.utils.values import evolve, make

__all__ = ["embedding_arguments", "read_text"]

#: Arguments of ``send_request`` that say nothing about vectors.
OF_ANSWERS = (*MODEL_PARAMETERS, "cache", "fallback", "reask")
#: Fields of the providers' bodies that only the library sets.
RESERVED_OPTIONS = ("content", "encoding_format", "instances", "outputDimensionality", "requests")


def embedding_arguments(texts: Union[str, Sequence[str]], **given: Any) -> CallArguments:
    """Read the arguments of ``embed``; those that ``embedding_parameters`` does not name are options."""
    options = {name: value for name, value in given.items() if name not in _PARAMETERS}
    _check_options(options)
    return CallArguments(
        evolve(
            _EMPTY_REQUEST,
            messages=_read_texts(texts),
            provider_options=options,
            **checked_fields(given, _FIELDS),
        ),
        total_timeout=checked_if_given("total_timeout", given),
        max_retries=checked_if_given("max_retries", given),
        fallback=False,  # vectors of two models do not compare
        reask=0,
    )


def _check_options(options: JSON) -> None:
    check_options(options)
    for name in OF_ANSWERS:
        if name in options:
            raise InvalidRequestError(f"{name!r} is for answers, and no vector depends on it. Leave it out.")
    for name in RESERVED_OPTIONS:
        if name in options:
            raise InvalidRequestError(
                f"The option {name!r} would replace what the library sets. Use the call's arguments instead."
            )


def _read_texts(texts: Union[str, Sequence[str]]) -> Tuple[Message, ...]:
    listed: Any = [texts] if isinstance(texts, str) else texts
    if isinstance(listed, (bytes, bytearray)) or not isinstance(listed, abc.Sequence):
        raise InvalidRequestError(f"texts is a {type(texts).__name__}. Pass a string or a list of strings.")
    if not listed:
        raise InvalidRequestError("texts is empty. Pass at least one text.")
    return tuple(read_text(text, f"texts[{index}]") for index, text in enumerate(listed))


def read_text(text: Any, name: str) -> Message:
    """Read one text; ``name`` is what errors call it."""
    if not isinstance(text, str):
        raise InvalidRequestError(f"{name} is a {type(text).__name__}. Pass strings only.")
    if not text:
        raise InvalidRequestError(f"{name} is empty, which has no vector. Leave it out.")
    if not text.isascii() and has_halves(text):
        raise InvalidRequestError(f"{name} holds half a character. Pass whole characters.")
    return make(Message, role="user", content=text)


_EMPTY_REQUEST = EmbeddingRequest(model="", messages=())
_PARAMETERS = frozenset(embedding_parameters.__kwdefaults__ or ())
_FIELDS = _PARAMETERS.intersection(EmbeddingRequest.__dataclass_fields__)
