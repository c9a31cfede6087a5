"""Our request as the JSON body of ``generateContent``."""

from __future__ import annotations

from collections import abc
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union
from urllib.parse import unquote

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.providers.cache_marks import HOUR, with_marks
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.gemini.messages import write_messages
from llm_orchestrator.providers.gemini.models import model_path
from llm_orchestrator.providers.gemini.schema import accepted_schema
from llm_orchestrator.providers.gemini.thinking import write_thinking
from llm_orchestrator.providers.reading import as_mapping
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import JSON, LLMRequest
from llm_orchestrator.utils.json import without_none
from llm_orchestrator.utils.json_schema import with_object_at_root
from llm_orchestrator.utils.values import evolve, make

__all__ = ["build_request", "count_request", "with_safety_settings"]

COUNT_METHOD = "countTokens"
#: What a function may be marked with in Gemini's words; it takes no others.
DECLARATION_MARKS = ("behavior", "response", "responseJsonSchema")
#: What its own caching cannot be asked for.
CACHE_WARNINGS: Mapping[str, str] = {
    "off": "has no option against it",
    HOUR: "keeps them as long as it sees fit",
}
TOOL_MODES: Mapping[str, str] = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


def build_request(request: LLMRequest, context: AttemptContext, *, stream: bool) -> WireRequest:
    """Translate a request; the form of thinking depends on what is known of the model."""
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    thinking = write_thinking(request, context)
    conversation = write_messages(with_marks(request.messages, lambda mode: {}))  # it caches by itself
    warnings: List[str] = [*thinking.warnings, *conversation.warnings]
    body = {
        "systemInstruction": conversation.system,
        "contents": conversation.contents,
        "tools": _tools(request.tools, warnings),
        "toolConfig": _tool_config(request.tool_choice),
        "generationConfig": _generation_config(request, thinking.config, warnings),
    }
    unsupported = ("parallel_tool_calls",) if request.parallel_tool_calls is False else ()
    cannot = CACHE_WARNINGS.get(request.cache or "")
    if cannot is not None:
        warnings.append(
            f"cache={request.cache!r} was not sent: Gemini caches prompts by itself and {cannot}."
        )
    return make(
        WireRequest,
        path=f"{model_path(request.model)}:{method}",
        body={key: value for key, value in body.items() if value},
        api="generate_content",
        unsupported=unsupported + thinking.unsupported,
        warnings=tuple(warnings),
        forms={"reasoning_effort": thinking.form} if thinking.form else {},
    )


def count_request(wire: WireRequest) -> WireRequest:
    """Ask how many tokens the input of a request has; beside bare contents, the API counts whole requests."""
    model = wire.path.rpartition(":")[0]
    body = {"generateContentRequest": {"model": unquote(model), **(wire.body or {})}}
    return evolve(wire, path=f"{model}:{COUNT_METHOD}", body=body)


def _tools(tools: Tuple[JSON, ...], warnings: List[str]) -> List[JSON]:
    functions = [_declaration(tool["function"], warnings) for tool in tools if tool.get("type") == "function"]
    native = [tool for tool in tools if tool.get("type") != "function"]
    return [{"functionDeclarations": functions}, *native] if functions else native


def _declaration(function: JSON, warnings: List[str]) -> Dict[str, Any]:
    declaration = {key: function.get(key) for key in ("name", "description", *DECLARATION_MARKS)}
    if function.get("parameters"):
        where = f"tool {function['name']!r}"
        declaration["parametersJsonSchema"] = _schema(function["parameters"], where, warnings)
    return without_none(declaration)


def _tool_config(choice: Any) -> Optional[Dict[str, Any]]:
    if choice is None:
        return None
    if isinstance(choice, abc.Mapping) and "function" not in choice:
        return dict(choice)  # in Gemini's own form
    if isinstance(choice, abc.Mapping):
        config = {"mode": "ANY", "allowedFunctionNames": [choice["function"]["name"]]}
        return {"functionCallingConfig": config}
    return {"functionCallingConfig": {"mode": TOOL_MODES[choice]}}


def _generation_config(request: LLMRequest, thinking: Optional[JSON], warnings: List[str]) -> Dict[str, Any]:
    return without_none(
        {
            "temperature": request.temperature,
            "maxOutputTokens": request.max_tokens,
            "topP": request.top_p,
            "topK": request.top_k,
            "stopSequences": list(request.stop) if request.stop else None,
            "seed": request.seed,
            "frequencyPenalty": request.frequency_penalty,
            "presencePenalty": request.presence_penalty,
            **(_logprobs(request.logprobs) if request.logprobs else {}),
            "thinkingConfig": thinking,
            **_response_format(request.response_format or {}, warnings),
        }
    )


def _logprobs(wanted: Union[bool, int]) -> Dict[str, Any]:
    return {"responseLogprobs": True, "logprobs": None if wanted is True else wanted}


def _response_format(response_format: JSON, warnings: List[str]) -> Dict[str, Any]:
    if response_format.get("type") not in {"json_object", "json_schema"}:
        return {}
    schema = as_mapping(response_format.get("json_schema")).get("schema")
    return {
        "responseMimeType": "application/json",
        "responseJsonSchema": _schema(schema, "response_format", warnings) if schema else None,
    }


def _schema(schema: JSON, where: str, warnings: List[str]) -> Dict[str, Any]:
    accepted, made_optional = accepted_schema(with_object_at_root(schema))
    if made_optional:
        names = ", ".join(made_optional)
        warnings.append(
            f"{where}: {names} was sent as optional: Gemini accepts recursion only in optional properties."
        )
    return accepted


def with_safety_settings(options: JSON) -> JSON:
    """Translate the one option that has a name of our own, ``safety_settings``."""
    if "safety_settings" not in options:
        return options
    settings = options["safety_settings"]
    if isinstance(settings, abc.Mapping):
        settings = [{"category": category, "threshold": level} for category, level in settings.items()]
    if not isinstance(settings, (list, tuple)) or not all(map(_is_safety_setting, settings)):
        raise InvalidRequestError(
            "safety_settings is not in a form that Gemini accepts. Pass a list of {category, threshold}, or "
            "a mapping from category to threshold."
        )
    others = {name: value for name, value in options.items() if name != "safety_settings"}
    return {**others, "safetySettings": list(settings)}


def _is_safety_setting(setting: Any) -> bool:
    return isinstance(setting, abc.Mapping) and all(
        isinstance(setting.get(field), str) for field in ("category", "threshold")
    )
