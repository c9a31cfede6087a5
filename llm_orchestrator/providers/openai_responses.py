"""OpenAI's Responses API: our request as its JSON, and its whole JSON as our values.

A conversation is a list of typed items; nothing is stored at OpenAI, so what the model needs back (encrypted
reasoning, phases, items of tools that ran there) travels in ``Message.provider_state``.
https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from llm_orchestrator.exceptions import InvalidMessagesError, InvalidResponseError
from llm_orchestrator.providers.content import parts_of, tool_call, without_none
from llm_orchestrator.providers.failures import error_of_failure
from llm_orchestrator.providers.openai_common import (
    arguments_of,
    as_list,
    as_mapping,
    as_text,
    check_tool_results,
    image_of,
    new_call_id,
    read_failure,
    read_usage,
    same_turn,
    state_of,
    warnings_of_state,
)
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import JSON, FinishReason, LLMRequest, LLMResponse, Message, ToolCall

__all__ = ["API", "arguments_field", "build_request", "parse_reply"]

API = "responses"
PATH = "/responses"

#: Parameters that Responses has no field for, Chat's own first.
UNSUPPORTED = ("stop", "seed", "frequency_penalty", "presence_penalty", "top_k")
#: Items that ask the application to call a tool, and the field with the arguments.
CALL_ITEMS = {"function_call": "arguments", "custom_tool_call": "input"}
#: Items that carry on without the reasoning before them.
FREE_ITEMS = ("message", *CALL_ITEMS)
ENCRYPTED_REASONING = "reasoning.encrypted_content"
COMMENTARY = "commentary"
STRUCTURED_FORMATS = ("json_schema", "json_object")
INCOMPLETE_REASONS: Mapping[str, FinishReason] = {
    "max_output_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}


# -------------------------------------------------------------------------------------------------- request


def build_request(request: LLMRequest, *, stream: bool) -> WireRequest:
    """Translate a request.

    Args:
        request: The call.
        stream: Whether the answer is to be streamed.

    Returns:
        Path and body.

    Raises:
        InvalidMessagesError: A message cannot be sent to this API.
    """
    check_tool_results(request.messages, at_once=False)
    items = list(_input(request.messages))
    body: Dict[str, Any] = {
        "model": request.model,
        "input": items,
        "store": False,
        **without_none(
            {
                "temperature": request.temperature,
                "top_p": request.top_p,
                "max_output_tokens": request.max_tokens,
                "parallel_tool_calls": request.parallel_tool_calls,
                "tool_choice": _tool_choice(request.tool_choice),
            }
        ),
    }
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.response_format is not None:
        body["text"] = {"format": _format(request.response_format)}
    if request.reasoning_effort is not None:
        body["reasoning"] = {"effort": request.reasoning_effort}
    if _is_known_to_reason(request, items):
        body["include"] = [ENCRYPTED_REASONING]
    if stream:
        body["stream"] = True
    return WireRequest(
        PATH,
        body,
        api=API,
        unsupported=tuple(name for name in UNSUPPORTED if getattr(request, name) not in (None, ())),
        warnings=warnings_of_state(request.messages, API) + _warnings_of_names(request.messages),
    )


def _warnings_of_names(messages: Sequence[Message]) -> Tuple[str, ...]:
    if not any(message.name for message in messages if message.role != "tool"):
        return ()
    return ("Names of messages were not sent: OpenAI's Responses API has no field for them.",)


def _is_known_to_reason(request: LLMRequest, items: Sequence[JSON]) -> bool:
    """Whether encrypted reasoning may be asked for: models that do not reason answer that with status 400."""
    if request.reasoning_effort is not None or "reasoning" in request.provider_options:
        return True
    return any(item.get("type") == "reasoning" for item in items)


def _tool(tool: JSON) -> JSON:
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, Mapping):
        return tool
    # Left out, the schema is not strict in Chat but strict here: say what the Chat form means.
    defaults = {"parameters": {"type": "object", "properties": {}}, "strict": False}
    return {"type": "function", **defaults, **without_none(function)}


def _tool_choice(choice: Any) -> Any:
    if not isinstance(choice, Mapping) or not isinstance(choice.get("function"), Mapping):
        return choice
    return {"type": "function", "name": choice["function"].get("name")}


def _format(response_format: JSON) -> JSON:
    schema = response_format.get("json_schema")
    if not isinstance(schema, Mapping):
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
    output = _items(state_of(message, API).get("output"))
    texts = [answer_text(output, structured=structured) for structured in (False, True)]
    return output if output and same_turn(message, texts, _calls(output)) else []


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


def _content(message: Message, index: int, translate: Any) -> Any:
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
    if kind == "file" and isinstance(part.get("file"), Mapping):
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


# -------------------------------------------------------------------------------------------------- reply


def parse_reply(body: JSON, provider: str) -> LLMResponse:
    """Translate a whole reply.

    Args:
        body: The response object.
        provider: Name of the provider entry.

    Returns:
        The answer. Structured output is that of the final message alone, since two together are no JSON.

    Raises:
        ProviderError: The response failed.
        InvalidResponseError: The reply holds no output.
    """
    if body.get("status") == "failed":
        failure = error_of_failure(read_failure(body, None, {}))
        raise failure
    if not isinstance(body.get("output"), list):
        raise InvalidResponseError("The reply holds no output. Try again, or check api and base_url.")
    output = _items(body["output"])
    text_format = as_mapping(as_mapping(body.get("text")).get("format"))
    text = answer_text(output, structured=text_format.get("type") in STRUCTURED_FORMATS)
    calls = _calls(output)
    refusal = "".join(_parts(output, "message", "refusal", "refusal")) or None
    finish_reason, raw_finish_reason = _finish_reason(body, calls, refusal)
    return LLMResponse(
        content=text,
        model=as_text(body.get("model")),
        provider=provider,
        usage=read_usage(body.get("usage"), "input_tokens", "output_tokens"),
        finish_reason=finish_reason,
        raw_finish_reason=raw_finish_reason,
        tool_calls=calls,
        reasoning="\n\n".join(reasoning_texts(output)) or None,
        refusal=refusal,
        message=Message(
            "assistant", text or None, tool_calls=calls, provider=provider, provider_state=_state(output)
        ),
    )


def _items(output: Any) -> List[JSON]:
    return [item for item in as_list(output) if isinstance(item, Mapping)]


def _parts(output: Sequence[JSON], item_type: str, part_type: str, field: str) -> Iterator[str]:
    for item in output:
        if item.get("type") == item_type:
            for part in _items(item.get("content")):
                if part.get("type") == part_type:
                    yield as_text(part.get(field))


def answer_text(output: Sequence[JSON], *, structured: bool) -> str:
    """Read the text of the answer.

    Args:
        output: The items of the response.
        structured: Whether the text is JSON, of which two messages would make none.

    Returns:
        The text of all messages; for JSON, that of the last message that is no commentary.
    """
    if structured:
        final = [item for item in output if item.get("phase") != COMMENTARY]
        texts = ["".join(_parts([item], "message", "output_text", "text")) for item in final]
        said = [text for text in texts if text]
        if said:
            return said[-1]
    return "".join(_parts(output, "message", "output_text", "text"))


def reasoning_texts(output: Sequence[JSON]) -> List[str]:
    """Read the reasoning that is shown.

    Args:
        output: The items of the response.

    Returns:
        The text of each part that has some: summaries, and reasoning in the clear of open models.
    """
    parts = [
        part
        for item in output
        if item.get("type") == "reasoning"
        for part in _items(item.get("summary")) + _items(item.get("content"))
    ]
    return [text for text in (as_text(part.get("text")) for part in parts) if text]


def arguments_field(item: JSON) -> Optional[str]:
    """Find the field in which an item asks for a tool call.

    Args:
        item: An item of the output.

    Returns:
        The field with the arguments; None when the item is no call for the application to make.
    """
    return CALL_ITEMS.get(as_text(item.get("type")))


def _calls(output: Sequence[JSON]) -> Tuple[ToolCall, ...]:
    return tuple(
        tool_call(
            as_text(item.get("call_id")) or as_text(item.get("id")) or new_call_id(),
            as_text(item.get("name")),
            as_text(item.get(field)),
        )
        for item, field in ((item, arguments_field(item)) for item in output)
        if field
    )


def _finish_reason(
    body: JSON, calls: Tuple[ToolCall, ...], refusal: Optional[str]
) -> Tuple[FinishReason, Optional[str]]:
    status = as_text(body.get("status")) or None
    if status == "incomplete":
        reason = as_text(as_mapping(body.get("incomplete_details")).get("reason"))
        return INCOMPLETE_REASONS.get(reason, FinishReason.OTHER), reason or status
    if status != "completed":
        return FinishReason.OTHER, status
    if calls:
        return FinishReason.TOOL_CALLS, status
    return (FinishReason.CONTENT_FILTER if refusal else FinishReason.STOP), status


def _state(output: List[JSON]) -> Optional[JSON]:
    """The items as they must go back, where text and tool calls alone would lose something."""
    while output and output[-1].get("type") == "reasoning":
        output = output[:-1]  # refused without the item it led to, which was cut off
    if all(item.get("encrypted_content") for item in output if item.get("type") == "reasoning"):
        kept = output
    else:
        # Reasoning that is not encrypted is looked up by its id, and so are the items that name it: in vain,
        # since nothing was stored.
        kept = [_without_id(item) for item in output if item.get("type") in FREE_ITEMS]
    return None if _is_plain(kept) else {"api": API, "output": kept}


def _without_id(item: JSON) -> JSON:
    return {key: value for key, value in item.items() if key != "id"}


def _is_plain(output: Sequence[JSON]) -> bool:
    """Whether the items are at most one message of plain text and then function calls."""
    types = [item.get("type") for item in output]
    if any(kind not in ("message", "function_call") for kind in types) or types.count("message") > 1:
        return False
    if "message" in types[1:] or any(item.get("phase") for item in output):
        return False
    return not any(_parts(output, "message", "refusal", "refusal"))
