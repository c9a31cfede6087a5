"""pydantic-ai's messages and answers, and the library's."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Sequence

from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    BinaryContent,
    CachePoint,
    DocumentUrl,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextContent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.usage import RequestUsage

from llm_orchestrator.frameworks.openai.arguments import read_turn
from llm_orchestrator.frameworks.openai.completions import state_of
from llm_orchestrator.request.attachments import file_part, image_part
from llm_orchestrator.types import FinishReason, LLMResponse, Message

__all__ = ["facts_of", "read_messages", "response_of", "usage_of"]

#: Finish reasons in pydantic-ai's words; others have none.
FINISHES = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.TOOL_CALLS: "tool_call",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.ERROR: "error",
}


def read_messages(messages: Sequence[ModelMessage], parameters: Any) -> List[Any]:
    """Read pydantic-ai's messages, with the instructions of the agent after its system prompts."""
    read = [turn for message in messages for turn in _read(message)]
    instructions = [Message("system", part.content) for part in parameters.instruction_parts or ()]
    first = next((index for index, turn in enumerate(read) if turn.role != "system"), len(read))
    return [*read[:first], *instructions, *read[first:]]


def _read(message: ModelMessage) -> Iterator[Any]:
    if not isinstance(message, ModelRequest):
        yield _answer(message)
        return
    files: List[Any] = []
    for part in message.parts:
        if isinstance(part, ToolReturnPart):
            text, shown = part.model_response_str_and_user_content()
            files += shown
            yield Message("tool", text, tool_call_id=part.tool_call_id, name=part.tool_name)
        elif isinstance(part, UserPromptPart):
            yield Message("user", _content(part.content))
        elif isinstance(part, SystemPromptPart):
            yield Message("system", part.content)
        else:
            raise UserError(f"A {type(part).__name__} cannot be sent. Call model.prepare_messages first.")
    if files:
        yield Message("user", _content(files))


def _answer(message: ModelResponse) -> Any:
    """An answer of an earlier turn; with its provider's own form where the orchestrator gave it."""
    text = "".join(part.content for part in message.parts if isinstance(part, TextPart))
    calls = [
        {"id": part.tool_call_id, "function": {"name": part.tool_name, "arguments": part.args}}
        for part in message.parts
        if isinstance(part, ToolCallPart)
    ]
    known = message.provider_details or {}
    kept = {name: known.get(name) for name in ("provider", "provider_state")}
    return read_turn({"role": "assistant", "content": text or None, "tool_calls": calls, **kept})


def _content(content: Any) -> Any:
    """What the user says: a text, or parts in the OpenAI Chat form."""
    if isinstance(content, str):
        return content
    parts: List[Dict[str, Any]] = []
    for item in content:
        if isinstance(item, CachePoint):
            if parts:
                parts[-1]["cache"] = "1h" if item.ttl == "1h" else "auto"
        else:
            parts.append(_part(item))
    return parts


def _part(item: Any) -> Dict[str, Any]:
    if isinstance(item, (str, TextContent)):
        return {"type": "text", "text": item if isinstance(item, str) else item.content}
    if isinstance(item, (ImageUrl, DocumentUrl)):
        return image_part(item.url) if isinstance(item, ImageUrl) else file_part(item.url)
    if not isinstance(item, BinaryContent):
        raise UserError(f"A {type(item).__name__} cannot be sent. Pass its bytes as BinaryContent.")
    if item.is_audio:
        return {"type": "input_audio", "input_audio": {"data": item.base64, "format": item.format}}
    return image_part(item.data_uri) if item.is_image else file_part(item.data_uri)


def response_of(response: LLMResponse) -> ModelResponse:
    """Write an answer."""
    parts: List[Any] = [] if response.reasoning is None else [ThinkingPart(response.reasoning)]
    parts += [TextPart(response.content)] if response.content else []
    parts += [ToolCallPart(call.name, call.arguments_text(), call.id) for call in response.tool_calls]
    known = {"model_name": response.model, "provider_name": response.provider, "usage": usage_of(response)}
    return ModelResponse(parts=parts, **known, **facts_of(response))


def facts_of(response: LLMResponse) -> Dict[str, Any]:
    """What is told at the end of an answer."""
    told = {
        "refusal": response.refusal,
        "request_id": response.request_id,
        "warnings": list(response.warnings),
    }
    return {
        "finish_reason": FINISHES.get(response.finish_reason),
        "provider_details": {**{name: value for name, value in told.items() if value}, **state_of(response)},
    }


def usage_of(response: LLMResponse) -> RequestUsage:
    """Write the usage and the cost; pydantic-ai counts an answer whose usage is not known as unmeasured."""
    usage = response.usage
    if usage.prompt_tokens is None and usage.completion_tokens is None:
        return RequestUsage(unmeasured_requests=1, cost=response.cost)
    return RequestUsage(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        cache_read_tokens=usage.cached_tokens or 0,
        cache_write_tokens=usage.cache_write_tokens or 0,
        output_reasoning_tokens=usage.reasoning_tokens or 0,
        cost=response.cost,
    )
