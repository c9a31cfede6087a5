"""Structured output that came as the arguments of a tool call, turned into the text that it is elsewhere."""

from __future__ import annotations

from typing import List, Sequence

from llm_orchestrator.providers.openai.compat import OUTPUT_TOOL
from llm_orchestrator.providers.wire import StreamState
from llm_orchestrator.types import FinishReason, LLMResponse, Message, StreamEvent, TextDelta, ToolCallDelta
from llm_orchestrator.utils.values import evolve

__all__ = ["events_as_text", "output_as_text"]

NOTE = "output call"


def output_as_text(response: LLMResponse) -> LLMResponse:
    """Make the arguments of the output tool the answer's text; other calls stay."""
    output = next((call for call in response.tool_calls if call.name == OUTPUT_TOOL), None)
    if output is None:
        return response
    text = response.content + output.raw_arguments
    calls = tuple(call for call in response.tool_calls if call.name != OUTPUT_TOOL)
    is_whole = not calls and response.finish_reason is FinishReason.TOOL_CALLS
    return evolve(
        response,
        content=text,
        tool_calls=calls,
        finish_reason=FinishReason.STOP if is_whole else response.finish_reason,
        message=Message("assistant", text or None, calls, provider=response.provider),
    )


def events_as_text(events: Sequence[StreamEvent], state: StreamState) -> List[StreamEvent]:
    """The same for the pieces of a stream."""
    shown: List[StreamEvent] = []
    for event in events:
        if not isinstance(event, ToolCallDelta):
            shown.append(event)
            continue
        if event.name == OUTPUT_TOOL:
            state.notes.setdefault(NOTE, event.index)
        if state.notes.get(NOTE) != event.index:
            shown.append(event)
        elif event.arguments:
            shown.append(TextDelta(event.arguments))
    return shown
