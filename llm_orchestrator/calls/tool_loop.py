"""The loop of tools: ask, make the calls that the answer asks for, send their results, until it asks none.

One loop and one bound. Sync and async share everything but the lines that wait.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import (
    Any,
    Awaitable,
    Callable,
    Dict,
    List,
    Literal,
    NamedTuple,
    Optional,
    Protocol,
    Tuple,
    Union,
)

from llm_orchestrator.calls.call import Call
from llm_orchestrator.calls.conversation_state import History
from llm_orchestrator.calls.held_history import HeldHistory
from llm_orchestrator.calls.reasking import with_paid
from llm_orchestrator.exceptions import InvalidRequestError, OutputTruncatedError, TooManyTurnsError
from llm_orchestrator.types import (
    FinishReason,
    LLMResponse,
    Message,
    MessageLike,
    Messages,
    ToolCall,
    checked,
)
from llm_orchestrator.types.tool_runs import Telling, Toolbox, arun_tool, run_tool
from llm_orchestrator.utils.values import evolve

__all__ = ["BeforeTool", "LoopArguments", "OnToolError", "ToolLoop", "Verdict", "loop_arguments"]

OnToolError = Literal["result", "raise"]

#: What ``before_tool`` says of a call: None or True approves it, a ToolCall takes its place, False and a
#: reason refuse it, a Message is a result in its stead.
Verdict = Union[None, bool, str, ToolCall, Message]
BeforeTool = Callable[[ToolCall], Union[Verdict, Awaitable[Verdict]]]
#: Reasons to stop with calls that are not whole, or that the provider took back.
_NOT_TO_BE_RUN = (FinishReason.LENGTH, FinishReason.CONTENT_FILTER, FinishReason.ERROR)
#: Choices that hold for every turn; any other would have the model call tools for ever.
_LASTING_CHOICES = (None, "auto", "none")


class LoopArguments(NamedTuple):
    """The checked arguments of a loop; those in ``arguments`` are of each call."""

    messages: Any
    arguments: Dict[str, Any]
    max_turns: int
    before_tool: Optional[BeforeTool]
    on_tool_error: OnToolError
    tool_timeout: Optional[float]


def loop_arguments(
    messages: Union[Messages, MessageLike],
    max_turns: int = 8,
    *,
    before_tool: Optional[BeforeTool] = None,
    on_tool_error: OnToolError = "result",
    tool_timeout: Optional[float] = None,
    **arguments: Any,
) -> LoopArguments:
    """Check the arguments of a loop; ``Conversation.run`` documents them."""
    if type(max_turns) is not int or max_turns < 1:
        raise InvalidRequestError(f"max_turns is {max_turns!r}. Pass a whole number above 0.")
    if before_tool is not None and not callable(before_tool):
        raise InvalidRequestError(f"before_tool is a {type(before_tool).__name__}. Pass a function.")
    if tool_timeout is not None:
        checked("tool_timeout", tool_timeout)
    Telling("", on_tool_error)  # which knows the words
    return LoopArguments(messages, arguments, max_turns, before_tool, on_tool_error, tool_timeout)


class CallMaker(Protocol):
    """Makes the call of a turn from its messages and arguments."""

    def __call__(
        self, history: HeldHistory, messages: Any, arguments: Dict[str, Any], *, streamed: bool
    ) -> Call:
        """Make it; everything is checked that can be before the request is sent."""


class ToolLoop:
    """One loop, from its first turn to the answer that calls no tool.

    Args:
        history: The conversation's, held while the loop runs.
        make_call: Makes the call of each turn.
        given: Its arguments.
        tools: The tools, and not only their schemas.
        awaits: Whether it runs on an event loop.
        streamed: Whether its answers are streamed.

    Attributes:
        call: The call of the turn.
        held: The history.
    """

    def __init__(
        self,
        history: History,
        make_call: CallMaker,
        given: LoopArguments,
        tools: Any,
        *,
        awaits: bool,
        streamed: bool,
    ) -> None:
        Toolbox(tools).check(awaits=awaits, may_answer=given.before_tool is not None)
        self.held = HeldHistory(history)
        self._make_call = make_call
        self._streamed = streamed
        self._given, self._tools = given, tools
        self._limits: Any = {"on_tool_error": given.on_tool_error, "timeout": given.tool_timeout}
        self._responses: List[LLMResponse] = []
        self.call = make_call(self.held, given.messages, given.arguments, streamed=streamed)
        self._arguments = self._lasting(given.arguments)

    def _lasting(self, arguments: Dict[str, Any]) -> Dict[str, Any]:
        """The arguments of the turns after the first."""
        request = self.call.request
        lasting = {**arguments, "tools": request.tools or None}  # their schemas are made once
        return lasting if request.tool_choice in _LASTING_CHOICES else {**lasting, "tool_choice": None}

    # ---------------------------------------------------------------- the two ways that are not streamed

    def run(self) -> LLMResponse:
        """Carry it out."""
        with self.held:
            while True:
                answer = self.took(self.call.send())
                if answer is not None:
                    return answer
                self.use_tools()

    async def arun(self) -> LLMResponse:
        """Carry it out, async."""
        with self.held:
            while True:
                answer = self.took(await self.call.asend())
                if answer is not None:
                    return answer
                await self.ause_tools()

    # ---------------------------------------------------------------- one turn

    def took(self, response: LLMResponse) -> Optional[LLMResponse]:
        """Take the answer of a turn: the last one with what all cost, or None where it calls tools."""
        self._responses.append(response)
        if not response.tool_calls or not self.held.is_kept:  # as one that is unfinished
            return self._in_all()
        if response.finish_reason in _NOT_TO_BE_RUN:
            self.held.drop_answer()
            return self._refused(response)
        self.held.mend_answer()
        if len(self._responses) >= self._given.max_turns:
            raise self._too_many()
        return None

    def use_tools(self) -> Tuple[Message, ...]:
        """Make the calls of the last answer, one after the other, and the call that sends their results."""
        for place, call in enumerate(self._responses[-1].tool_calls):
            decided = _decided(call, self._verdict_on(call))
            if not isinstance(decided, Message):
                with self.call.tool_report(decided) as report:
                    decided = report.took(run_tool(decided, self._tools, **self._limits))
            self._note(place, call, decided)
        return self._go_on()

    async def ause_tools(self) -> Tuple[Message, ...]:
        """The same, async: first all are approved, one after the other, then they run at the same time."""
        running: List[Any] = []
        for place, call in enumerate(self._responses[-1].tool_calls):
            verdict = self._verdict_on(call, awaits=True)
            decided = _decided(call, await verdict if inspect.isawaitable(verdict) else verdict)
            if isinstance(decided, Message):
                self._note(place, call, decided)
            else:
                running.append((place, call, decided))
        tasks = [asyncio.ensure_future(self._arun(*each)) for each in running]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()  # nothing, where it is done
        return self._go_on()

    async def _arun(self, place: int, call: ToolCall, decided: ToolCall) -> None:
        with self.call.tool_report(decided) as report:
            result = report.took(await arun_tool(decided, self._tools, **self._limits))
        self._note(place, call, result)

    def _verdict_on(self, call: ToolCall, *, awaits: bool = False) -> Any:
        if self._given.before_tool is None:
            return None
        verdict = self._given.before_tool(call)
        if inspect.isawaitable(verdict) and not awaits:
            if inspect.iscoroutine(verdict):
                verdict.close()
            raise InvalidRequestError("before_tool is async. Use it on one of the async ways.")
        return verdict

    def _note(self, place: int, call: ToolCall, result: Message) -> None:
        """Keep a result as that of the call that the model made, whatever was made in its place."""
        self.held.note(place, evolve(result, role="tool", tool_call_id=call.id, name=call.name))

    def _go_on(self) -> Tuple[Message, ...]:
        results = self.held.results
        self.call = self._make_call(self.held, list(results), self._arguments, streamed=self._streamed)
        return results

    # ---------------------------------------------------------------- how it ends

    def _in_all(self) -> LLMResponse:
        """The last answer, with the usage, the cost and the attempts of all."""
        *earlier, last = self._responses
        if not earlier:
            return last
        attempts = tuple(attempt for response in self._responses for attempt in response.attempts)
        warnings = dict.fromkeys(warning for response in self._responses for warning in response.warnings)
        summed = with_paid(earlier, last) or last
        return evolve(summed, attempts=attempts, warnings=tuple(warnings))

    def _refused(self, response: LLMResponse) -> LLMResponse:
        if response.finish_reason is not FinishReason.LENGTH:
            return self._in_all()
        error = OutputTruncatedError(
            "The model reached its token limit inside a tool call. Raise max_tokens; the answer so far is in "
            ".response.",
            response=self._in_all(),
            provider=response.provider,
            model=response.model,
            request_id=response.request_id,
        )
        error.responses, error.attempts = tuple(self._responses), self._in_all().attempts
        raise error

    def _too_many(self) -> TooManyTurnsError:
        answer, turns = self._in_all(), self._given.max_turns
        error = TooManyTurnsError(
            f"The model called tools in each of {turns} turns. Raise max_turns, or go on with another "
            "message; what was paid is in .response.",
            response=answer,
            responses=tuple(self._responses),
        )
        error.attempts = answer.attempts
        return error


def _decided(call: ToolCall, verdict: Any) -> Union[ToolCall, Message]:
    """The call that is to be made, or the result in its stead."""
    if verdict is None or verdict is True:
        return call
    if isinstance(verdict, (ToolCall, Message)):
        return verdict
    if verdict is False or isinstance(verdict, str):
        return call.result(f"This call was refused: {verdict}" if verdict else "This call was refused.")
    raise InvalidRequestError(
        f"before_tool returned a {type(verdict).__name__}. Return None to approve the call, a ToolCall in "
        "its place, or False or a reason to refuse it."
    )
