"""The arguments of ``embed``, checked."""

from __future__ import annotations

from collections import abc
from typing import Any, Mapping, Optional, Sequence, Tuple, Union

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.request.arguments import CallArguments
from llm_orchestrator.request.options import check_options
from llm_orchestrator.types import EmbeddingRequest, Message, checked
from llm_orchestrator.utils.characters import has_halves
from llm_orchestrator.utils.values import evolve, make

__all__ = ["embedding_arguments", "read_text"]

#: Fields of the providers' bodies that only the library sets.
RESERVED_OPTIONS = ("content", "encoding_format", "instances", "outputDimensionality", "requests")


def embedding_arguments(
    texts: Union[str, Sequence[str]],
    *,
    model: Optional[str] = None,
    dimensions: Optional[int] = None,
    batch_size: Optional[int] = None,
    timeout: Optional[float] = None,
    total_timeout: Optional[float] = None,
    max_retries: Optional[int] = None,
    tags: Optional[Mapping[str, str]] = None,
    extra_headers: Optional[Mapping[str, str]] = None,
    **provider_options: Any,
) -> CallArguments:
    """Read the arguments of a call; ``LLMOrchestrator.embed`` documents them."""
    given = locals()
    check_options(provider_options)
    for name in RESERVED_OPTIONS:
        if name in provider_options:
            raise InvalidRequestError(
                f"The option {name!r} would replace what the library sets. Use the call's arguments instead."
            )
    return CallArguments(
        evolve(
            _EMPTY_REQUEST,
            messages=_read_texts(texts),
            provider_options=provider_options,
            **{name: checked(name, given[name]) for name in _REQUEST_FIELDS if given[name] is not None},
        ),
        total_timeout=None if total_timeout is None else checked("total_timeout", total_timeout),
        max_retries=None if max_retries is None else checked("max_retries", max_retries),
        fallback=False,  # vectors of two models do not compare
        reask=0,
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
_REQUEST_FIELDS = ("model", "dimensions", "batch_size", "timeout", "tags", "extra_headers")
