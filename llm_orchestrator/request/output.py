"""Structured output: reads ``response_format`` as a JSON schema, and parses the answer into an instance."""

from __future__ import annotations

import re
from collections import abc
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Optional, Type

from llm_orchestrator.exceptions import InvalidRequestError, OutputParseError, OutputTruncatedError
from llm_orchestrator.request.json_text import json_in
from llm_orchestrator.types import JSON, FinishReason, LLMRequest, LLMResponse
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.json_schema import GenerateJsonSchema

__all__ = [
    "OutputFormat",
    "json_schema",
    "parse_output",
    "read_response_format",
    "schema_of",
    "what_is_wrong",
]

#: Faults of an output that its error names.
MOST_FAULTS = 5
FORMATS = ("json_object", "json_schema", "text")


class OutputFormat(NamedTuple):
    """The ``response_format`` to send, and the class to parse the answer into."""

    response_format: Optional[JSON]
    output_type: Optional[Type[BaseModel]]


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
    if isinstance(value, type) and hasattr(value, "model_json_schema"):
        schema = {"name": _name_of(value), "schema": schema_of(value), "strict": True}
        return OutputFormat({"type": "json_schema", "json_schema": schema}, value)
    raise InvalidRequestError(
        f"response_format is a {type(value).__name__}. Pass a pydantic class or an OpenAI Chat dict."
    )


def _name_of(model: Type[BaseModel]) -> str:
    """A name that providers accept: that of a generic class has brackets, others have non-ASCII letters."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", model.__name__)[:64]


def schema_of(model: Type[BaseModel]) -> Dict[str, Any]:
    """Make the JSON schema of a pydantic class, or say why it has none."""
    from pydantic.errors import PydanticUserError

    try:
        return json_schema(model)
    except PydanticUserError as error:
        raise InvalidRequestError(
            f"{model.__name__} has no JSON schema: {error.message}. Use types that JSON can represent."
        ) from error


def json_schema(model: Type[BaseModel]) -> Dict[str, Any]:
    """Make a JSON schema; a default that JSON cannot represent is left out of it without a warning."""
    return model.model_json_schema(schema_generator=_generator())


@lru_cache(maxsize=1)
def _generator() -> Type[GenerateJsonSchema]:
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        ignored_warning_kinds = {  # noqa: RUF012  # pydantic reads it from the class
            *GenerateJsonSchema.ignored_warning_kinds,
            "non-serializable-default",
        }

    return Generator


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
    """Turn the text of an answer into an instance of the class that was asked for."""
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
        return evolve(response, parsed=request.output_type.model_validate_json(json_in(response.content)))
    except Exception as error:  # a validator may raise anything, and the answer was paid for
        raise OutputParseError(
            f"The output is not a valid {request.output_type.__name__}: {what_is_wrong(error)}. "
            "Read it in .response.content.",
            response=response,
            **fields,
        ) from error
