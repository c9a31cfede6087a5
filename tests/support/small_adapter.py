"""The smallest adapter there can be, over bytes that a test wrote: a protocol of its own and no SDK."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any, Callable, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.exceptions import ServerError
from llm_orchestrator.providers.base import BaseLLMProvider
from llm_orchestrator.providers.wire import BufferedReply, Limits, RawReply, StreamState, WireRequest
from llm_orchestrator.types import (
    JSON,
    FinishReason,
    LLMRequest,
    LLMResponse,
    Message,
    ModelInfo,
    StreamEvent,
    TextDelta,
    TokenUsage,
)

REQUEST = LLMRequest("model-1", (Message("user", "Hi"),))
DROP = ConnectionResetError("the line was cut")
Chunks = Iterable[Any]


def event(**fields: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


HELLO = event(text="Hel"), event(text="lo.")
END = event(end=True, usage=7)


class Reply(BufferedReply):
    """A reply that counts how often it was closed; an exception among its chunks is raised in its place.

    It shows a socket, as the replies of the HTTP libraries do, though its bytes do not come from there.
    """

    def __init__(self, chunks: Chunks, headers: Optional[Mapping[str, str]] = None) -> None:
        super().__init__(_raising(chunks), headers)
        self.closed = 0
        self.read = 0
        self.extensions = {"network_stream": self}
        self._socket = socket.socket()

    def get_extra_info(self, name: str) -> Any:
        return self._socket if name == "socket" else None

    def iter_bytes(self) -> Iterator[bytes]:
        for chunk in super().iter_bytes():
            self.read += 1
            yield chunk

    def close(self) -> None:
        self.closed += 1
        self._socket.close()

    async def aclose(self) -> None:
        self.close()


def _raising(chunks: Chunks) -> Iterator[bytes]:
    for chunk in chunks:
        if isinstance(chunk, BaseException):
            raise chunk
        yield chunk


class SmallAdapter(BaseLLMProvider):
    """Answers every call with the bytes it was given, or with what a function makes of the request."""

    protocol = "small"

    def __init__(
        self, *chunks: Any, answer: Optional[Callable[[WireRequest], RawReply]] = None, **settings: Any
    ):
        super().__init__("small", **settings)
        self.chunks = chunks
        self.answer = answer
        self.sent: List[Tuple[WireRequest, Limits]] = []
        self.replies: List[Reply] = []

    def build_request(self, request: LLMRequest, *, stream: bool) -> WireRequest:
        body = {"model": request.model, "stream": stream, "temperature": request.temperature}
        unsupported = tuple(name for name in ("top_k", "stop") if getattr(request, name) is not None)
        return WireRequest("answer", body, {"x-wire": "w"}, api="chat", unsupported=unsupported)

    def parse_reply(self, body: JSON, headers: Mapping[str, str]) -> LLMResponse:
        if "error" in body:
            raise ServerError(str(body["error"]))
        usage = TokenUsage(prompt_tokens=body["usage"]) if "usage" in body else TokenUsage(source="missing")
        return LLMResponse(body.get("text", ""), "", self.name, usage=usage, finish_reason=FinishReason.STOP)

    def parse_event(self, event: JSON, state: StreamState) -> Sequence[StreamEvent]:
        if "error" in event:
            raise ServerError(event["error"])
        if "bug" in event:
            raise KeyError(event["bug"])
        state.reply.update({key: value for key, value in event.items() if key == "usage"})
        state.complete = state.complete or "end" in event
        state.done = state.done or bool(event.get("end"))
        if "text" not in event:
            return ()
        state.reply["text"] = state.reply.get("text", "") + event["text"]
        return [TextDelta(event["text"])]

    def list_request(self, cursor: Optional[str]) -> WireRequest:
        return WireRequest(f"models?after={cursor or ''}")

    def model_request(self, model: str) -> WireRequest:
        return WireRequest(f"models/{model}")

    def parse_models(self, body: JSON) -> Tuple[List[ModelInfo], Optional[str]]:
        if "error" in body:
            raise ServerError(str(body["error"]))
        return [ModelInfo(name, self.name) for name in body["models"]], body.get("next")

    def open_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        self.sent.append((wire, limits))
        if self.answer is not None:
            return self.answer(wire)
        reply = Reply(self.chunks, {"x-request-id": "request-1"})
        self.replies.append(reply)
        return reply

    async def aopen_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        await asyncio.sleep(0)
        return self.open_call(wire, limits)
