"""The arguments of a call, named once for all four ways of calling, and checked before anything is sent."""

from __future__ import annotations

import inspect
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
    request = LLMRequest(
        model=_text("model", model) or "",
        messages=read_messages(messages),
        temperature=_number("temperature", temperature),
        max_tokens=_count("max_tokens", max_tokens),
        top_p=_number("top_p", top_p),
        top_k=_count("top_k", top_k),
        stop=stop_texts(stop),
        seed=_whole("seed", seed),
        frequency_penalty=_number("frequency_penalty", frequency_penalty),
        presence_penalty=_number("presence_penalty", presence_penalty),
        tools=read,
        tool_choice=read_tool_choice(tool_choice, read),
        parallel_tool_calls=_switch("parallel_tool_calls", parallel_tool_calls),
        response_format=output.response_format,
        output_type=output.output_type,
        reasoning_effort=_text("reasoning_effort", reasoning_effort),
        cache=_one_of("cache", cache, CACHE_MODES),
        timeout=_seconds("timeout", timeout),
        extra_headers=_headers(extra_headers),
        provider_options=provider_options,
    )
    retries = None if max_retries is None else _count("max_retries", max_retries, least=0)
    total = _seconds("total_timeout", total_timeout)
    return CallArguments(request, total, retries, _switch("fallback", fallback) is not False, _tags(tags))


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


def _number(name: str, value: Any) -> Optional[float]:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e300 < value < 1e300:
        raise InvalidRequestError(f"{name} is {value!r}. Give a number.")
    number: float = value
    return number


def _whole(name: str, value: Any) -> Optional[int]:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequestError(f"{name} is {value!r}. Give a whole number.")
    number: int = value
    return number


def _count(name: str, value: Any, *, least: int = 1) -> Optional[int]:
    number = _whole(name, value)
    if number is not None and number < least:
        raise InvalidRequestError(f"{name} is {value!r}. Give a whole number of at least {least}.")
    return number


def _switch(name: str, value: Any) -> Optional[bool]:
    if value is None or isinstance(value, bool):
        return value
    raise InvalidRequestError(f"{name} is {value!r}. Give True or False.")


def _text(name: str, value: Any) -> Optional[str]:
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    raise InvalidRequestError(f"{name} is {value!r}. Give a text that is not empty, or leave it out.")


def _seconds(name: str, value: Any) -> Optional[float]:
    seconds = _number(name, value)
    if seconds is not None and seconds <= 0:
        raise InvalidRequestError(f"{name} is {value!r}. Give a number of seconds greater than 0.")
    return seconds


def _one_of(name: str, value: Any, allowed: Sequence[str]) -> Optional[str]:
    if value is not None and value not in allowed:
        raise InvalidRequestError(f"{name} is {value!r}. Use one of {', '.join(allowed)}.")
    return value  # type: ignore[no-any-return]  # one of the strings allowed


def _tags(tags: Any) -> Dict[str, str]:
    return {str(name): str(value) for name, value in _mapping("tags", tags).items()}


def _headers(headers: Any) -> Dict[str, str]:
    for name, value in _mapping("extra_headers", headers).items():
        if not (isinstance(name, str) and isinstance(value, str)):
            # The value may be a key, so it is not shown.
            raise InvalidRequestError(f"extra_headers[{name!r}] is no text. Give names and values as texts.")
    return dict(headers or {})


def _mapping(name: str, value: Any) -> Mapping[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequestError(f"{name} is a {type(value).__name__}. Give a mapping of names to texts.")
    return value
