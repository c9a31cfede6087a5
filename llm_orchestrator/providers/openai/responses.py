"""OpenAI's Responses API: our request as its JSON.

A conversation is a list of typed items. Nothing is stored at OpenAI, so what the model needs back (encrypted
reasoning, phases, items of tools that ran there) travels in ``Message.provider_state``.
https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from collections import abc
from typing import Any, Callable, Iterator, List, Sequence, Set, Tuple

from llm_orchestrator.exceptions import InvalidMessagesError
from llm_orchestrator.providers.openai.common import (
    arguments_of,
    as_text,
    check_tool_results,
    image_of,
    same_turn,
    state_of,
    warnings_of_state,
)
from llm_orchestrator.providers.openai.responses_reply import API, answer_text, calls_of, items_of
from llm_orchestrator.providers.openai.schemas import accepted_format, accepted_tools
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import JSON, LLMRequest, Message, parts_of
from llm_orchestrator.utils.json import without_none

__all__ = ["UNSUPPORTED", "build_request"]

PATH = "/responses"
#: Parameters that Responses has no field for.
UNSUPPORTED = ("stop", "seed", "frequency_penalty", "presence_penalty", "top_k")
ENCRYPTED_REASONING = "reasoning.encrypted_content"


def build_request(request: LLMRequest, *, stream: bool) -> WireRequest:
    """Translate a request."""
    check_tool_results(request.messages, at_once=False)
    items = list(_input(request.messages))
    tools, tool_warnings = accepted_tools(request.tools)
    response_format, format_warnings = accepted_format(request.response_format)
    fields = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_output_tokens": request.max_tokens,
        "tools": [_tool(tool) for tool in tools] or None,
        "tool_choice": _tool_choice(request.tool_choice),
        "parallel_tool_calls": request.parallel_tool_calls,
        "text": {"format": _format(response_format)} if response_format is not None else None,
        "reasoning": {"effort": request.reasoning_effort} if request.reasoning_effort is not None else None,
        "include": [ENCRYPTED_REASONING] if _is_known_to_reason(request, items) else None,
        "stream": stream or None,
    }
    return WireRequest(
        PATH,
        {"model": request.model, "input": items, "store": False, **without_none(fields)},
        api=API,
        unsupported=tuple(name for name in UNSUPPORTED if getattr(request, name) not in (None, ())),
        warnings=_warnings(request.messages) + format_warnings + tool_warnings,
    )


def _warnings(messages: Sequence[Message]) -> Tuple[str, ...]:
    warnings = warnings_of_state(messages, API)
    if any(message.name for message in messages if message.role != "tool"):
        warnings += ("Names of messages were not sent: OpenAI's Responses API has no field for them.",)
    return warnings


def _is_known_to_reason(request: LLMRequest, items: Sequence[JSON]) -> bool:
    """Whether encrypted reasoning may be asked for: models that do not reason answer that with status 400."""
    if request.reasoning_effort is not None or "reasoning" in request.provider_options:
        return True
    return any(item.get("type") == "reasoning" for item in items)


def _tool(tool: JSON) -> JSON:
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, abc.Mapping):
        return tool
    # Left out, the schema is not strict in Chat but strict here: say what the Chat form means.
    defaults = {"parameters": {"type": "object", "properties": {}}, "strict": False}
    return {"type": "function", **defaults, **without_none(function)}


def _tool_choice(choice: Any) -> Any:
    if not isinstance(choice, abc.Mapping) or not isinstance(choice.get("function"), abc.Mapping):
        return choice
    return {"type": "function", "name": choice["function"].get("name")}


def _format(response_format: JSON) -> JSON:
    schema = response_format.get("json_schema")
    if not isinstance(schema, abc.Mapping):
        return response_format
    return {"type": "json_schema", **without_none(schema)}


def _input(messages: Sequence[Message]) -> Iterator[JSON]:
    """The conversation as items; system messages stay where they are, so that several keep their order."""
    custom_calls: Set[str] = set()
    for index, message in enumerate(messages):
        if message.role == "assistant":
            items = _kept_items(message) or _turn_items(message, index)
            custom_calls |= {
                as_text(item.get("call_id")) for item in items if item.get("type") == "custom_tool_call"
            }
            yield from items
        elif message.role == "tool":
            kind = "custom_tool_call" if message.tool_call_id in custom_calls else "function_call"
            content = _content(message, index, _user_part)
            yield {"type": f"{kind}_output", "call_id": message.tool_call_id, "output": content}
        else:
            yield _message_item(message.role, _content(message, index, _user_part))


def _message_item(role: str, content: Any) -> JSON:
    return {"type": "message", "role": role, "content": content}


def _kept_items(message: Message) -> List[JSON]:
    output = items_of(state_of(message, API).get("output"))
    texts = [answer_text(output, structured=structured) for structured in (False, True)]
    return output if output and same_turn(message, texts, calls_of(output)) else []


def _turn_items(message: Message, index: int) -> List[JSON]:
    calls: List[JSON] = [
        {
            "type": "function_call",
            "call_id": call.id,
            "name": call.name,
            "arguments": arguments_of(call),
        }
        for call in message.tool_calls
    ]
    content = _content(message, index, _assistant_part)
    return [_message_item("assistant", content), *calls] if content or not calls else calls


def _content(message: Message, index: int, translate: Callable[[JSON, int], JSON]) -> Any:
    if isinstance(message.content, str):
        return message.content
    return [translate(part, index) for part in parts_of(message, index)] or ""


def _user_part(part: JSON, index: int) -> JSON:
    kind = part["type"]
    if kind == "text":
        return {**part, "type": "input_text"}
    if kind == "image_url":
        image = image_of(part, index)
        url = image.pop("url")
        return {**part, **image, "type": "input_image", "image_url": url}
    if kind == "file" and isinstance(part.get("file"), abc.Mapping):
        return {"type": "input_file", **_file(part["file"])}
    if kind in ("input_text", "input_image", "input_file"):
        return part
    raise _unknown_part(kind, index)


def _file(file: JSON) -> JSON:
    data = file.get("file_data")
    if isinstance(data, str) and data.startswith(("http://", "https://")):
        return {**{key: value for key, value in file.items() if key == "file_id"}, "file_url": data}
    return file


def _assistant_part(part: JSON, index: int) -> JSON:
    if part["type"] == "text":
        return {**part, "type": "output_text"}
    if part["type"] in ("output_text", "refusal"):
        return part
    raise _unknown_part(part["type"], index)


def _unknown_part(kind: str, index: int) -> InvalidMessagesError:
    return InvalidMessagesError(
        f"messages[{index}] holds a part of type {kind!r}, which OpenAI's Responses API does not take there. "
        "Leave it out, or set api: chat if the model takes it.",
        index=index,
    )
