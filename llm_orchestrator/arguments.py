"""The arguments of a call, named once for all four ways of calling, and checked before anything is sent."""

from __future__ import annotations

import inspect
from collections import abc
from copy import deepcopy
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
    Union,
)

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.messages import read_messages
from llm_orchestrator.providers.content import CACHE_MODES, stop_texts
from llm_orchestrator.structured import read_response_format
from llm_orchestrator.tools import read_tool_choice, read_tools
from llm_orchestrator.types import JSON, LLMRequest, Message, Messages, changed

if TYPE_CHECKING:
    from pydantic import BaseModel
    from typing_extensions import Concatenate, ParamSpec

    Parameters = ParamSpec("Parameters")

__all__ = ["CallArguments", "call_arguments", "takes_parameters_of"]

Result = TypeVar("Result")


@dataclass(frozen=True)
class CallArguments:
    """What an application asked for, checked.

    Attributes:
        request: The request; its model is empty when the call names none.
        total_timeout: Seconds for the whole call; None for the provider entry's.
        max_retries: Retries on each model; None for the provider entry's.
        fallback: Whether other models of the provider may answer.
        tags: The caller's own marks for the ledger.
    """

    request: LLMRequest
    total_timeout: Optional[float]
    max_retries: Optional[int]
    fallback: bool
    tags: Mapping[str, str]


def call_arguments(
    messages: Messages,
    *,
    model: Optional[str] = None,
    temperature: Optional[float] = None,
    max_tokens: Optional[int] = None,
    top_p: Optional[float] = None,
    top_k: Optional[int] = None,
    stop: Union[str, Sequence[str], None] = None,
    seed: Optional[int] = None,
    frequency_penalty: Optional[float] = None,
    presence_penalty: Optional[float] = None,
    tools: Optional[Sequence[Union[Callable[..., Any], Type[BaseModel], JSON]]] = None,
    tool_choice: Union[str, JSON, None] = None,
    parallel_tool_calls: Optional[bool] = None,
    response_format: Union[Type[BaseModel], JSON, None] = None,
    reasoning_effort: Optional[str] = None,
    cache: Optional[str] = None,
    timeout: Optional[float] = None,
    total_timeout: Optional[float] = None,
    max_retries: Optional[int] = None,
    fallback: bool = True,
    tags: Optional[Mapping[str, str]] = None,
    extra_headers: Optional[Mapping[str, str]] = None,
    **provider_options: Any,
) -> CallArguments:
    """Read the arguments of a call; ``LLMOrchestrator.send_request`` documents them."""
    read = read_tools(tools)
    output = read_response_format(response_format)
    given = {
        "model": model,
        "temperature": temperature,
        "max_tokens": max_tokens,
        "top_p": top_p,
        "top_k": top_k,
        "stop": stop,
        "seed": seed,
        "frequency_penalty": frequency_penalty,
        "presence_penalty": presence_penalty,
        "parallel_tool_calls": parallel_tool_calls,
        "reasoning_effort": reasoning_effort,
        "cache": cache,
        "timeout": timeout,
        "extra_headers": extra_headers,
    }
    request = changed(
        _EMPTY_REQUEST,
        messages=read_messages(messages),
        tools=read,
        tool_choice=read_tool_choice(tool_choice, read),
        response_format=output.response_format,
        output_type=output.output_type,
        provider_options=provider_options,
        **{name: _CHECKS[name](name, value) for name, value in given.items() if value is not None},
    )
    retries = None if max_retries is None else _count("max_retries", max_retries, least=0)
    total = None if total_timeout is None else _seconds("total_timeout", total_timeout)
    return CallArguments(
        request, total, retries, _switch("fallback", fallback), {} if tags is None else _tags(tags)
    )


def owned(request: LLMRequest) -> LLMRequest:
    """Copy what the caller could still change before a stream is sent.

    Args:
        request: The request of a stream.

    Returns:
        The request, none of whose lists and dicts belong to the caller.

    Raises:
        InvalidRequestError: Something in it is no plain data.
    """
    try:
        return changed(
            request,
            messages=tuple(_owned_message(message) for message in request.messages),
            tools=deepcopy(request.tools),
            response_format=deepcopy(request.response_format),
            provider_options=deepcopy(request.provider_options),
        )
    except (TypeError, RecursionError) as error:
        raise InvalidRequestError(
            f"The request holds more than plain data: {error}. Give JSON values."
        ) from error


def _owned_message(message: Message) -> Message:
    is_text = message.content is None or isinstance(message.content, str)
    return message if is_text else changed(message, content=deepcopy(message.content))


def takes_parameters_of(
    template: Callable[Parameters, Any],
) -> Callable[[Callable[..., Result]], Callable[Concatenate[Any, Parameters], Result]]:
    """Give methods that hand their arguments to one function its parameters, for people and checkers.

    Args:
        template: The function whose parameters the methods take.

    Returns:
        A decorator for methods that take ``messages`` and ``**arguments``.
    """

    def decorate(method: Callable[..., Result]) -> Callable[Concatenate[Any, Parameters], Result]:
        own = inspect.signature(method)
        parameters = [own.parameters["self"], *inspect.signature(template).parameters.values()]
        method.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]  # inspect reads it
        return method

    return decorate


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e300 < value < 1e300:
        raise InvalidRequestError(f"{name} is {value!r}. Give a number.")
    return value


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequestError(f"{name} is {value!r}. Give a whole number.")
    return value


def _count(name: str, value: Any, *, least: int = 1) -> int:
    number = _whole(name, value)
    if number < least:
        raise InvalidRequestError(f"{name} is {value!r}. Give a whole number of at least {least}.")
    return number


def _switch(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise InvalidRequestError(f"{name} is {value!r}. Give True or False.")


def _text(name: str, value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise InvalidRequestError(f"{name} is {value!r}. Give a text that is not empty, or leave it out.")


def _seconds(name: str, value: Any) -> float:
    seconds = _number(name, value)
    if seconds <= 0:
        raise InvalidRequestError(f"{name} is {value!r}. Give a number of seconds greater than 0.")
    return seconds


def _cache_mode(name: str, value: Any) -> str:
    if value not in CACHE_MODES:
        raise InvalidRequestError(f"{name} is {value!r}. Use one of {', '.join(CACHE_MODES)}.")
    mode: str = value
    return mode


def _stop(name: str, value: Any) -> Optional[Tuple[str, ...]]:
    return stop_texts(value)


def _tags(tags: Any) -> Dict[str, str]:
    return {str(name): str(value) for name, value in _mapping("tags", tags).items()}


def _headers(name: str, headers: Any) -> Dict[str, str]:
    for header, value in _mapping(name, headers).items():
        if not (isinstance(header, str) and isinstance(value, str)):
            # The value may be a key, so it is not shown.
            raise InvalidRequestError(f"{name}[{header!r}] is no text. Give names and values as texts.")
    return dict(headers)


def _mapping(name: str, value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, abc.Mapping):
        raise InvalidRequestError(f"{name} is a {type(value).__name__}. Give a mapping of names to texts.")
    return value


_EMPTY_REQUEST = LLMRequest(model="", messages=())
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
}
