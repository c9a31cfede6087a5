"""OpenAI's Responses API: its whole JSON as our values.

The answer is a list of typed items: messages, calls, reasoning, and what tools at OpenAI did.
https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from typing import Any, Iterator, List, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.providers.failures import error_of_failure
from llm_orchestrator.providers.openai.common import (
    as_list,
    as_mapping,
    as_text,
    new_call_id,
    read_failure,
    read_usage,
)
from llm_orchestrator.types import JSON, FinishReason, LLMResponse, Message, ToolCall, tool_call

__all__ = ["API", "answer_text", "arguments_field", "calls_of", "items_of", "parse_reply"]

API = "responses"

#: Items that ask the application to call a tool, and the field with the arguments.
CALL_ITEMS = {"function_call": "arguments", "custom_tool_call": "input"}
#: Items that carry on without the reasoning before them.
FREE_ITEMS = ("message", *CALL_ITEMS)
COMMENTARY = "commentary"
STRUCTURED_FORMATS = ("json_schema", "json_object")
INCOMPLETE_REASONS: Mapping[str, FinishReason] = {
    "max_output_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}


def parse_reply(body: JSON, provider: str) -> LLMResponse:
    """Translate a whole reply."""
    if body.get("status") == "failed":
        failure = error_of_failure(read_failure(body, None, {}))
        raise failure
    if not isinstance(body.get("output"), list):
        raise InvalidResponseError("The reply holds no output. Try again, or check api and base_url.")
    output = items_of(body["output"])
    text_format = as_mapping(as_mapping(body.get("text")).get("format"))
    text = answer_text(output, structured=text_format.get("type") in STRUCTURED_FORMATS)
    calls = calls_of(output)
    refusal = "".join(_said(output, "refusal", "refusal")) or None
    finish_reason, raw_finish_reason = _finish_reason(body, calls, refusal)
    return LLMResponse(
        content=text,
        model=as_text(body.get("model")),
        provider=provider,
        usage=read_usage(body.get("usage"), "input_tokens", "output_tokens"),
        finish_reason=finish_reason,
        raw_finish_reason=raw_finish_reason,
        tool_calls=calls,
        reasoning="\n\n".join(_reasoning_texts(output)) or None,
        refusal=refusal,
        message=Message(
            "assistant", text or None, tool_calls=calls, provider=provider, provider_state=_state(output)
        ),
    )


def items_of(output: Any) -> List[JSON]:
    """Read a list of items."""
    return [item for item in as_list(output) if isinstance(item, dict)]


def _said(output: Sequence[JSON], part_type: str, field: str) -> Iterator[str]:
    for item in output:
        if item.get("type") == "message":
            for part in items_of(item.get("content")):
                if part.get("type") == part_type:
                    yield as_text(part.get(field))


def answer_text(output: Sequence[JSON], *, structured: bool) -> str:
    """Read the text of the answer."""
    if structured:
        final = [item for item in output if item.get("phase") != COMMENTARY]
        texts = ["".join(_said([item], "output_text", "text")) for item in final]
        said = [text for text in texts if text]
        if said:
            return said[-1]
    return "".join(_said(output, "output_text", "text"))


def _reasoning_texts(output: Sequence[JSON]) -> List[str]:
    """The parts of the reasoning that is shown: summaries, and open models' reasoning in the clear."""
    parts = [
        part
        for item in output
        if item.get("type") == "reasoning"
        for part in items_of(item.get("summary")) + items_of(item.get("content"))
    ]
    return [text for text in (as_text(part.get("text")) for part in parts) if text]


def arguments_field(item: JSON) -> Optional[str]:
    """Find the field in which an item asks for a tool call."""
    return CALL_ITEMS.get(as_text(item.get("type")))


def calls_of(output: Sequence[JSON]) -> Tuple[ToolCall, ...]:
    """Read the calls that the application is to make; what OpenAI ran itself is none."""
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
    return not any(_said(output, "refusal", "refusal"))
