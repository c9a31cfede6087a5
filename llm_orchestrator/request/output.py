"""Structured output: reads ``response_format`` as a JSON schema, and parses the answer into its type."""

from __future__ import annotations

from collections import abc
from typing import Any, NamedTuple, Optional

from llm_orchestrator.exceptions import InvalidRequestError, OutputParseError, OutputTruncatedError
from llm_orchestrator.request.json_text import json_in
from llm_orchestrator.request.output_type import WRAPPED_UNDER, is_type, output_type_of
from llm_orchestrator.types import JSON, FinishReason, LLMRequest, LLMResponse
from llm_orchestrator.utils.values import evolve

__all__ = ["OutputFormat", "parse_output", "read_response_format", "what_is_wrong", "wrapped_under"]

#: Faults of an output that its error names.
MOST_FAULTS = 5
FORMATS = ("json_object", "json_schema", "text")


class OutputFormat(NamedTuple):
    """The ``response_format`` to send, and the type to parse the answer into."""

    response_format: Optional[JSON]
    output_type: Any


def read_response_format(value: Any) -> OutputFormat:
    """Read the ``response_format`` of a call."""
    if value is None:
        return OutputFormat(None, None)
    if isinstance(value, abc.Mapping):
        if value.get("type") not in FORMATS:
            raise InvalidRequestError(
                f"response_format has the type {value.get('type')!r}. Use one of {', '.join(FORMATS)}."
            )
        return OutputFormat(None if value["type"] == "text" else value, None)
    if not is_type(value):
        raise InvalidRequestError(
            f"response_format is a {type(value).__name__}. Pass a pydantic class, another type that pydantic "
            "can check, or an OpenAI Chat dict."
        )
    output = output_type_of(value)
    schema = {"name": output.schema_name, "schema": output.schema, "strict": True}
    return OutputFormat({"type": "json_schema", "json_schema": schema}, value)


def wrapped_under(request: LLMRequest) -> Optional[str]:
    """The key under which the answer's value stands; None where it is the whole of the JSON."""
    given = request.output_type
    return WRAPPED_UNDER if given is not None and output_type_of(given).is_wrapped else None


def what_is_wrong(error: Exception, most: int = MOST_FAULTS) -> str:
    """Name the fields that do not fit, and why: ``address.city: Field required``."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return f"{type(error).__name__} in a validator"
    faults = [
        ": ".join([".".join(str(step) for step in fault["loc"]), fault["msg"]]).removeprefix(": ")
        for fault in error.errors(include_url=False, include_input=False)
    ]
    more = [f"and {len(faults) - most} more"] if len(faults) > most else []
    return "; ".join([*faults[:most], *more])


def parse_output(response: LLMResponse, request: LLMRequest) -> LLMResponse:
    """Turn the text of an answer into a value of the type that was asked for."""
    if request.output_type is None or response.refusal is not None:
        return response
    if response.finish_reason in (FinishReason.TOOL_CALLS, FinishReason.CONTENT_FILTER):
        return response
    fields = {"provider": response.provider, "model": response.model, "request_id": response.request_id}
    if response.finish_reason is FinishReason.LENGTH:
        raise OutputTruncatedError(
            "The model reached its token limit before the output was complete. Raise max_tokens; the text so "
            "far is in .response.content.",
            response=response,
            **fields,
        )
    try:
        return evolve(response, parsed=output_type_of(request.output_type).read(json_in(response.content)))
    except Exception as error:  # a validator may raise anything, and the answer was paid for
        raise OutputParseError(
            f"The output is not a valid {output_type_of(request.output_type).name}: {what_is_wrong(error)}. "
            "Read it in .response.content.",
            response=response,
            **fields,
        ) from error
