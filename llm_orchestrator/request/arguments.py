"""The arguments of a call, checked: those that ``call_parameters`` names, and options of the provider."""

from __future__ import annotations

from collections import abc
from copy import deepcopy
from typing import AbstractSet, Any, Dict, Mapping, NamedTuple, Optional

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.request.messages import read_messages
from llm_orchestrator.request.options import check_options
from llm_orchestrator.request.output import read_response_format
from llm_orchestrator.request.signatures import call_parameters
from llm_orchestrator.request.tools import read_tool_choice, read_tools
from llm_orchestrator.types import LLMRequest, Message, Messages, checked
from llm_orchestrator.utils.hidden import hidden
from llm_orchestrator.utils.values import evolve

__all__ = [
    "CallArguments",
    "call_arguments",
    "checked_fields",
    "checked_if_given",
    "hide_headers",
    "snapshot",
]


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


def call_arguments(messages: Messages, **given: Any) -> CallArguments:
    """Read the arguments of a call; those that ``call_parameters`` does not name are provider options."""
    turns = read_messages(messages)
    options = {name: value for name, value in given.items() if name not in _PARAMETERS}
    if options:
        check_options(options, turns)
    request = evolve(
        _EMPTY_REQUEST, messages=turns, provider_options=options, **checked_fields(given, _FIELDS)
    )
    if not _OF_TOOLS_AND_OUTPUT.isdisjoint(given):
        request = _with_tools_and_output(request, **{name: given.get(name) for name in _OF_TOOLS_AND_OUTPUT})
    fallback, reask = given.get("fallback", True), given.get("reask", 0)
    return CallArguments(
        request,
        total_timeout=checked_if_given("total_timeout", given),
        max_retries=checked_if_given("max_retries", given),
        fallback=fallback is True or checked("fallback", fallback),
        reask=0 if reask == 0 else _checked_reask(reask, request),
    )


def checked_fields(given: Mapping[str, Any], names: AbstractSet[str]) -> Dict[str, Any]:
    """The arguments of these names, which are fields of a request."""
    return {
        name: checked(name, value) for name, value in given.items() if value is not None and name in names
    }


def checked_if_given(name: str, given: Mapping[str, Any]) -> Any:
    """One argument; None where it is not given."""
    value = given.get(name)
    return None if value is None else checked(name, value)


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
_PARAMETERS = frozenset(call_parameters.__kwdefaults__ or ())
_OF_TOOLS_AND_OUTPUT = frozenset(("tools", "tool_choice", "response_format"))
#: Those that a request holds as they are given, once they are checked.
_FIELDS = _PARAMETERS.intersection(LLMRequest.__dataclass_fields__) - _OF_TOOLS_AND_OUTPUT
