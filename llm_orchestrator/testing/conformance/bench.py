"""Where a scenario plays: the provider under test in an orchestrator, and the server that it asks."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any, Coroutine, Dict, List, Optional, Protocol, Sequence, Type, TypeVar, Union

from llm_orchestrator.orchestrator import LLMOrchestrator
from llm_orchestrator.providers.base import BaseLLMProvider
from llm_orchestrator.testing.conformance.answer import KEY, Answer
from llm_orchestrator.testing.reply_server import Reply, ReplyServer
from llm_orchestrator.types import JSON, LLMResponse, Messages

__all__ = ["MODEL", "SHORT", "STREAMED", "WAYS", "Bench"]

MODEL = "conformance-model"
STREAMED = ("streamed", "async streamed")
WAYS = ("whole", "async whole", *STREAMED)
#: Seconds until a provider that does not read what was sent is given up.
PATIENCE = 5.0
#: Seconds of silence that a provider is told to bear where there is silence.
SHORT = 0.3

Result = TypeVar("Result")


class UnderTest(Protocol):
    """The part of ``ProviderUnderTest`` that a bench calls."""

    def provider(self, url: str, **settings: Any) -> BaseLLMProvider:
        """Make the provider."""

    def whole(self, answer: Answer) -> Union[JSON, bytes]:
        """Write an answer as the provider's server sends it whole."""

    def stream(self, answer: Answer) -> Sequence[Union[JSON, bytes]]:
        """Write an answer as the provider's server streams it."""

    def failure(self, status: int, message: str) -> Union[JSON, bytes]:
        """Write a failure as the provider's server reports it."""


class Bench:
    """Asks the provider under test in all four ways, and has its server answer."""

    def __init__(self, under_test: UnderTest, server: ReplyServer) -> None:
        self.server = server
        self.under_test = under_test
        self._orchestrators: List[LLMOrchestrator] = []
        self._loop: Optional[asyncio.AbstractEventLoop] = None

    def __enter__(self) -> Bench:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        for orchestrator in self._orchestrators:
            orchestrator.close()
        if self._loop is not None:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    # ---------------------------------------------------------------- the provider

    def provider(self, url: str = "", **settings: Any) -> BaseLLMProvider:
        """Make the provider under test."""
        settings = {"api_key": KEY, "timeout": PATIENCE, **settings}
        return self.under_test.provider(url or self.server.url, **settings)

    def orchestrator(self, url: str = "", **settings: Any) -> LLMOrchestrator:
        """Make the provider under test and put it into an orchestrator, which is closed with the bench."""
        provider = self.provider(url, **settings)
        entry = {provider.name: {"max_retries": 0}}
        config = {"active_provider": provider.name, "active_model": MODEL, "providers": entry}
        self._orchestrators.append(LLMOrchestrator(config, providers={provider.name: provider}))
        return self._orchestrators[-1]

    def ask(
        self,
        way: str,
        *,
        orchestrator: Optional[LLMOrchestrator] = None,
        messages: Messages = "Hi",
        **call: Any,
    ) -> LLMResponse:
        """Ask a provider in one of the four ways, with what the server was told to answer."""
        asked = orchestrator or self.orchestrator()
        if way == "whole":
            return asked.send_request(messages, **call)
        if way == "streamed":
            with asked.send_streaming_request(messages, **call) as stream:
                return _checked(list(stream), stream.response)
        return self.run(self.aask(way, asked, messages, **call))

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run async work on the bench's event loop, which ends with the bench."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(work)

    async def aask(
        self, way: str, orchestrator: LLMOrchestrator, messages: Messages = "Hi", **call: Any
    ) -> LLMResponse:
        """Ask in one of the two async ways; see ``ask``."""
        if way == "async whole":
            return await orchestrator.asend_request(messages, **call)
        async with orchestrator.asend_streaming_request(messages, **call) as stream:
            return _checked([piece async for piece in stream], stream.response)

    # ---------------------------------------------------------------- its server

    def answers(self, way: str, *answers: Answer) -> None:
        """Have the server answer in the form that a way of calling asks for."""
        self.server.script(*(self.reply(way, answer) for answer in answers))

    def reply(self, way: str, answer: Answer) -> Reply:
        """Write an answer in the form that a way of calling asks for."""
        if way in STREAMED:
            return stream_of(self.under_test.stream(answer))
        return document(self.under_test.whole(answer))

    def answers_with(self, content: Union[JSON, bytes]) -> None:
        """Have the server send a document."""
        self.server.script(document(content))

    def fails(self, status: int, message: str = "Refused by the server.", **headers: str) -> None:
        """Have the server report a failure."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.server.script(document(self.under_test.failure(status, message), status, named))


def document(
    content: Union[JSON, bytes], status: int = 200, headers: Optional[Dict[str, str]] = None
) -> Reply:
    """Make a reply of a document."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Reply([body], status, {"content-type": "application/json", **(headers or {})})


def stream_of(events: Sequence[Union[JSON, bytes]], **faults: Any) -> Reply:
    """Make a reply of the events of a stream, one piece of the body for each."""
    pieces = [
        event if isinstance(event, bytes) else b"data: %s\n\n" % json.dumps(event).encode()
        for event in events
    ]
    return Reply(pieces, headers={"content-type": "text/event-stream"}, **faults)


def _checked(pieces: List[str], response: Any) -> LLMResponse:
    assert isinstance(response, LLMResponse), "a stream that was read to its end has a response"
    assert "".join(pieces) == response.content, "the pieces of a stream add up to its whole text"
    return response
