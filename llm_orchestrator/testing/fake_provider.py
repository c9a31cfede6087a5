"""``FakeProvider``, a provider that answers from a script, for the tests of applications and of this library.

It is a real adapter with a protocol of its own and no network: requests, streams, retries, fallbacks, costs
and records use the same code as with a vendor's provider.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any, Iterable, List, Mapping, Optional, Sequence, Tuple, Union, cast

from llm_orchestrator.exceptions import ModelNotFoundError
from llm_orchestrator.providers.base import BaseLLMProvider
from llm_orchestrator.providers.embedding import EmbeddingReply
from llm_orchestrator.providers.wire import BufferedReply, Limits, RawReply, StreamState, WireRequest
from llm_orchestrator.testing.fake_logprobs import read_logprobs
from llm_orchestrator.testing.fake_reply import FakeReply
from llm_orchestrator.testing.fake_script import FakeScript, Scripted, can_answer, reply_of
from llm_orchestrator.testing.fake_vectors import DIMENSIONS, fake_vector
from llm_orchestrator.testing.scripted_reply import ScriptedReply, words_in
from llm_orchestrator.types import (
    JSON,
    EmbeddingRequest,
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
)

__all__ = ["FakeProvider", "FakeReply"]

COUNT_PATH, EMBED_PATH = "count", "embed"


@dataclass(frozen=True, eq=False, repr=False)
class _FakeWire(WireRequest):
    """A wire request together with the request it was built from."""

    request: Optional[LLMRequest] = None


class FakeProvider(BaseLLMProvider):
    """Answers from a script, one entry for each request; the last entry answers all further requests.

    Tokens are words: ``count_tokens`` counts them, too, without an entry of the script. Nor does ``embed``
    take one, unless the next entry is an error or has vectors: a text has the same vector, of length 1, in
    every program.

    Args:
        script: One answer, or a list of them: strings, dicts and pydantic objects (which become JSON),
            errors, FakeReply objects, or functions that return one of these for a request.
        name: Name of the provider entry.
        models: The models it lists; by default ``fake-model``.
        keep_requests: False leaves ``requests`` empty, for tests of very many calls.
        **settings: Further arguments of BaseLLMProvider.

    Attributes:
        requests: Every request that was sent, in order, as an ``LLMRequest``: with ``tags``, ``tools`` and
            all other arguments of the call. Those of ``embed`` are ``EmbeddingRequest`` objects.
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
        self._script = FakeScript()
        self.requests: List[LLMRequest] = []
        self._keeps_requests = keep_requests
        self.answers(*([script] if can_answer(script) else script))  # type: ignore[misc]

    def answers(self, *script: Scripted, model: Optional[str] = None) -> None:
        """Replace the script, from the next request on.

        Args:
            *script: Its entries, as in the constructor; the last one answers all further requests.
            model: Name of the model that this script is for; None for all that have none of their own.

        Raises:
            ConfigurationError: The script is empty, or an entry is of another type.
        """
        with self._lock:
            self._script.write(script, model)

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
            logprobs=read_logprobs(body.get("logprobs") or ()),
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

    def embedding_request(self, request: EmbeddingRequest) -> WireRequest:
        """See the base class."""
        body = {"texts": request.texts, "dimensions": request.dimensions or DIMENSIONS, "stream": False}
        return _FakeWire(EMBED_PATH, {**body, "model": request.model}, request=request)

    def parse_embeddings(self, body: JSON) -> EmbeddingReply:
        """See the base class."""
        words = body["words"]
        return EmbeddingReply(body["vectors"], TokenUsage(words, 0, words), body["model"])

    def list_request(self, cursor: Optional[str]) -> WireRequest:
        """See the base class."""
        return WireRequest("models")

    def model_request(self, model: str) -> WireRequest:
        """See the base class."""
        return WireRequest(f"models/{model}")

    def parse_models(self, body: JSON) -> Tuple[List[ModelInfo], Optional[str]]:
        """See the base class."""
        return [ModelInfo(name, self.name, embeds=True) for name in body.get("models") or ()], None

    def open_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """See the base class."""
        reply = self._reply_to(wire, limits)
        return reply.open() if isinstance(reply, ScriptedReply) else reply

    async def aopen_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """See the base class."""
        reply = self._reply_to(wire, limits)
        return await reply.aopen() if isinstance(reply, ScriptedReply) else reply

    def _reply_to(self, wire: WireRequest, limits: Limits) -> Union[ScriptedReply, BufferedReply]:
        if not isinstance(wire, _FakeWire):
            return self._told(wire)
        if wire.path == EMBED_PATH:
            return self._embedded(wire, limits)
        return self._next(wire, limits)

    def _embedded(self, wire: _FakeWire, limits: Limits) -> Union[ScriptedReply, BufferedReply]:
        """Vectors of the texts: those that the script has next, its error, or vectors of their words."""
        assert isinstance(wire.request, EmbeddingRequest), "embedding_request sets it"
        request = wire.request
        with self._lock:
            entry = self._script.take(request) if self._script.is_for_vectors(request) else None
            self._keep(request)
        reply = FakeReply() if entry is None else reply_of(entry, request)
        if reply.error is not None:
            return ScriptedReply(reply, wire.body or {}, limits)
        length = request.dimensions or DIMENSIONS
        vectors = reply.vectors or [fake_vector(text, length) for text in request.texts]
        words = sum(len(text.split()) for text in request.texts)
        body = {"vectors": vectors, "words": words, "model": request.model}
        return BufferedReply([json.dumps(body).encode()], {"x-request-id": "fake-request"})

    def _told(self, wire: WireRequest) -> BufferedReply:
        """What is told without the script: a count, or the models."""
        if wire.path == COUNT_PATH:
            return BufferedReply([json.dumps({"words": words_in(wire.body or {})}).encode()])
        _, _, model = wire.path.partition("/")
        if model and model not in self._models:
            raise ModelNotFoundError(f"The model {model!r} does not exist.", status_code=404)
        return BufferedReply([json.dumps({"models": self._models}).encode()])

    def _next(self, wire: _FakeWire, limits: Limits) -> ScriptedReply:
        assert wire.request is not None and wire.body is not None, "build_request sets both"
        with self._lock:
            entry = self._script.take(wire.request)
            self._keep(wire.request)
        return ScriptedReply(reply_of(entry, wire.request), wire.body, limits)

    def _keep(self, request: LLMRequest) -> None:
        if self._keeps_requests:
            self.requests.append(request)
