"""Conversation: a history that grows by whole turns, one call at a time, with one provider for life.

A turn is what was sent and its answer. It is kept when the answer is complete and not at all otherwise, so
that whatever happens to a call, the history can go on.
"""

from __future__ import annotations

import threading
from collections import abc
from copy import deepcopy
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Mapping, NoReturn, Optional, Tuple, Type, Union

from llm_orchestrator.calls.history import ConversationState, read_document, write_document
from llm_orchestrator.exceptions import (
    InvalidRequestError,
    OrchestratorError,
    OutputParseError,
    OutputTruncatedError,
    ProviderSwitchError,
    StreamInterruptedError,
)
from llm_orchestrator.request.arguments import call_arguments, snapshot
from llm_orchestrator.request.messages import check_owner, read_messages
from llm_orchestrator.streaming import AsyncLLMStream, LLMStream, StreamCore
from llm_orchestrator.types import LLMResponse, Message, MessageLike, Messages, TokenUsage
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from llm_orchestrator.calls.call import Call
    from llm_orchestrator.orchestrator import LLMOrchestrator
    from llm_orchestrator.providers.stream import AsyncProviderStream, ProviderStream

__all__ = ["Conversation"]


class Conversation:
    """A conversation with one provider: it keeps the history, and grows by a turn with every answer.

    ``LLMOrchestrator.start_conversation`` makes one, ``from_json`` brings a saved one back. It stays with its
    provider for life, whatever becomes the active one later. One call runs at a time; threads and tasks may
    share a conversation, but a call that comes while another runs, or while a stream is open, is refused.

    Args:
        orchestrator: Its active provider and model are those of the conversation.
        system: The system message; None for none.
        **defaults: Arguments of ``send_request`` that hold for every turn.
    """

    def __init__(self, orchestrator: LLMOrchestrator, system: Optional[str] = None, **defaults: Any) -> None:
        checked = call_arguments("Hi", **defaults).request
        # The schemas of functions are made here once, and not with every turn.
        self._defaults = {**defaults, "tools": checked.tools} if checked.tools else defaults
        self._orchestrator = orchestrator.for_provider(orchestrator.active_provider, checked.model or None)
        start = () if system is None else read_messages([{"role": "system", "content": system}])
        self._state = ConversationState(start)
        self._in_use = threading.Lock()  # held while a call runs; never waited for

    def __repr__(self) -> str:
        return (
            f"Conversation(provider={self.provider!r}, model={self.model!r}, messages={len(self.messages)})"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "A conversation cannot be copied. Save it with to_json; from_json makes another of it."
        )

    # ---------------------------------------------------------------- what was said and spent

    @property
    def provider(self) -> str:
        """Name of the provider entry it belongs to."""
        return self._orchestrator.active_provider

    @property
    def model(self) -> Optional[str]:
        """The model that is asked when a turn names none."""
        return self._orchestrator.active_model

    @property
    def messages(self) -> Tuple[Message, ...]:
        """All turns so far, the system message first."""
        return self._state.messages

    @property
    def cost(self) -> Decimal:
        """What the conversation has cost, in US dollars, as far as known; see ``unpriced_requests``."""
        return self._state.cost

    @property
    def unpriced_requests(self) -> int:
        """Number of calls whose cost, or a part of it, is not in ``cost``, as it is not known."""
        return self._state.unpriced_requests

    @property
    def usage(self) -> TokenUsage:
        """The tokens of all calls, as far as told; its ``source`` is ``partial`` when some was not."""
        return self._state.usage

    # ---------------------------------------------------------------- turns

    def send(self, messages: Union[Messages, MessageLike], **arguments: Any) -> LLMResponse:
        """Send what comes next and get a whole answer; both are then part of the conversation.

        Args:
            messages: A user turn as a text, one message, or several, such as the results of tool calls.
            **arguments: Arguments of ``send_request`` for this turn; each replaces the conversation's own.

        Returns:
            The complete answer.

        Raises:
            OrchestratorError: Another call of the conversation is running, or what ``send_request`` raises;
                the conversation is as it was.
        """
        return self._turn(messages, arguments, streamed=False).send()

    async def asend(self, messages: Union[Messages, MessageLike], **arguments: Any) -> LLMResponse:
        """Send what comes next and get a whole answer, async; see ``send``, and ``send_request``."""
        return await self._turn(messages, arguments, streamed=False).asend()

    def stream(self, messages: Union[Messages, MessageLike], **arguments: Any) -> LLMStream:
        """Send what comes next and get a streamed answer; read to its end, both are part of the conversation.

        The request is sent at the first iteration, ``with``, ``events()`` or ``final_response()``, and the
        conversation is in use from then on until the stream has ended, was closed or dropped.

        Args:
            messages: As in ``send``.
            **arguments: As in ``send``.

        Returns:
            The stream; iterate over it to get pieces of text.

        Raises:
            OrchestratorError: As in ``send``; what only the request can tell shows when it is sent.
        """
        return LLMStream(self._turn(messages, arguments, streamed=True))

    def astream(self, messages: Union[Messages, MessageLike], **arguments: Any) -> AsyncLLMStream:
        """Get a streamed answer, async; returned without ``await``. See ``stream``, and ``send_request``."""
        return AsyncLLMStream(self._turn(messages, arguments, streamed=True))

    def undo(self) -> Tuple[Message, ...]:
        """Take back the last answer and the user's or tools' messages it answered; what it cost stays.

        Returns:
            These messages: ``conversation.send(conversation.undo())`` asks for another answer.

        Raises:
            OrchestratorError: There is no answer yet, or a call is running.
        """
        self._take()
        try:
            messages = self.messages
            if not messages or messages[-1].role != "assistant":
                raise OrchestratorError("There is no answer to take back. Send something first.")
            end = start = len(messages) - 1
            while start and messages[start - 1].role in ("user", "tool"):
                start -= 1
            self._state = evolve(self._state, messages=messages[:start])
            return messages[start:end]
        finally:
            self._in_use.release()

    def _turn(self, messages: Any, arguments: Mapping[str, Any], *, streamed: bool) -> _Turn:
        """Check everything that can be checked before the request is sent."""
        if self._in_use.locked():
            raise _busy()
        one = isinstance(messages, (Message, abc.Mapping))
        read = call_arguments([messages] if one else messages, **{**self._defaults, **arguments})
        request = snapshot(read.request)  # or the caller could change the history later
        call = self._orchestrator._call(evolve(read, request=request), streamed=streamed)
        return _Turn(self, call, request.messages)

    def _take(self) -> None:
        if not self._in_use.acquire(blocking=False):
            raise _busy()

    # ---------------------------------------------------------------- JSON

    def to_json(self) -> str:
        """Write the conversation as JSON, to be stored and brought back by ``from_json``.

        It holds the messages with everything the provider wants back, what was used and spent, and the names
        of provider and model; the defaults are the program's and not in it. A call that is running is not in
        it either.

        Returns:
            The JSON, in ASCII, so that no file's encoding can change it.

        Raises:
            InvalidMessagesError: A message holds what JSON cannot.
        """
        adapter = _adapter_of(self._orchestrator, self.provider)
        return write_document(self.provider, adapter, self.model, self._state)

    @classmethod
    def from_json(cls, text: str, orchestrator: LLMOrchestrator, **defaults: Any) -> Conversation:
        """Bring a saved conversation back; it goes on with the provider entry that it was saved with.

        Args:
            text: What ``to_json`` wrote.
            orchestrator: One whose configuration has that entry, active or not. The model is the one in
                ``defaults``, else the active one where the entry is active, else the one it was saved with.
            **defaults: Arguments of ``send_request`` that hold for every turn from now on.

        Returns:
            The conversation.

        Raises:
            ProviderSwitchError: The entry is not configured or speaks another protocol now, or
                ``orchestrator`` was made by ``for_provider`` for another one.
            InvalidMessagesError: The text is no saved conversation.
            InvalidRequestError: An argument is wrong.
            ConfigurationError: The provider lacks its key.
        """
        if "system" in defaults:
            raise InvalidRequestError(
                "A saved conversation has its own system message. Leave system out, or start another one."
            )
        saved = read_document(text)
        conversation = cls(_home_of(saved, orchestrator), **defaults)
        conversation._state = ConversationState.from_dict(saved)
        check_owner(conversation.messages, conversation.provider)
        return conversation


class _Turn:
    """A turn under way: the call behind ``send`` or a stream, which holds the conversation until its end."""

    def __init__(self, conversation: Conversation, call: Call, messages: Tuple[Message, ...]) -> None:
        self._conversation = conversation
        self._call = call
        self._messages = messages
        self._holds = False

    def send(self) -> LLMResponse:
        with self:
            return self._keep(self._call.send())

    async def asend(self) -> LLMResponse:
        with self:
            return self._keep(await self._call.asend())

    def open(self) -> ProviderStream:
        """Send the request of a stream, see ``StreamedCall``, of which the following are part, too."""
        with self:
            return self._call.open()

    async def aopen(self) -> AsyncProviderStream:
        with self:
            return await self._call.aopen()

    def opened(self, stream: StreamCore) -> None:
        self._call.opened(stream)

    def succeed(self, response: LLMResponse) -> LLMResponse:
        response = self._keep(self._call.succeed(response))
        self._release()
        return response

    def fail(self, error: Exception) -> None:
        try:
            self._call.fail(error)
        finally:
            self._fail(error)

    def abandon(self, partial: LLMResponse, status: str) -> None:
        try:
            self._call.abandon(partial, status)
        finally:
            self._count(partial)
            self._release()

    def hand_over(self, source: Union[ProviderStream, AsyncProviderStream]) -> None:
        self._call.hand_over(source)
        self._count(None)
        self._release()

    def __enter__(self) -> None:
        self._conversation._take()
        self._holds = True
        self._call.follow(self._conversation.messages)

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if error is not None:
            self._fail(error)
        elif not self._call.is_streamed:
            self._release()

    def _keep(self, response: LLMResponse) -> LLMResponse:
        """Let what was sent and its answer become part of the conversation."""
        plain = Message("assistant", response.content, response.tool_calls, provider=response.provider)
        answer = response.message or plain
        if answer.tool_calls or answer.provider_state:
            answer = deepcopy(answer)  # a tool may change the arguments it is given
        conversation = self._conversation
        conversation._state = conversation._state.with_turn((*self._messages, answer), response)
        return response

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, (OutputTruncatedError, OutputParseError)):
            self._count(error.response)
        elif isinstance(error, StreamInterruptedError):
            self._count(error.partial_response)
        self._release()

    def _count(self, answer: Optional[LLMResponse]) -> None:
        self._conversation._state = self._conversation._state.with_cost_of(answer)

    def _release(self) -> None:
        if self._holds:
            self._holds = False
            self._conversation._in_use.release()


def _busy() -> OrchestratorError:
    return OrchestratorError(
        "Another call of this conversation is running. Let it end, or close its stream, and send again."
    )


def _home_of(saved: Mapping[str, Any], orchestrator: LLMOrchestrator) -> LLMOrchestrator:
    """The orchestrator with whose active provider a saved conversation goes on."""
    name, active = saved["provider"], orchestrator.active_provider
    if orchestrator._is_sibling and name != active:
        raise _foreign(name, f"this orchestrator was made for {active!r}", f"Use for_provider({name!r})")
    if name not in orchestrator.config.providers:
        raise _foreign(name, "there is none in the configuration", "Configure it")
    before, now = saved.get("adapter"), _adapter_of(orchestrator, name)
    if before != now:
        raise _foreign(
            name, f"that entry's adapter is {now!r} now and was {before!r}", "Configure it as it was"
        )
    if name == active and orchestrator.active_model:
        return orchestrator
    return orchestrator.for_provider(name, saved.get("model"))


def _foreign(name: str, problem: str, remedy: str) -> ProviderSwitchError:
    return ProviderSwitchError(
        f"The conversation belongs to provider {name!r}, and {problem}. {remedy}, or start another one."
    )


def _adapter_of(orchestrator: LLMOrchestrator, name: str) -> str:
    return orchestrator.config.providers[name].adapter or name
