"""Conversation: a history that grows by whole turns, one call at a time, with one provider for life.

A turn is what was sent and its answer. It is kept when the answer is complete and not at all otherwise, so
that whatever happens to a call, the history can go on.
"""

from __future__ import annotations

from collections import abc
from decimal import Decimal
from typing import (
    TYPE_CHECKING,
    Any,
    Dict,
    Mapping,
    NoReturn,
    Optional,
    Protocol,
    Tuple,
    Type,
    TypeVar,
    Union,
    overload,
)

from llm_orchestrator.calls.conversation_state import (
    ConversationState,
    History,
    read_document,
    write_document,
)
from llm_orchestrator.calls.default_arguments import DefaultArguments
from llm_orchestrator.calls.held_history import HeldHistory
from llm_orchestrator.calls.streamed_loop import StreamedLoop
from llm_orchestrator.calls.tool_loop import LoopArguments, ToolLoop, loop_arguments
from llm_orchestrator.calls.turn import Turn
from llm_orchestrator.exceptions import (
    InvalidRequestError,
    OrchestratorError,
    ProviderSwitchError,
)
from llm_orchestrator.request.arguments import call_arguments, hide_headers, snapshot
from llm_orchestrator.request.messages import check_owner, read_messages
from llm_orchestrator.streaming import AsyncLLMStream, LLMStream
from llm_orchestrator.types import LLMResponse, Message, MessageLike, Messages, TokenUsage
from llm_orchestrator.utils.signatures import takes_parameters_of
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from typing_extensions import Self

    from llm_orchestrator.calls import signatures
    from llm_orchestrator.calls.call import Call
    from llm_orchestrator.calls.factory import CallFactory
    from llm_orchestrator.config.manager import OrchestratorConfig

__all__ = ["Conversation"]

T = TypeVar("T")
#: What comes next in a conversation.
Next = Union[Messages, MessageLike]


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

    def __init__(self, orchestrator: OrchestratorLike, system: Optional[str] = None, **defaults: Any) -> None:
        # First, so that a traceback with local variables can show a conversation that is refused.
        self._orchestrator, self._history = orchestrator, History(ConversationState(()))
        self._defaults = DefaultArguments(hide_headers(defaults))
        model = self._defaults.request.model or None
        self._orchestrator = orchestrator.for_provider(orchestrator.active_provider, model)
        start = () if system is None else read_messages([{"role": "system", "content": system}])
        self._history = History(ConversationState(start))

    def __repr__(self) -> str:
        return (
            f"Conversation(provider={self.provider!r}, model={self.model!r}, messages={len(self.messages)})"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "A conversation cannot be copied. Save it with to_json; from_json makes another of it."
        )

    # ---------------------------------------------------------------- servers of tools

    def __enter__(self) -> Self:
        """Start the servers among the tools that are not started yet; leaving the block closes these.

        A conversation without such servers needs no block. ``async with`` is for the async ways.

        Returns:
            The conversation.

        Raises:
            ToolServerError: A server did not start; those that did are closed.
        """
        self._defaults.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._defaults.close()

    async def __aenter__(self) -> Self:
        """Start the servers, async; see ``with``."""
        await self._defaults.astart()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._defaults.aclose()

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
        return self._history.state.messages

    @property
    def cost(self) -> Optional[Decimal]:
        """What the conversation has cost, in US dollars, as far as known; see ``unpriced_requests``.

        None once calls were made and no price of any is known.
        """
        state = self._history.state
        return None if state.unpriced_requests and not state.cost else state.cost

    @property
    def unpriced_requests(self) -> int:
        """Number of calls whose cost, or a part of it, is not in ``cost``, as it is not known."""
        return self._history.state.unpriced_requests

    @property
    def usage(self) -> TokenUsage:
        """The tokens of all calls, as far as reported; its ``source`` is ``partial`` where some were not."""
        return self._history.state.usage

    # ---------------------------------------------------------------- turns

    @overload
    def send(self, messages: Next, *, response_format: Type[T], **arguments: Any) -> LLMResponse[T]: ...

    @overload
    def send(self, messages: Next, **arguments: Any) -> LLMResponse: ...

    def send(self, messages: Next, **arguments: Any) -> LLMResponse:
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
        return self._turn(self._history, messages, arguments, streamed=False).send()

    @overload
    async def asend(
        self, messages: Next, *, response_format: Type[T], **arguments: Any
    ) -> LLMResponse[T]: ...

    @overload
    async def asend(self, messages: Next, **arguments: Any) -> LLMResponse: ...

    async def asend(self, messages: Next, **arguments: Any) -> LLMResponse:
        """Send what comes next and get a whole answer, async; see ``send``, and ``send_request``."""
        return await self._turn(self._history, messages, arguments, streamed=False).asend()

    @overload
    def stream(self, messages: Next, *, response_format: Type[T], **arguments: Any) -> LLMStream[T]: ...

    @overload
    def stream(self, messages: Next, **arguments: Any) -> LLMStream: ...

    def stream(self, messages: Next, **arguments: Any) -> LLMStream:
        """Send what comes next and get a streamed answer; read to its end, both are part of the conversation.

        The request is sent at the first iteration, ``with``, ``events()`` or ``final_response()``, and the
        conversation is in use from then on until the stream has ended, was closed or dropped.

        Args:
            messages: As in ``send``.
            **arguments: As in ``send``.

        Returns:
            The stream; iterate over it to get pieces of text.

        Raises:
            OrchestratorError: As in ``send``; what only the provider can find shows when the request is sent.
        """
        return LLMStream(self._turn(self._history, messages, arguments, streamed=True))

    @overload
    def astream(self, messages: Next, *, response_format: Type[T], **arguments: Any) -> AsyncLLMStream[T]: ...

    @overload
    def astream(self, messages: Next, **arguments: Any) -> AsyncLLMStream: ...

    def astream(self, messages: Next, **arguments: Any) -> AsyncLLMStream:
        """Get a streamed answer, async; returned without ``await``. See ``stream``, and ``send_request``."""
        return AsyncLLMStream(self._turn(self._history, messages, arguments, streamed=True))

    def undo(self) -> Tuple[Message, ...]:
        """Take back the last answer and the user's or tools' messages it answered; what it cost stays.

        Where a loop of tools was cut, its last results have no answer, and are taken back alone.

        Returns:
            These messages: ``conversation.send(conversation.undo())`` asks for another answer.

        Raises:
            OrchestratorError: There is no answer yet, or a call is running.
        """
        self._history.take()
        try:
            messages = self.messages
            if not messages or messages[-1].role not in ("assistant", "tool"):
                raise OrchestratorError("There is no answer to take back. Send something first.")
            end = start = len(messages) - (messages[-1].role == "assistant")
            while start and messages[start - 1].role in ("user", "tool"):
                start -= 1
            self._history.state = evolve(self._history.state, messages=messages[:start])
            return messages[start:end]
        finally:
            self._history.release()

    def _turn(
        self,
        history: Union[History, HeldHistory],
        messages: Any,
        arguments: Dict[str, Any],
        *,
        streamed: bool,
    ) -> Call:
        """Check everything that can be checked before the request is sent."""
        history.check_free()
        one = isinstance(messages, (Message, abc.Mapping))
        read = call_arguments(
            [messages] if one else messages, **{**self._defaults.for_turns, **hide_headers(arguments)}
        )
        request = snapshot(read.request)  # or the caller could change the history later
        return self._orchestrator.call_factory.make(
            read._replace(request=request),
            self.provider,
            self.model,
            streamed=streamed,
            turn=Turn(history, request.messages),
        )

    # ---------------------------------------------------------------- loops of tools

    if TYPE_CHECKING:

        @overload
        @signatures.whole(signatures.typed_loop)
        def run(self) -> Any: ...

        @overload
        @signatures.whole(signatures.loop_of_any)
        def run(self) -> Any: ...

    @takes_parameters_of(loop_arguments)
    def run(self, *messages: Any, **arguments: Any) -> LLMResponse:
        """Send what comes next, and make the calls that the answer asks for, until one asks for none.

        Every turn is a call of its own, in the ledger and for hooks. However the loop ends, the conversation
        can go on: calls that were not made have a result that says so.

        Args:
            messages: As in ``send``.
            max_turns: Most answers, from 1.
            before_tool: A function that is asked before each call, and returns None to approve it, a ToolCall
                to make in its place, False or a reason to refuse it, or a Message as its result. On the async
                ways it may be async.
            on_tool_error: ``result`` tells the model what a tool raised; ``raise`` raises it.
            tool_timeout: Seconds that a tool may take; see ``ToolCall.run``.
            **arguments: As in ``send``. A ``tool_choice`` that demands a call is for the first turn.

        Returns:
            The answer that calls no tool, with the usage, the cost and the attempts of all turns.

        Raises:
            TooManyTurnsError: The answer of the last turn called tools again.
            OutputTruncatedError: An answer was cut inside a call, or before its output was complete.
            InvalidRequestError: A tool cannot be run, or an argument is wrong.
            OrchestratorError: As in ``send``; the turns before are kept.
        """
        return self._loop(
            loop_arguments(*messages, **hide_headers(arguments)), awaits=False, streamed=False
        ).run()

    if TYPE_CHECKING:

        @overload
        @signatures.awhole(signatures.typed_loop)
        def arun(self) -> Any: ...

        @overload
        @signatures.awhole(signatures.loop_of_any)
        def arun(self) -> Any: ...

    @takes_parameters_of(loop_arguments)
    async def arun(self, *messages: Any, **arguments: Any) -> LLMResponse:
        """Carry out a loop of tools, async: the calls of one turn run at the same time. See ``run``."""
        return await self._loop(
            loop_arguments(*messages, **hide_headers(arguments)), awaits=True, streamed=False
        ).arun()

    if TYPE_CHECKING:

        @overload
        @signatures.streamed(signatures.typed_loop)
        def run_stream(self) -> Any: ...

        @overload
        @signatures.streamed(signatures.loop_of_any)
        def run_stream(self) -> Any: ...

    @takes_parameters_of(loop_arguments)
    def run_stream(self, *messages: Any, **arguments: Any) -> LLMStream:
        """Carry out a loop of tools while it is read: the text of all turns comes as it is written.

        Arguments and errors are those of ``run``; the errors come while the stream is read. ``events()`` has
        a ``ToolResults`` between two turns.

        Returns:
            The stream. Its ``text`` is that of the last turn so far, its ``response`` what ``run`` returns.
        """
        loop = self._loop(loop_arguments(*messages, **hide_headers(arguments)), awaits=False, streamed=True)
        return LLMStream(StreamedLoop(loop))

    if TYPE_CHECKING:

        @overload
        @signatures.astreamed(signatures.typed_loop)
        def arun_stream(self) -> Any: ...

        @overload
        @signatures.astreamed(signatures.loop_of_any)
        def arun_stream(self) -> Any: ...

    @takes_parameters_of(loop_arguments)
    def arun_stream(self, *messages: Any, **arguments: Any) -> AsyncLLMStream:
        """Carry out a loop of tools while it is read, async; returned without ``await``. See ``run``."""
        loop = self._loop(loop_arguments(*messages, **hide_headers(arguments)), awaits=True, streamed=True)
        return AsyncLLMStream(StreamedLoop(loop))

    def _loop(self, given: LoopArguments, *, awaits: bool, streamed: bool) -> ToolLoop:
        tools = given.arguments.get("tools", self._defaults.tools)
        return ToolLoop(self._history, self._turn, given, tools, awaits=awaits, streamed=streamed)

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
        return write_document(self.provider, adapter, self.model, self._history.state)

    @classmethod
    def from_json(cls, text: str, orchestrator: OrchestratorLike, **defaults: Any) -> Conversation:
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
            InvalidMessagesError: The text is not a saved conversation.
            InvalidRequestError: An argument is wrong.
            ConfigurationError: The provider lacks its key.
        """
        if "system" in defaults:
            raise InvalidRequestError(
                "A saved conversation has its own system message. Leave system out, or start another one."
            )
        saved = read_document(text)
        conversation = cls(_orchestrator_for(saved, orchestrator), **hide_headers(defaults))
        conversation._history.state = ConversationState.from_dict(saved)
        check_owner(conversation.messages, conversation.provider)
        return conversation


class OrchestratorLike(Protocol):
    """What a conversation needs of its orchestrator."""

    config: OrchestratorConfig
    active_provider: str
    active_model: Optional[str]
    is_sibling: bool

    @property
    def call_factory(self) -> CallFactory:
        """Makes the calls."""
        ...

    def for_provider(self, name: str, model: Optional[str] = None) -> OrchestratorLike:
        """Make a sibling bound to another provider."""
        ...


def _orchestrator_for(saved: Mapping[str, Any], orchestrator: OrchestratorLike) -> OrchestratorLike:
    """The orchestrator with whose active provider a saved conversation goes on."""
    name, active = saved["provider"], orchestrator.active_provider
    if orchestrator.is_sibling and name != active:
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


def _adapter_of(orchestrator: OrchestratorLike, name: str) -> str:
    return orchestrator.config.providers[name].adapter or name
