"""Our request as the JSON body of ``POST /v1/messages``."""

from __future__ import annotations

from collections import abc
from typing import Any, Dict, Mapping, Optional

from llm_orchestrator.exceptions import UnsupportedParameterError
from llm_orchestrator.providers.anthropic.failures import SYSTEM
from llm_orchestrator.providers.anthropic.messages import WrittenMessages, write_messages
from llm_orchestrator.providers.anthropic.schema import accepted_schema
from llm_orchestrator.providers.anthropic.thinking import Thinking, write_thinking
from llm_orchestrator.providers.cache_marks import HOUR, with_marks
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.reading import as_mapping
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.request.tools import refuse_declarations
from llm_orchestrator.types import JSON, LLMRequest
from llm_orchestrator.utils.json import beside, without_none
from llm_orchestrator.utils.json_schema import with_object_at_root
from llm_orchestrator.utils.values import make

__all__ = ["build_request", "count_request"]

PATH = "/v1/messages"
#: ``max_tokens`` is required. Thinking counts towards it: a small default would leave no room for the answer.
DEFAULT_MAX_TOKENS = 16000
#: Parameters the API has no field for.
NO_FIELD = ("seed", "frequency_penalty", "presence_penalty", "logprobs")
#: What the endpoint that counts takes (anthropic, types/message_count_tokens_params.py and its beta twin),
#: and what clouds want in every body.
COUNTED = (
    "anthropic_beta",
    "anthropic_version",
    "billing_policy",
    "cache_control",
    "compaction",
    "context_management",
    "mcp_servers",
    "messages",
    "model",
    "output_config",
    "speed",
    "system",
    "thinking",
    "tool_choice",
    "tools",
)
#: The form of system messages that newer models take; in ``AttemptContext.without`` where one was rejected.
IN_PLACE = "system messages in their places"
#: Modes of ``cache`` that ask for one.
CACHED = ("auto", HOUR)
TOOL_CHOICES: Mapping[str, str] = {"auto": "auto", "none": "none", "required": "any"}
FORCED = ("any", "tool")
#: What is translated of a function; what stands beside it is in Anthropic's words, such as ``cache_control``.
FUNCTION_KEYS = ("name", "description", "parameters", "strict")


def build_request(
    request: LLMRequest, context: AttemptContext, *, stream: bool, headers: Mapping[str, str]
) -> WireRequest:
    """Translate a request; thinking and ``max_tokens`` depend on what is known of the model."""
    in_place = IN_PLACE not in context.without and not context.batch  # a batch finds out too late
    messages = with_marks(request.messages, _cache_control)
    conversation = write_messages(messages, in_place=in_place)
    tool_choice = _tool_choice(request)
    max_tokens = _max_tokens(request, context)
    forced = tool_choice is not None and tool_choice.get("type") in FORCED
    thinking = write_thinking(request, context, max_tokens, forced=forced)
    body = without_none(
        {
            "model": request.model,
            "max_tokens": max_tokens,
            "system": conversation.system,
            "messages": conversation.messages,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "top_k": request.top_k,
            "stop_sequences": list(request.stop) if request.stop else None,
            "tools": [_tool(tool) for tool in request.tools] or None,
            "tool_choice": tool_choice,
            "thinking": thinking.thinking,
            "output_config": _output_config(request, thinking.effort),
            **(_cache_control(request.cache) if request.cache in CACHED else {}),
            "stream": stream or None,
        }
    )
    unsupported = tuple(name for name in NO_FIELD if getattr(request, name) is not None)
    return make(
        WireRequest,
        path=PATH,
        body=body,
        headers=headers,
        api="messages",
        unsupported=unsupported + thinking.unsupported,
        warnings=conversation.warnings + thinking.warnings,
        forms=_forms(thinking, conversation),
    )


def _cache_control(mode: Optional[str]) -> JSON:
    lifetime = {"ttl": HOUR} if mode == HOUR else {}
    return {"cache_control": {"type": "ephemeral", **lifetime}}


def _forms(thinking: Thinking, conversation: WrittenMessages) -> Dict[str, str]:
    forms = {"reasoning_effort": thinking.form, SYSTEM: IN_PLACE if conversation.is_in_place else None}
    return {name: form for name, form in forms.items() if form is not None}


def count_request(wire: WireRequest) -> WireRequest:
    """Ask how many tokens the input of a request has."""
    return wire.narrowed(f"{PATH}/count_tokens", COUNTED)


def _max_tokens(request: LLMRequest, context: AttemptContext) -> int:
    if request.max_tokens is not None:
        return request.max_tokens
    most = context.known.max_output_tokens if context.known is not None else None
    return min(DEFAULT_MAX_TOKENS, most or DEFAULT_MAX_TOKENS)


def _tool(tool: JSON) -> JSON:
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, abc.Mapping):
        refuse_declarations(tool)
        return tool  # one of Anthropic's own, such as its web search
    schema = with_object_at_root(function.get("parameters") or {"type": "object", "properties": {}})
    strict = function.get("strict") or None
    marks = {**beside(tool, "type", "function"), **beside(function, *FUNCTION_KEYS)}
    return without_none(
        {
            **marks,
            "name": function.get("name"),
            "description": function.get("description"),
            "input_schema": accepted_schema(schema) if strict else schema,
            "strict": strict,
        }
    )


def _tool_choice(request: LLMRequest) -> Optional[JSON]:
    choice: Dict[str, Any] = {}
    wanted = request.tool_choice
    if isinstance(wanted, str):
        choice = {"type": TOOL_CHOICES.get(wanted, wanted)}
    elif wanted is not None:
        function = wanted.get("function")
        choice = dict(wanted) if function is None else {"type": "tool", "name": function["name"]}
    if request.parallel_tool_calls is False and request.tools and choice.get("type") != "none":
        choice = {"type": "auto", **choice, "disable_parallel_tool_use": True}
    return choice or None


def _output_config(request: LLMRequest, effort: Optional[str]) -> Optional[JSON]:
    return without_none({"effort": effort, "format": _format(request.response_format)}) or None


def _format(response_format: Optional[JSON]) -> Optional[JSON]:
    if response_format is None:
        return None
    schema = as_mapping(response_format.get("json_schema")).get("schema")
    if not isinstance(schema, abc.Mapping):
        raise UnsupportedParameterError(
            "Anthropic answers in JSON only by a schema. Pass a pydantic class, or a response_format of type "
            "json_schema with its schema.",
            parameter="response_format",
        )
    return {"type": "json_schema", "schema": accepted_schema(schema)}
