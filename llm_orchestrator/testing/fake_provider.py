"""``FakeProvider``, a provider that answers from a script, for the tests of applications and of this library.

It is a real adapter with a protocol of its own and no network: requests, streams, retries, fallbacks, costs
and records use the same code as with a vendor's provider.
"""

from __future__ import annotations

import copy
import json
import re
import threading
import time
from collections import abc
from dataclasses import asdict, dataclass
from typing import (
    Any,
    AsyncIterator,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
    cast,
)

from llm_orchestrator.exceptions import (
    ConfigurationError,
    ModelNotFoundError,
    OrchestratorError,
    ProviderTimeoutError,
)
from llm_orchestrator.providers.base import BaseLLMProvider
from llm_orchestrator.providers.wire import BufferedReply, Limits, RawReply, StreamState, WireRequest
from llm_orchestrator.types import (
    JSON,
    FinishReason,
    LLMRequest,
    LLMResponse,
    Message,
    ModelInfo,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallDelta,
    parse_arguments,
)

__all__ = ["FakeProvider", "FakeReply"]


COUNT_PATH = "count"
#: A tool call as a script may write it.
FakeCall = Union[ToolCall, Tuple[str, Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True)
class FakeReply:
    """One answer of a FakeProvider.

    Attributes:
        text: The answer's text; the joined chunks when left out.
        chunks: The pieces of text of a stream; the words of the text when left out.
        tool_calls: Tool calls of the answer: ``ToolCall`` objects, ``(name, arguments)``, or dicts with
            ``name``, ``arguments`` and perhaps ``id``, or in the OpenAI Chat form.
        reasoning: The reasoning text.
        refusal: Why the answer was refused.
        finish_reason: Why the model stopped; by default ``tool_calls`` with tool calls, else ``stop``.
        usage: Tokens; by default the number of words.
        error: Raised instead of an answer, or by a stream after its chunks.
        delay: Seconds to wait before the answer, and before each further chunk of a stream.
    """

    text: Optional[str] = None
    chunks: Optional[Sequence[str]] = None
    tool_calls: Sequence[FakeCall] = ()
    reasoning: Optional[str] = None
    refusal: Optional[str] = None
    finish_reason: Optional[FinishReason] = None
    usage: Optional[TokenUsage] = None
    error: Optional[Exception] = None
    delay: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.tool_calls, (str, abc.Mapping)) or not isinstance(self.tool_calls, abc.Sequence):
            raise _not_a_call(self.tool_calls)
        calls = [_tool_call(call, number) for number, call in enumerate(self.tool_calls, start=1)]
        object.__setattr__(self, "tool_calls", tuple(calls))  # the class is frozen

    @property
    def calls(self) -> Sequence[ToolCall]:
        """The tool calls in the form of an answer's."""
        return cast("Sequence[ToolCall]", self.tool_calls)

    @property
    def pieces(self) -> List[str]:
        """The pieces of text of a stream."""
        if self.chunks is not None:
            return list(self.chunks)
        return re.findall(r"\s*\S+|\s+$", self.text or "")


def _tool_call(call: FakeCall, number: int) -> ToolCall:
    if isinstance(call, ToolCall):
        return call
    written: Any = call
    if isinstance(written, tuple) and len(written) == 2:
        written = {"name": written[0], "arguments": written[1]}
    function = written.get("function", written) if isinstance(written, abc.Mapping) else None
    if not isinstance(function, abc.Mapping) or not isinstance(function.get("name"), str):
        raise _not_a_call(call)
    name, arguments, identifier = function["name"], function.get("arguments", {}), written.get("id")
    raw = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ToolCall(identifier or f"call_{number}", name, parse_arguments(raw), raw)


def _not_a_call(given: Any) -> TypeError:
    return TypeError(
        f"{given!r} in tool_calls is not a tool call. Pass a list of ToolCall objects, of (name, arguments), "
        'or of dicts: {"name": ..., "arguments": {...}}.'
    )


Scripted = Union[str, Exception, FakeReply, Callable[[LLMRequest], Union[str, Exception, FakeReply]]]


@dataclass(frozen=True)
class _FakeWire(WireRequest):
    """A wire request together with the request it was built from."""

    request: Optional[LLMRequest] = None


class FakeProvider(BaseLLMProvider):
    """Answers from a script, one entry for each request; the last entry answers all further requests.

    Tokens are words: ``count_tokens`` counts them, too, without an entry of the script.

    Args:
        script: Strings, errors, FakeReply objects, or functions that return one for a request.
        name: Name of the provider entry.
        models: The models it lists; by default ``fake-model``.
        keep_requests: False leaves ``requests`` empty, for tests of very many calls.
        **settings: Further arguments of BaseLLMProvider.

    Attributes:
        requests: Every request that was sent, in order.
    """

    protocol = "fake"

    def __init__(
        self,
        script: Union[Scripted, Iterable[Scripted]] = "This is a scripted answer.",
        *,
        name: str = "fake",
        models: Sequence[str] = (),
        keep_requests: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(name, **settings)
        self._models = tuple(models) or ("fake-model",)
        self._lock = threading.Lock()
        self.requests: List[LLMRequest] = []
        self._keeps_requests = keep_requests
        self.answers(*([script] if _can_answer(script) else script))  # type: ignore[misc]

    def answers(self, *script: Scripted) -> None:
        """Replace the script, from the next request on.

        Args:
            *script: Its entries, as in the constructor; the last one answers all further requests.

        Raises:
            ConfigurationError: The script is empty, or an entry is of another type.
        """
        if not script:
            raise ConfigurationError("The script of a FakeProvider is empty. Pass at least one answer.")
        for position, entry in enumerate(script, start=1):
            if not _can_answer(entry):
                raise ConfigurationError(
                    f"Entry {position} of the script is {entry!r}, which is not an answer. Pass strings, "
                    "errors, FakeReply objects or functions of a request, each as an argument of its own."
                )
        with self._lock:
            self._script = script
            self._entry = 0

    def build_request(self, request: LLMRequest, *, stream: bool) -> WireRequest:
        """See the base class."""
        messages = [{"role": message.role, "content": message.text} for message in request.messages]
        body = {"model": request.model, "messages": messages, "stream": stream}
        return _FakeWire("answer", body, api="chat", request=request)

    def parse_reply(self, body: JSON, headers: Mapping[str, str]) -> LLMResponse:
        """See the base class."""
        calls = tuple(ToolCall(**call) for call in body.get("tool_calls") or ())
        text = body.get("text") or ""
        usage = body.get("usage")
        finish = FinishReason(body.get("finish_reason") or "other")
        return LLMResponse(
            content=text,
            model=str(body.get("model") or ""),
            provider=self.name,
            usage=TokenUsage(**usage) if usage else TokenUsage(source="missing"),
            finish_reason=finish,
            raw_finish_reason=body.get("finish_reason"),
            tool_calls=calls,
            reasoning=body.get("reasoning"),
            refusal=body.get("refusal"),
            message=Message("assistant", text or None, tool_calls=calls, provider=self.name),
        )

    def parse_event(self, event: JSON, state: StreamState) -> Sequence[StreamEvent]:
        """See the base class."""
        if "end" in event:
            state.reply.update(event["end"])
            state.complete = state.done = True
            return ()
        if "call" in event:
            return [ToolCallDelta(**event["call"])]
        if "reasoning" in event:
            return [ReasoningDelta(event["reasoning"])]
        state.reply.setdefault("pieces", []).append(event["text"])
        return [TextDelta(event["text"])]

    def assemble_reply(self, state: StreamState) -> JSON:
        """See the base class."""
        reply = dict(state.reply)
        return {**reply, "text": "".join(reply.pop("pieces", ()))}

    def count_request(self, request: LLMRequest, wire: WireRequest) -> WireRequest:
        """See the base class."""
        return WireRequest(COUNT_PATH, wire.body)

    def parse_count(self, body: JSON) -> Optional[int]:
        """See the base class."""
        return cast("int", body["words"])

    def list_request(self, cursor: Optional[str]) -> WireRequest:
        """See the base class."""
        return WireRequest("models")

    def model_request(self, model: str) -> WireRequest:
        """See the base class."""
        return WireRequest(f"models/{model}")

    def parse_models(self, body: JSON) -> Tuple[List[ModelInfo], Optional[str]]:
        """See the base class."""
        return [ModelInfo(name, self.name) for name in body.get("models") or ()], None

    def open_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """See the base class."""
        return self._next(wire, limits).open() if isinstance(wire, _FakeWire) else self._told(wire)

    async def aopen_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """See the base class."""
        return await self._next(wire, limits).aopen() if isinstance(wire, _FakeWire) else self._told(wire)

    def _told(self, wire: WireRequest) -> RawReply:
        """What is told without the script: a count, or the models."""
        if wire.path == COUNT_PATH:
            return BufferedReply([json.dumps({"words": _words_in(wire.body or {})}).encode()])
        _, _, model = wire.path.partition("/")
        if model and model not in self._models:
            raise ModelNotFoundError(f"The model {model!r} does not exist.", status_code=404)
        return BufferedReply([json.dumps({"models": self._models}).encode()])

    def _next(self, wire: _FakeWire, limits: Limits) -> _ScriptedReply:
        assert wire.request is not None and wire.body is not None, "build_request sets both"
        with self._lock:
            scripted = self._script[min(self._entry, len(self._script) - 1)]
            self._entry += 1
            if self._keeps_requests:
                self.requests.append(wire.request)
        if not isinstance(scripted, (str, Exception, FakeReply)):
            scripted = scripted(wire.request)
        if isinstance(scripted, str):
            scripted = FakeReply(scripted)
        if isinstance(scripted, Exception):
            scripted = FakeReply(error=scripted)
        return _ScriptedReply(scripted, wire.body, limits)


def _words_in(body: JSON) -> int:
    return sum(len(message["content"].split()) for message in body["messages"])


def _can_answer(entry: object) -> bool:
    return isinstance(entry, (str, Exception, FakeReply)) or callable(entry)


class _ScriptedReply:
    """An open reply; its body is made from the script while it is read."""

    status_code = 200
    headers: Mapping[str, str] = {"x-request-id": "fake-request"}

    def __init__(self, reply: FakeReply, body: JSON, limits: Limits) -> None:
        self._reply = reply
        self._body = body
        self._limits = limits

    def open(self) -> RawReply:
        pause = self._pause()
        time.sleep(pause)
        self._begin(pause)
        return self

    async def aopen(self) -> RawReply:
        import asyncio

        pause = self._pause()
        await asyncio.sleep(pause)
        self._begin(pause)
        return self

    def iter_bytes(self) -> Iterator[bytes]:
        for step in self._steps():
            if isinstance(step, bytes):
                yield step
            else:
                time.sleep(step)

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        import asyncio

        for step in self._steps():
            if isinstance(step, bytes):
                yield step
            else:
                await asyncio.sleep(step)

    def _steps(self) -> Iterator[Union[bytes, float]]:
        """The chunks of the body, and between them the seconds to wait."""
        for number, chunk in enumerate(self._chunks()):
            if number:
                pause = self._pause()
                yield pause
                self._check_time(pause)
            yield chunk
        self._fail()

    def close(self) -> None:
        """Do nothing: there is no connection."""

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""

    def _pause(self) -> float:
        return min(self._reply.delay, self._limits.head())

    def _begin(self, pause: float) -> None:
        """Raise the error of the script, or the timeout of an answer that comes too late."""
        self._check_time(pause)
        if not (self._body["stream"] and self._reply.pieces):
            self._fail()

    def _check_time(self, paused: float) -> None:
        if paused < self._reply.delay:
            error = ProviderTimeoutError("No answer in time. Increase timeout, or reduce the script's delay.")
            error.retry_limit = 1  # as with a provider that may be processing it
            raise error

    def _fail(self) -> None:
        error = self._reply.error
        if isinstance(error, OrchestratorError):
            raise copy.copy(error)  # a call sets fields of it, and the script may raise it again
        if error is not None:
            raise error

    def _chunks(self) -> Iterator[bytes]:
        if not self._body["stream"]:
            yield json.dumps({**self._end(), "text": self._text()}).encode()
            return
        for event in self._events():
            yield b"data: " + json.dumps(event).encode() + b"\n\n"

    def _events(self) -> Iterator[Dict[str, Any]]:
        if self._reply.reasoning:
            yield {"reasoning": self._reply.reasoning}
        for piece in self._reply.pieces:
            yield {"text": piece}
        for index, call in enumerate(self._reply.calls):
            yield {
                "call": {"index": index, "id": call.id, "name": call.name, "arguments": call.raw_arguments}
            }
        if self._reply.error is None:
            yield {"end": self._end()}

    def _text(self) -> str:
        return "".join(self._reply.pieces) if self._reply.text is None else self._reply.text

    def _end(self) -> Dict[str, Any]:
        reply = self._reply
        usual = FinishReason.TOOL_CALLS if reply.tool_calls else FinishReason.STOP
        return {
            "model": self._body["model"],
            "finish_reason": (reply.finish_reason or usual).value,
            "tool_calls": [asdict(call) for call in reply.calls],
            "reasoning": reply.reasoning,
            "refusal": reply.refusal,
            "usage": asdict(reply.usage or self._counted()),
        }

    def _counted(self) -> TokenUsage:
        prompt = _words_in(self._body)
        completion = len(self._text().split())
        return TokenUsage(prompt, completion, prompt + completion)
