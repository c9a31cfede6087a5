"""The arguments of a call: named once for all four ways of calling, in ``call_arguments``, and checked."""

from __future__ import annotations

from collections import abc
from copy import deepcopy
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Type,
    TypeVar,
    Union,
)

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.request.messages import read_messages
from llm_orchestrator.request.options import check_options
from llm_orchestrator.request.output import read_response_format
from llm_orchestrator.request.tools import read_tool_choice, read_tools
from llm_orchestrator.types import (
    JSON,
    CacheMode,
    Choice,
    Effort,
    LLMRequest,
    Message,
    Messages,
    checked,
)
from llm_orchestrator.types.served_tools import ServedTool, ToolServer
from llm_orchestrator.utils.hidden import hidden
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["CallArguments", "call_arguments", "hide_headers"]

Result = TypeVar("Result")


class CallArguments(NamedTuple):
    """The checked arguments of a call.

    Attributes:
        request: The request; its model is empty when the call does not set one.
        total_timeout: Seconds for the whole call; None for the provider entry's.
        max_retries: Retries on each model; None for the provider entry's.
        fallback: Whether other models of the provider may answer.
        reask: How often an answer that does not fit its type is asked for again.
    """

    request: LLMRequest
    total_timeout: Optional[float]
    max_retries: Optional[int]
    fallback: bool
    reask: int


def hide_headers(arguments: Dict[str, Any]) -> Dict[str, Any]:
    """Keep keys in the extra headers of a call out of tracebacks; the dict is changed where it is."""
    headers = arguments.get("extra_headers")
    if headers is not None and isinstance(headers, abc.Mapping):
        arguments["extra_headers"] = hidden(headers)
    return arguments


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
    tools: Optional[
        Sequence[Union[Callable[..., Any], Type[BaseModel], ToolServer, ServedTool, JSON]]
    ] = None,
    tool_choice: Union[Choice, str, JSON, None] = None,
    parallel_tool_calls: Optional[bool] = None,
    response_format: Any = None,
    reasoning_effort: Union[Effort, str, None] = None,
    logprobs: Union[bool, int, None] = None,
    cache: Optional[CacheMode] = None,
    timeout: Optional[float] = None,
    total_timeout: Optional[float] = None,
    max_retries: Optional[int] = None,
    fallback: bool = True,
    reask: int = 0,
    tags: Optional[Mapping[str, str]] = None,
    extra_headers: Optional[Mapping[str, str]] = None,
    **provider_options: Any,
) -> CallArguments:
    """Read the arguments of a call; ``LLMOrchestrator.send_request`` documents them."""
    given = {  # locals() would take three times as long
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
        "logprobs": logprobs,
        "cache": cache,
        "timeout": timeout,
        "tags": tags,
        "extra_headers": extra_headers,
    }
    turns = read_messages(messages)
    if provider_options:
        check_options(provider_options, turns)
    request = evolve(
        _EMPTY_REQUEST,
        messages=turns,
        provider_options=provider_options,
        **{name: checked(name, value) for name, value in given.items() if value is not None},
    )
    if tools is not None or tool_choice is not None or response_format is not None:
        request = _with_tools_and_output(request, tools, tool_choice, response_format)
    return CallArguments(
        request,
        total_timeout=None if total_timeout is None else checked("total_timeout", total_timeout),
        max_retries=None if max_retries is None else checked("max_retries", max_retries),
        fallback=fallback is True or checked("fallback", fallback),
        reask=0 if reask == 0 else _checked_reask(reask, request),
    )


def _checked_reask(reask: Any, request: LLMRequest) -> int:
    times: int = checked("reask", reask)
    if request.response_format is not None and request.output_type is None:
        raise InvalidRequestError(
            "reask asks again when an answer does not fit its type, and a dict as response_format is not "
            "checked against the answer. Pass a pydantic class or another type, or leave reask out."
        )
    return times


def _with_tools_and_output(
    request: LLMRequest, tools: Any, tool_choice: Any, response_format: Any
) -> LLMRequest:
    checked_tools = read_tools(tools)
    output = read_response_format(response_format)
    return evolve(
        request,
        tools=checked_tools,
        tool_choice=read_tool_choice(tool_choice, checked_tools),
        response_format=output.response_format,
        output_type=output.output_type,
    )


def snapshot(request: LLMRequest) -> LLMRequest:
    """Copy what the caller could still change before the stream is sent."""
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
            f"The request cannot be copied, because not all of it is JSON: {error}. Pass JSON values."
        ) from error


def _message_snapshot(message: Message) -> Message:
    if message.content is None or isinstance(message.content, str):
        return message
    return evolve(message, content=deepcopy(message.content))


_EMPTY_REQUEST = LLMRequest(model="", messages=())
