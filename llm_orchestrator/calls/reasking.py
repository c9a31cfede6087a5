"""An answer that does not fit is asked for again: the next turn, and what all answers cost together."""

from __future__ import annotations

from typing import Optional, Sequence, Tuple, Union

from llm_orchestrator.calls.continuation import sum_of_details, sum_of_usage
from llm_orchestrator.exceptions import OutputParseError, OutputTruncatedError, forget_frames
from llm_orchestrator.request.output import what_is_wrong
from llm_orchestrator.types import LLMRequest, LLMResponse, Message
from llm_orchestrator.utils.values import evolve

__all__ = ["Misfits", "asked_again", "reason_of", "with_paid"]

#: Faults that the model is told of.
_MOST_FAULTS = 20


class Misfits:
    """The answers of one call that did not fit, and how often it may still ask again.

    Attributes:
        left: How often it may.
        last: The error of the last one; it has all that came before. None: there was none.
    """

    __slots__ = ("last", "left")

    def __init__(self, most: int) -> None:
        self.left = most
        self.last: Optional[OutputParseError] = None

    def add(self, error: OutputParseError) -> None:
        """Note one more, which is asked for again."""
        self.add_paid(error)
        forget_frames(error)  # they would keep a stream alive
        self.left -= 1
        self.last = error

    def add_paid(self, error: Union[OutputParseError, OutputTruncatedError]) -> None:
        """Keep those before on the error of the last answer."""
        earlier = self._responses
        error.responses = earlier + error.responses
        error.response = with_paid(earlier, error.response)

    def with_paid(self, answer: Optional[LLMResponse]) -> Optional[LLMResponse]:
        """What came last, with what those before cost."""
        return with_paid(self._responses, answer)

    def keep_as_cause(self, error: BaseException) -> None:
        """Put them at the end of the causes of what came instead of another answer."""
        if self.last is not None and not isinstance(error, (OutputParseError, OutputTruncatedError)):
            _keep_as_cause(error, self.last)

    @property
    def _responses(self) -> Tuple[LLMResponse, ...]:
        return self.last.responses if self.last is not None else ()


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


def _keep_as_cause(error: BaseException, misfit: OutputParseError) -> None:
    """Put the answers that were paid for at the end of the causes of what came instead of another one."""
    last = error
    while last.__cause__ is not None and last.__cause__ is not misfit:
        last = last.__cause__
    if last is not misfit:
        last.__cause__ = misfit
