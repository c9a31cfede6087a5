"""What an entry's ``compat`` says of a host that speaks OpenAI's protocol, and what a request is then."""

from __future__ import annotations

import json
from typing import Any, Dict, NamedTuple, Optional, Tuple

from llm_orchestrator.providers.reading import as_mapping
from llm_orchestrator.types import JSON, LLMRequest, Message
from llm_orchestrator.utils.values import evolve

__all__ = ["JSON_SCHEMA", "OUTPUT_TOOL", "Compat", "with_instruction", "with_output_form"]

JSON_SCHEMA, JSON_OBJECT, TOOL = "json_schema", "json_object", "tool"
#: The tool whose arguments are the answer, where a host knows structured output only in that form.
OUTPUT_TOOL = "structured_output"
FREE_OBJECT: Dict[str, Any] = {"type": "object", "properties": {}}
INSTRUCTION = "Answer with one JSON object that fits this JSON schema, and with nothing else:"


class Compat(NamedTuple):
    """Where a host differs from OpenAI.

    Attributes:
        think_tags: The text begins with reasoning in ``<think>`` tags.
        structured_output: The form in which a schema is sent.
        stream_usage: The host takes ``stream_options``, by which a stream is asked for its usage.
        max_tokens_name: The field for ``max_tokens`` in Chat; None: the usual one.
    """

    think_tags: bool = False
    structured_output: str = JSON_SCHEMA
    stream_usage: bool = True
    max_tokens_name: Optional[str] = None

    @property
    def output_is_a_call(self) -> bool:
        """Whether structured output comes as the arguments of a tool call."""
        return self.structured_output == TOOL


def with_output_form(request: LLMRequest, compat: Compat) -> LLMRequest:
    """Ask for structured output in the form that the host knows."""
    if request.response_format is None or compat.structured_output == JSON_SCHEMA:
        return request
    schema = as_mapping(request.response_format.get("json_schema")).get("schema")
    if compat.structured_output == TOOL:
        return _asked_by_tool(request, schema or FREE_OBJECT)
    if schema is None:
        return request
    return with_instruction(request, {"type": JSON_OBJECT})


def with_instruction(request: LLMRequest, response_format: Optional[JSON]) -> LLMRequest:
    """Put the schema into the prompt, with another ``response_format`` or none in its place."""
    schema = as_mapping(as_mapping(request.response_format).get("json_schema")).get("schema") or FREE_OBJECT
    text = f"{INSTRUCTION}\n{json.dumps(schema, ensure_ascii=False)}"
    messages = _with_system_text(request.messages, text)
    return evolve(request, response_format=response_format, messages=messages)


def _asked_by_tool(request: LLMRequest, schema: JSON) -> LLMRequest:
    function = {"name": OUTPUT_TOOL, "description": "Takes the answer.", "parameters": schema}
    forced: Any = {"type": "function", "function": {"name": OUTPUT_TOOL}}
    return evolve(
        request,
        response_format=None,
        tools=(*request.tools, {"type": "function", "function": function}),
        tool_choice=(request.tool_choice or "required") if request.tools else forced,
    )


def _with_system_text(messages: Tuple[Message, ...], text: str) -> Tuple[Message, ...]:
    """Put an instruction into the system message: many hosts take only one, and only at the beginning."""
    first = messages[0]
    if first.role == "system" and isinstance(first.content, str):
        return (evolve(first, content=f"{first.content}\n\n{text}"), *messages[1:])
    return (Message("system", text), *messages)
