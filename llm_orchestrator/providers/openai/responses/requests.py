"""Our request as the JSON body of ``POST /responses``."""

from __future__ import annotations

from collections import abc
from typing import Any, Optional, Sequence, Tuple, Union
from urllib.parse import quote

from llm_orchestrator.providers.openai import RESPONSES
from llm_orchestrator.providers.openai.messages import warnings_of_state
from llm_orchestrator.providers.openai.responses.messages import write_messages
from llm_orchestrator.providers.openai.schema import accepted_format, accepted_tools
from llm_orchestrator.providers.reading import as_text_or_none
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import JSON, LLMRequest, Message
from llm_orchestrator.utils.json import beside, without_none
from llm_orchestrator.utils.values import make

__all__ = ["build_request", "count_request", "poll_request"]

PATH = "/responses"
#: States of a response that is made in the background (openai, types/responses/response_status.py).
UNFINISHED = ("queued", "in_progress")
#: Parameters that Responses has no field for.
UNSUPPORTED = ("stop", "seed", "frequency_penalty", "presence_penalty", "top_k")
#: What the endpoint that counts takes (openai, types/responses/input_token_count_params.py).
COUNTED = (
    "conversation",
    "input",
    "instructions",
    "model",
    "parallel_tool_calls",
    "personality",
    "previous_response_id",
    "reasoning",
    "text",
    "tool_choice",
    "tools",
    "truncation",
)
ENCRYPTED_REASONING = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"


def build_request(request: LLMRequest, *, stream: bool) -> WireRequest:
    """Translate a request; nothing is stored at OpenAI, so reasoning is asked for in a form to send back."""
    items = write_messages(request.messages)
    tools, tool_warnings = accepted_tools(request.tools)
    response_format, format_warnings = accepted_format(request.response_format)
    fields: JSON = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_output_tokens": request.max_tokens,
        "tools": [_tool(tool) for tool in tools] or None,
        "tool_choice": _tool_choice(request.tool_choice),
        "parallel_tool_calls": request.parallel_tool_calls,
        "text": _text(response_format),
        "reasoning": {"effort": request.reasoning_effort} if request.reasoning_effort is not None else None,
        "include": [ENCRYPTED_REASONING] if _is_known_to_reason(request, items) else None,
        "stream": stream or None,
    }
    if request.logprobs:
        fields = _with_logprobs(fields, request.logprobs)
    # What is made in the background is fetched later, so it has to be kept until then.
    store = bool(request.provider_options.get("background"))
    return make(
        WireRequest,
        path=PATH,
        body={"model": request.model, "input": items, "store": store, **without_none(fields)},
        api=RESPONSES,
        unsupported=tuple(name for name in UNSUPPORTED if getattr(request, name) not in (None, ())),
        warnings=_warnings(request.messages) + format_warnings + tool_warnings,
    )


def poll_request(body: JSON) -> Optional[WireRequest]:
    """Ask for a response that is still being made; it can be asked for because it is stored."""
    identifier = as_text_or_none(body.get("id"))
    if body.get("status") not in UNFINISHED or identifier is None:
        return None
    return WireRequest(f"{PATH}/{quote(identifier, safe='')}", api=RESPONSES)


def count_request(wire: WireRequest) -> WireRequest:
    """Ask how many tokens the input of a request has."""
    return wire.narrowed(f"{PATH}/input_tokens", COUNTED)


def _warnings(messages: Sequence[Message]) -> Tuple[str, ...]:
    warnings = warnings_of_state(messages, RESPONSES)
    if any(message.name for message in messages if message.role != "tool"):
        warnings += ("Names of messages were not sent: OpenAI's Responses API has no field for them.",)
    return warnings


def _with_logprobs(fields: JSON, wanted: Union[bool, int]) -> JSON:
    include = [*(fields["include"] or ()), LOGPROBS]
    return {**fields, "include": include, "top_logprobs": None if wanted is True else wanted}


def _is_known_to_reason(request: LLMRequest, items: Sequence[JSON]) -> bool:
    """Whether encrypted reasoning may be asked for: models that do not reason answer that with status 400."""
    if request.reasoning_effort is not None or "reasoning" in request.provider_options:
        return True
    return any(item.get("type") == "reasoning" for item in items)


def _tool(tool: JSON) -> JSON:
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, abc.Mapping):
        return tool
    # Without `strict` a schema is not strict in Chat but strict here: send what the Chat form means.
    defaults = {"parameters": {"type": "object", "properties": {}}, "strict": False}
    return {**beside(tool, "function"), "type": "function", **defaults, **without_none(function)}


def _tool_choice(choice: Any) -> Any:
    if not isinstance(choice, abc.Mapping) or not isinstance(choice.get("function"), abc.Mapping):
        return choice
    return {"type": "function", "name": choice["function"].get("name")}


def _text(response_format: Optional[JSON]) -> Optional[JSON]:
    if response_format is None:
        return None
    schema = response_format.get("json_schema")
    if not isinstance(schema, abc.Mapping):
        return {"format": response_format}
    return {"format": {"type": "json_schema", **without_none(schema)}}
