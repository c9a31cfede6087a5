"""What ``warnings`` say of an answer that a reader may take for another one, the same for all protocols."""

from __future__ import annotations

from typing import Collection, Optional, Sequence, Tuple

from llm_orchestrator.providers.reading import as_count, as_mapping
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import FinishReason, LLMRequest, LLMResponse, StreamEvent, TextDelta

__all__ = ["holds_only", "warning_of_streamed", "warnings_of_answer"]

EMPTY = "The answer is empty: the model stopped without writing any text."
DIFFERS = (
    "The text that was streamed differs from the answer that the provider gave at the end of the stream. "
    "The latter is content: replace what was shown before."
)
NO_LOGPROBS = (
    "logprobs was sent, but the answer has none: the model or its host does not give them. Ask another "
    "model, or leave logprobs out."
)
NO_CALLS = "The model stopped to call a tool, but its answer holds no call that can be read."


def warnings_of_answer(response: LLMResponse, request: LLMRequest, wire: WireRequest) -> Tuple[str, ...]:
    """Warn of an answer that lacks its text, or what it was asked or stopped for, and of several in one."""
    is_said = response.content or response.tool_calls or response.refusal or response.images or response.audio
    is_empty = response.finish_reason is FinishReason.STOP and not (is_said or response.warnings)
    several = _several(max(_asked(wire), 1 + len(response.alternatives)))
    lacks_calls = response.finish_reason is FinishReason.TOOL_CALLS and not response.tool_calls
    lacks_logprobs = request.logprobs and response.content and not response.logprobs
    found = (is_empty and EMPTY, lacks_calls and NO_CALLS, lacks_logprobs and NO_LOGPROBS, several)
    return tuple([warning for warning in found if warning])


def holds_only(kinds: Collection[str]) -> Tuple[str, ...]:
    """Warn of an answer without text and calls, by the kinds of what it holds instead."""
    if not kinds:
        return ()
    return (f"The answer holds no text, only {', '.join(sorted(set(kinds)))}: see raw_response.",)


def warning_of_streamed(
    pieces: Sequence[StreamEvent], response: LLMResponse, request: LLMRequest
) -> Optional[str]:
    """Warn of an answer that is not what was streamed of it."""
    streamed = "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
    if streamed == response.content:
        return None
    # A structured answer may come after comments, which are streamed, too.
    is_last = request.response_format is not None and streamed.endswith(response.content)
    return None if is_last and response.content else DIFFERS


def _asked(wire: WireRequest) -> int:
    """How many answers the body asks for, in the words of OpenAI's Chat and of Gemini."""
    body = wire.body or {}
    if "n" not in body and "generationConfig" not in body:
        return 1
    generation = as_mapping(body.get("generationConfig"))
    return as_count(body.get("n")) or as_count(generation.get("candidateCount")) or 1


def _several(count: int) -> Optional[str]:
    if count < 2:
        return None
    return (
        f"The call was for {count} answers, and all of them are paid: content is the first, the texts of the "
        "others are in alternatives. Ask for one unless you read them."
    )
