"""An answer that does not fit is asked for again: the next turn, and what all answers cost together."""

from __future__ import annotations

from typing import Optional, Sequence

from llm_orchestrator.calls.continuation import sum_of_details
from llm_orchestrator.calls.conversation_state import sum_of_usage
from llm_orchestrator.exceptions import OutputParseError
from llm_orchestrator.request.output import what_is_wrong
from llm_orchestrator.types import LLMRequest, LLMResponse, Message
from llm_orchestrator.utils.values import evolve

__all__ = ["asked_again", "keep_misfit_as_cause", "reason_of", "with_paid"]

#: Faults that the model is told of.
_MOST_FAULTS = 20


def reason_of(error: OutputParseError) -> str:
    """What does not fit, for the model to correct."""
    assert isinstance(error.__cause__, Exception), "what the type found is its cause"
    return what_is_wrong(error.__cause__, _MOST_FAULTS)


def asked_again(request: LLMRequest, error: OutputParseError) -> LLMRequest:
    """Put the answer and what is wrong with it behind what was sent."""
    told = Message(
        "user",
        f"Your answer does not fit what was asked for: {reason_of(error)}. Answer again with the whole of "
        "it, corrected, as JSON and nothing else.",
    )
    answer = error.response
    assert answer is not None, "only an answer can be wrong"
    said = answer.message
    if said is None or answer.tool_calls:  # calls would have to be answered
        said = Message("assistant", answer.content, provider=answer.provider)
    turns = (said, told) if answer.content.strip() else (told,)  # no provider takes an empty answer back
    return evolve(request, messages=request.messages + turns)


def with_paid(earlier: Sequence[LLMResponse], answer: Optional[LLMResponse]) -> Optional[LLMResponse]:
    """The answer with the tokens and the price of those before it, which were paid for as well."""
    for paid in reversed(earlier):
        answer = paid if answer is None else _with_paid(paid, answer)
    return answer


def _with_paid(paid: LLMResponse, answer: LLMResponse) -> LLMResponse:
    details = sum_of_details(paid.cost_details, answer.cost_details)
    return evolve(
        answer,
        usage=sum_of_usage(paid.usage, answer.usage),
        cost=details.total if details is not None else None,
        cost_details=details,
    )


def keep_misfit_as_cause(error: BaseException, misfit: OutputParseError) -> None:
    """Put the answers that were paid for at the end of the causes of what came instead of another one."""
    last = error
    while last.__cause__ is not None and last.__cause__ is not misfit:
        last = last.__cause__
    if last is not misfit:
        last.__cause__ = misfit
