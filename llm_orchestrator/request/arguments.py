"""The arguments of a call, named once for all four ways of calling, and checked before anything is sent."""

from __future__ import annotations

import inspect
from copy import deepcopy
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Mapping,
    Optional,
    Sequence,
    Type,
    TypeVar,
    Union,
)

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.request.messages import read_messages
from llm_orchestrator.request.output import read_response_format
from llm_orchestrator.request.tools import read_tool_choice, read_tools
from llm_orchestrator.types import JSON, LLMRequest, Message, Messages, checked
from llm_orchestrator.utils.values import evolve

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
    request = evolve(
        _EMPTY_REQUEST,
        messages=read_messages(messages),
        tools=read,
        tool_choice=read_tool_choice(tool_choice, read),
        response_format=output.response_format,
        output_type=output.output_type,
        provider_options=provider_options,
        **{name: checked(name, value) for name, value in given.items() if value is not None},
    )
    return CallArguments(
        request,
        total_timeout=None if total_timeout is None else checked("total_timeout", total_timeout),
        max_retries=None if max_retries is None else checked("max_retries", max_retries),
        fallback=checked("fallback", fallback),
        tags={} if tags is None else checked("tags", tags),
    )


def snapshot(request: LLMRequest) -> LLMRequest:
    """Copy what the caller could still change before a stream is sent."""
    try:
        return evolve(
            request,
            messages=tuple(_message_snapshot(message) for message in request.messages),
            tools=deepcopy(request.tools),
            response_format=deepcopy(request.response_format),
            provider_options=deepcopy(request.provider_options),
        )
    except (TypeError, RecursionError) as error:
        raise InvalidRequestError(
            f"The request holds more than plain data: {error}. Give JSON values."
        ) from error


def _message_snapshot(message: Message) -> Message:
    is_text = message.content is None or isinstance(message.content, str)
    return message if is_text else evolve(message, content=deepcopy(message.content))


def takes_parameters_of(
    template: Callable[Parameters, Any],
) -> Callable[[Callable[..., Result]], Callable[Concatenate[Any, Parameters], Result]]:
    """Give methods that hand their arguments to one function its parameters, for people and checkers."""

    def decorate(method: Callable[..., Result]) -> Callable[Concatenate[Any, Parameters], Result]:
        own = inspect.signature(method)
        parameters = [own.parameters["self"], *inspect.signature(template).parameters.values()]
        method.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]  # inspect reads it
        return method

    return decorate


_EMPTY_REQUEST = LLMRequest(model="", messages=())
