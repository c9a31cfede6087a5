"""One request in Gemini's words: the JSON body of ``generateContent``, and the paths of all that is asked.

Gemini's turns alternate between user and model, results of tools belong to the user's side, and there is
one system instruction beside the conversation.
"""

from __future__ import annotations

from collections import abc
from itertools import groupby
from typing import Any, Dict, List, Mapping, NamedTuple, NoReturn, Optional, Tuple
from urllib.parse import quote

from llm_orchestrator.exceptions import InvalidMessagesError, InvalidRequestError
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.gemini.content import calls_of, content_parts, model_parts, result_part
from llm_orchestrator.providers.gemini.schema import accepted_schema
from llm_orchestrator.providers.gemini.thinking import write_thinking
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import JSON, LLMRequest, Message
from llm_orchestrator.utils.json import without_none
from llm_orchestrator.utils.json_schema import with_object_at_root

__all__ = ["build_request", "list_request", "model_request", "with_safety_settings"]

PAGE_SIZE = 1000

TOOL_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}

Turn = Tuple[int, Message]


class _OpenCall(NamedTuple):
    """A tool call that waits for its result: its place among its turn's calls, Gemini's words, its turn."""

    position: int
    name: str
    identifier: Optional[str]
    turn: int


# ---------------------------------------------------------------- requests


def build_request(request: LLMRequest, context: AttemptContext, *, stream: bool) -> WireRequest:
    """Translate a call."""
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    thinking = write_thinking(request, context)
    warnings: List[str] = list(thinking.warnings)
    body = {
        "systemInstruction": _system_instruction(request.messages, warnings),
        "contents": _contents(request.messages),
        "tools": _tools(request.tools, warnings),
        "toolConfig": _tool_config(request.tool_choice),
        "generationConfig": _generation_config(request, thinking.config, warnings),
    }
    unsupported = ("parallel_tool_calls",) if request.parallel_tool_calls is False else ()
    if request.cache == "off":
        warnings.append(
            "cache='off' was not sent: Gemini caches prompts by itself and has no field against it."
        )
    return WireRequest(
        path=f"{_model_path(request.model)}:{method}",
        body={key: value for key, value in body.items() if value},
        api="generate_content",
        unsupported=unsupported + thinking.unsupported,
        warnings=tuple(warnings),
        forms={"reasoning_effort": thinking.form} if thinking.form else {},
    )


def list_request(cursor: Optional[str]) -> WireRequest:
    """Ask for one page of the models."""
    page = f"&pageToken={quote(cursor, safe='')}" if cursor else ""
    return WireRequest(f"models?pageSize={PAGE_SIZE}{page}")


def model_request(model: str) -> WireRequest:
    """Ask for one model."""
    return WireRequest(_model_path(model))


def _model_path(model: str) -> str:
    """The model's place below the base URL; a slash or a dot in its name must not lead to another place."""
    name = model[len("models/") :] if model.startswith("models/") else model
    if not name.strip("."):
        raise InvalidRequestError(f"{model!r} is no model name. Name one of the provider's models.")
    return f"models/{quote(name, safe='')}"


# ---------------------------------------------------------------- messages


def _system_instruction(messages: Tuple[Message, ...], warnings: List[str]) -> Optional[Dict[str, Any]]:
    parts: List[Dict[str, Any]] = []
    started = False
    for index, message in enumerate(messages):
        if message.role != "system":
            started = True
            continue
        if started:
            warnings.append(
                f"messages[{index}] was put before the conversation: Gemini has one system instruction."
            )
        texts = content_parts(message, index)
        if any("text" not in part for part in texts):
            _reject(
                index, "is a system message with more than text. Put images and files into a user message."
            )
        parts += texts
    return {"parts": parts} if parts else None


def _contents(messages: Tuple[Message, ...]) -> List[Dict[str, Any]]:
    turns = [(index, message) for index, message in enumerate(messages) if message.role != "system"]
    if not turns:
        _reject(len(messages) - 1, "is followed by no user message. Append one.")
    contents: List[Dict[str, Any]] = []
    open_calls: Dict[str, _OpenCall] = {}
    for role, run in groupby(turns, key=lambda turn: turn[1].role):
        if role == "assistant":
            _refuse_open(open_calls)
            open_calls = _add_model_turns(contents, list(run))
        elif role == "tool":
            open_calls = _add_results(contents, list(run), open_calls)
        else:
            _add_user_turns(contents, list(run), open_calls)
    _refuse_open(open_calls)
    if contents[-1]["role"] == "model":
        _reject(turns[-1][0], "ends the conversation with the model's own turn. Append a user message.")
    return contents


def _add_user_turns(
    contents: List[Dict[str, Any]], run: List[Turn], open_calls: Mapping[str, _OpenCall]
) -> None:
    for index, message in run:
        if open_calls:
            _reject(
                index, f"comes before the results of the tool calls {', '.join(open_calls)}. Put them first."
            )
        _add(contents, "user", content_parts(message, index) or [{"text": ""}])


def _refuse_open(open_calls: Mapping[str, _OpenCall]) -> None:
    """Gemini wants as many results as there were calls, all in the next turn."""
    for identifier, call in open_calls.items():
        _reject(
            call.turn, f"makes the tool call {identifier!r}, which has no result. Add a tool message for it."
        )


def _add_model_turns(contents: List[Dict[str, Any]], run: List[Turn]) -> Dict[str, _OpenCall]:
    """Add model turns; a turn that says nothing is left out, for Gemini accepts no empty content."""
    calls: Dict[str, _OpenCall] = {}
    for index, message in run:
        parts = model_parts(message, index)
        if message.tool_calls and not contents:
            _reject(index, "begins the conversation with a tool call. Put a user message before it.")
        for call, sent in zip(message.tool_calls, calls_of(parts)):
            calls[call.id] = _OpenCall(len(calls), call.name, sent.get("id"), index)
        if parts:
            _add(contents, "model", parts)
    return calls


def _add_results(
    contents: List[Dict[str, Any]], run: List[Turn], open_calls: Mapping[str, _OpenCall]
) -> Dict[str, _OpenCall]:
    """Add results in the order of their calls: without ids, Gemini matches them by name and order."""
    calls = dict(open_calls)
    results: List[Tuple[int, Dict[str, Any]]] = []
    for index, message in run:
        call = calls.pop(message.tool_call_id or "", None)
        if call is None:
            _reject(
                index, f"answers the tool call {message.tool_call_id!r}, which nothing before it asks for."
            )
        results.append((call.position, result_part(message, call.name, call.identifier, index)))
    _add(contents, "user", [part for _, part in sorted(results, key=lambda result: result[0])])
    return calls


def _add(contents: List[Dict[str, Any]], role: str, parts: List[Dict[str, Any]]) -> None:
    """Add parts to the last turn when it is of the same role: Gemini's turns alternate."""
    if contents and contents[-1]["role"] == role:
        contents[-1]["parts"] += parts
    else:
        contents.append({"role": role, "parts": parts})


def _reject(index: int, what: str) -> NoReturn:
    raise InvalidMessagesError(f"messages[{index}] {what}", index=index)


# ---------------------------------------------------------------- tools and settings


def _tools(tools: Tuple[JSON, ...], warnings: List[str]) -> List[JSON]:
    functions = [_declaration(tool["function"], warnings) for tool in tools if tool.get("type") == "function"]
    native = [tool for tool in tools if tool.get("type") != "function"]
    return [{"functionDeclarations": functions}, *native] if functions else native


def _declaration(function: JSON, warnings: List[str]) -> Dict[str, Any]:
    declaration = {"name": function["name"], "description": function.get("description")}
    if function.get("parameters"):
        where = f"tool {function['name']!r}"
        declaration["parametersJsonSchema"] = _schema(function["parameters"], where, warnings)
    return without_none(declaration)


def _tool_config(choice: Any) -> Optional[Dict[str, Any]]:
    if choice is None:
        return None
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
            "thinkingConfig": thinking,
            **_response_format(request.response_format or {}, warnings),
        }
    )


def _response_format(response_format: JSON, warnings: List[str]) -> Dict[str, Any]:
    if response_format.get("type") not in {"json_object", "json_schema"}:
        return {}
    schema = (response_format.get("json_schema") or {}).get("schema")
    return {
        "responseMimeType": "application/json",
        "responseJsonSchema": _schema(schema, "response_format", warnings) if schema else None,
    }


def _schema(schema: JSON, where: str, warnings: List[str]) -> Dict[str, Any]:
    accepted, made_optional = accepted_schema(with_object_at_root(schema))
    if made_optional:
        names = ", ".join(made_optional)
        warnings.append(
            f"{where}: {names} was sent as optional: Gemini accepts recursion in no required property."
        )
    return accepted


# ---------------------------------------------------------------- options


def with_safety_settings(options: JSON) -> JSON:
    """Translate the one option that has a name of our own, ``safety_settings``."""
    if "safety_settings" not in options:
        return options
    settings = options["safety_settings"]
    if isinstance(settings, abc.Mapping):
        settings = [{"category": category, "threshold": level} for category, level in settings.items()]
    if not isinstance(settings, (list, tuple)) or not all(map(_is_safety_setting, settings)):
        raise InvalidRequestError(
            "safety_settings has a form that Gemini does not know. Write a list of {category, threshold}, or "
            "a mapping from category to threshold."
        )
    others = {name: value for name, value in options.items() if name != "safety_settings"}
    return {**others, "safetySettings": list(settings)}


def _is_safety_setting(setting: Any) -> bool:
    return isinstance(setting, abc.Mapping) and all(
        isinstance(setting.get(field), str) for field in ("category", "threshold")
    )
