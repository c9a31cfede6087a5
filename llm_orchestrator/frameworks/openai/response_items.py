"""From the library's answers to the SDK's ``Response`` and its items."""

from __future__ import annotations

import time
import uuid
from collections import abc
from typing import Any, Dict, Iterable, List, Optional

from llm_orchestrator.frameworks.openai.completions import state_of
from llm_orchestrator.frameworks.openai.response_values import (
    ContentPart,
    OutputItem,
    Response,
    ResponseUsage,
)
from llm_orchestrator.frameworks.openai.values import Value
from llm_orchestrator.types import JSON, FinishReason, LLMResponse, TokenUsage

__all__ = [
    "asked_for",
    "call_item",
    "items_of",
    "message_item",
    "new_id",
    "reasoning_item",
    "response_of",
    "text_part",
]

#: Why an answer is not complete, in the SDK's words; any other reason is told as it is.
INCOMPLETE = {FinishReason.LENGTH: "max_output_tokens"}
COMPLETE = (FinishReason.STOP, FinishReason.TOOL_CALLS)


def new_id(prefix: str) -> str:
    """An id no other value has."""
    return f"{prefix}_{uuid.uuid4().hex}"


def asked_for(options: JSON) -> Dict[str, Any]:
    """What a ``Response`` repeats of the arguments of its call."""
    repeated = {name: options[name] for name in ("parallel_tool_calls", "tool_choice") if name in options}
    return {**repeated, "tools": [tool for tool in options.get("tools", ()) if isinstance(tool, abc.Mapping)]}


def response_of(
    response: LLMResponse,
    options: JSON,
    items: Optional[Iterable[OutputItem]] = None,
    identifier: str = "",
) -> Response:
    """Write the answer to a call as a ``Response``; a stream gives the items and the id that it told."""
    output = list(items_of(response).values() if items is None else items)
    for item in [item for item in output if item.type != "reasoning"][:1]:
        for name, value in state_of(response).items():
            setattr(item, name, value)
    reason = response.finish_reason
    is_complete = reason in COMPLETE
    made = Response(
        id=identifier or new_id("resp"),
        created_at=time.time(),
        **asked_for(options),
        model=response.model,
        output=output,
        status="completed" if is_complete else "incomplete",
        incomplete_details=None if is_complete else Value(reason=INCOMPLETE.get(reason, reason.value)),
        usage=_usage_of(response.usage),
    )
    made._llm_response, made._request_id = response, response.request_id
    return made


def items_of(response: LLMResponse) -> Dict[str, OutputItem]:
    """The items of an answer, by what they are: ``reasoning``, ``message``, ``call 0`` and so on."""
    items: Dict[str, OutputItem] = {}
    if response.reasoning:
        items["reasoning"] = reasoning_item(response.reasoning)
    if response.content or response.refusal or not response.tool_calls:
        parts = [text_part(response.content)] if response.content or not response.refusal else []
        if response.refusal:
            parts.append(ContentPart(type="refusal", refusal=response.refusal))
        items["message"] = message_item(parts)
    for index, call in enumerate(response.tool_calls):
        items[f"call {index}"] = call_item(call.id, call.name, call.arguments_text())
    return items


def text_part(text: str) -> ContentPart:
    """A part with text."""
    return ContentPart(type="output_text", text=text, annotations=[])


def message_item(parts: List[ContentPart], **fields: Any) -> OutputItem:
    """An item with parts."""
    return OutputItem(id=new_id("msg"), type="message", role="assistant", content=parts, **fields)


def reasoning_item(text: str, **fields: Any) -> OutputItem:
    """An item with visible reasoning."""
    summary = [Value(type="summary_text", text=text)] if text else []
    return OutputItem(id=new_id("rs"), type="reasoning", summary=summary, **fields)


def call_item(identifier: Optional[str], name: Optional[str], arguments: str, **fields: Any) -> OutputItem:
    """An item with the call of a tool."""
    return OutputItem(
        id=new_id("fc"),
        type="function_call",
        call_id=identifier,
        name=name,
        arguments=arguments,
        **fields,
    )


def _usage_of(usage: TokenUsage) -> Optional[ResponseUsage]:
    if (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (None, None, None):
        return None
    return ResponseUsage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        input_tokens_details=Value(cached_tokens=usage.cached_tokens),
        output_tokens_details=Value(reasoning_tokens=usage.reasoning_tokens),
    )
