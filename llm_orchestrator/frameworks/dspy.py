"""The orchestrator as a language model of DSPy: ``OrchestratorLM``. It needs DSPy 3.4."""

from __future__ import annotations

from typing import Any, AsyncIterator, Dict, Iterator, List, Mapping, Optional, Tuple, Type

try:
    import dspy
    from dspy import lm15
    from dspy.clients.lm15_boundary import request_kwargs
except ImportError as error:
    raise ImportError('DSPy 3.4 or later is not installed. Run: pip install "dspy>=3.4,<3.5".') from error

from llm_orchestrator import exceptions as own
from llm_orchestrator.frameworks.openai.arguments import chat_arguments
from llm_orchestrator.frameworks.openai.completions import completion_of
from llm_orchestrator.frameworks.translation import Translating, counterpart, kind_of
from llm_orchestrator.types import AnswerEvent, LLMResponse, ReasoningDelta, TextDelta, ToolCallDelta

__all__ = ["OrchestratorLM"]


class OrchestratorLM(dspy.LM):  # type: ignore[misc]  # its types are not followed
    """A language model of DSPy, a ``dspy.BaseLM``, that asks an orchestrator.

    Args:
        orchestrator: The orchestrator.
        model: A model of its active provider; None for the active model.
        options: Arguments of ``send_request`` for every call, such as ``tags``. DSPy's cache
            does not see them.
        num_retries: How often DSPy asks again after an error, on top of the orchestrator's own retries.
        **settings: Those of ``dspy.LM``, such as ``temperature``, ``max_tokens`` and ``cache``.
    """

    def __init__(
        self,
        orchestrator: Any,
        model: Optional[str] = None,
        *,
        options: Optional[Mapping[str, Any]] = None,
        num_retries: int = 0,
        **settings: Any,
    ) -> None:
        name = model or orchestrator.active_model
        given = {**(options or {}), "model": name}
        super().__init__(
            f"{orchestrator.active_provider}/{name}",  # by which DSPy's cache tells answers apart
            num_retries=num_retries,
            engine=_Engine(orchestrator, given),
            async_engine=_AsyncEngine(orchestrator, given),
            **settings,
        )

    def _get_initial_kwargs(self, **settings: Any) -> Dict[str, Any]:
        """The settings as they are: what a model takes is not a matter of its name."""
        return {name: value for name, value in settings.items() if value is not None}


class _Arguments:
    """What both engines are made of: whom they ask, and from which arguments.

    Args:
        orchestrator: The orchestrator.
        options: The model to ask, and what goes with every call.
    """

    supports_function_calling = supports_response_schema = supports_reasoning = True
    supported_params = (
        "response_format",
        "tools",
        "tool_choice",
        "reasoning_effort",
        "temperature",
        "max_tokens",
    )

    def __init__(self, orchestrator: Any, options: Mapping[str, Any]) -> None:
        self.orchestrator = orchestrator
        self.options = options

    def __call__(self, request: Any) -> Dict[str, Any]:
        given = {**request_kwargs(request, "chat"), **self.options}
        if request.config.top_k is not None:  # OpenAI's API, in whose form DSPy writes the rest, has none
            given["top_k"] = request.config.top_k
        return chat_arguments("dspy.LM", given)


class _Engine(_Arguments):
    """Asks for one answer; DSPy caches, records and asks again."""

    def complete(self, request: Any) -> Any:
        with Translating(_translation):
            return _answer(self.orchestrator.send_request(**self(request)), request)

    def stream(self, request: Any) -> Iterator[Any]:
        with Translating(_translation):
            stream, writer = self.orchestrator.send_streaming_request(**self(request)), _Writer()
            try:
                yield lm15.StreamStartEvent(model=request.model)
                for event in stream.events():
                    yield from writer.of(event)
                yield _end(stream.final_response(), request)
            finally:
                stream.close()

    def close(self) -> None:
        """Nothing to do: the orchestrator is the program's."""


class _AsyncEngine(_Arguments):
    """The same, async."""

    async def complete(self, request: Any) -> Any:
        with Translating(_translation):
            return _answer(await self.orchestrator.asend_request(**self(request)), request)

    async def stream(self, request: Any) -> AsyncIterator[Any]:
        with Translating(_translation):
            stream, writer = self.orchestrator.asend_streaming_request(**self(request)), _Writer()
            try:
                yield lm15.StreamStartEvent(model=request.model)
                async for event in stream.events():
                    for written in writer.of(event):
                        yield written
                yield _end(await stream.final_response(), request)
            finally:
                await stream.aclose()

    async def aclose(self) -> None:
        """Nothing to do: the orchestrator is the program's."""


def _answer(response: LLMResponse, request: Any) -> Any:
    document = completion_of(response).to_dict(exclude_none=True)
    return lm15.response_from_openai_chat(document, model=request.model)


def _end(response: LLMResponse, request: Any) -> Any:
    whole = _answer(response, request)
    return lm15.StreamEndEvent(finish_reason=whole.finish_reason, usage=whole.usage)


class _Writer:
    """Writes the events of one stream; DSPy counts the text, the reasoning and the calls as parts."""

    def __init__(self) -> None:
        self._parts: List[Tuple[str, int]] = []

    def of(self, event: AnswerEvent) -> Iterator[Any]:
        """The events that an event becomes."""
        if isinstance(event, TextDelta):
            yield lm15.StreamDeltaEvent(lm15.TextDelta(event.text, self._part("text")))
        elif isinstance(event, ReasoningDelta):
            yield lm15.StreamDeltaEvent(lm15.ThinkingDelta(event.text, self._part("reasoning")))
        elif isinstance(event, ToolCallDelta):
            place = self._part("call", event.index)
            piece = lm15.ToolCallDelta(event.arguments, place, id=event.id or None, name=event.name or None)
            yield lm15.StreamDeltaEvent(piece)

    def _part(self, kind: str, index: int = 0) -> int:
        if (kind, index) not in self._parts:
            self._parts.append((kind, index))
        return self._parts.index((kind, index))


#: What becomes what; the first that fits counts. DSPy makes its own errors of these.
_ERRORS: Tuple[Tuple[Type[own.OrchestratorError], Any], ...] = (
    (own.BudgetExceededError, lm15.BillingError),
    (own.QuotaExceededError, lm15.BillingError),
    (own.RateLimitError, lm15.RateLimitError),
    (own.AuthenticationError, lm15.AuthError),
    (own.PermissionDeniedError, lm15.AuthError),
    (own.ModelNotFoundError, lm15.UnsupportedModelError),
    (own.ContextLengthError, lm15.ContextLengthError),
    (own.ServerError, lm15.ServerError),
    (own.ProviderTimeoutError, lm15.TimeoutError),
    (own.ProviderConnectionError, lm15.TransportError),
    (own.StreamInterruptedError, lm15.TransportError),
    (own.InvalidRequestError, lm15.InvalidRequestError),
    (own.InvalidMessagesError, lm15.InvalidRequestError),
    (own.ProviderError, lm15.ProviderError),
)


def _translation(error: own.OrchestratorError) -> Exception:
    facts = {name: getattr(error, name, None) for name in ("provider", "request_id", "retry_after")}
    more = {"provider_code": getattr(error, "code", None), "status": getattr(error, "status_code", None)}
    found = counterpart(kind_of(error), _ERRORS) or lm15.ConfigurationError
    made: Exception = found(str(error), **facts, **more)
    return made
