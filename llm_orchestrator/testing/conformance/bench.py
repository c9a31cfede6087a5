"""What the scenarios use: the provider under test in an orchestrator, its server, and the fixtures."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from typing import Any, Coroutine, Dict, Iterator, List, Optional, Sequence, TypeVar

import pytest

from llm_orchestrator.orchestrator import LLMOrchestrator
from llm_orchestrator.providers.base import BaseLLMProvider
from llm_orchestrator.testing.conformance.answer import KEY, Answer
from llm_orchestrator.testing.conformance.under_test import Body, ProviderUnderTest
from llm_orchestrator.testing.reply_server import Reply, ReplyServer
from llm_orchestrator.types import LLMResponse, Messages

__all__ = ["MODEL", "SHORT_TIMEOUT", "STREAMED", "WAYS", "Bench", "Scenarios"]

MODEL = "conformance-model"
STREAMED = ("streamed", "async streamed")
WAYS = ("whole", "async whole", *STREAMED)
#: Seconds after which a provider that does not read its reply fails its scenario.
TIMEOUT = 5.0
#: The timeout in scenarios whose server is silent.
SHORT_TIMEOUT = 0.3

Result = TypeVar("Result")


class Bench:
    """Calls the provider under test in all four ways, and sets the replies of its server."""

    def __init__(self, under_test: ProviderUnderTest, server: ReplyServer, resources: ExitStack) -> None:
        self.server = server
        self.under_test = under_test
        self._resources = resources
        self._loop = asyncio.new_event_loop()
        resources.callback(self._close_loop)

    def _close_loop(self) -> None:
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    # ---------------------------------------------------------------- the provider

    def provider(self, url: str = "", **settings: Any) -> BaseLLMProvider:
        """Make the provider under test."""
        settings = {"api_key": KEY, "timeout": TIMEOUT, **settings}
        return self.under_test.provider(url or self.server.url, **settings)

    def orchestrator(self, url: str = "", **settings: Any) -> LLMOrchestrator:
        """Make an orchestrator with the provider under test; it is closed at the end of the scenario."""
        provider = self.provider(url, **settings)
        entry = {provider.name: {"max_retries": 0}}
        config = {"active_provider": provider.name, "active_model": MODEL, "providers": entry}
        orchestrator = LLMOrchestrator(config, providers={provider.name: provider})
        return self._resources.enter_context(orchestrator)

    def ask(
        self,
        way: str,
        *,
        orchestrator: Optional[LLMOrchestrator] = None,
        messages: Messages = "Hi",
        **call: Any,
    ) -> LLMResponse:
        """Send a request in one of the four ways."""
        asked = orchestrator or self.orchestrator()
        if way == "whole":
            return asked.send_request(messages, **call)
        if way == "streamed":
            with asked.send_streaming_request(messages, **call) as stream:
                return _checked(list(stream), stream.response)
        return self.run(self.aask(way, asked, messages, **call))

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on the bench's event loop."""
        return self._loop.run_until_complete(work)

    async def aask(
        self, way: str, orchestrator: LLMOrchestrator, messages: Messages = "Hi", **call: Any
    ) -> LLMResponse:
        """Send a request in one of the two async ways; see ``ask``."""
        if way == "async whole":
            return await orchestrator.asend_request(messages, **call)
        async with orchestrator.asend_streaming_request(messages, **call) as stream:
            return _checked([piece async for piece in stream], stream.response)

    # ---------------------------------------------------------------- its server

    def answers(self, way: str, *answers: Answer) -> None:
        """Add answers to the server's replies, in the form for a way of calling."""
        self.server.script(*(self.reply(way, answer) for answer in answers))

    def reply(self, way: str, answer: Answer) -> Reply:
        """Write an answer in the form for a way of calling."""
        if way in STREAMED:
            return stream_of(self.under_test.stream(answer))
        return document(self.under_test.whole(answer))

    def answers_with(self, content: Body) -> None:
        """Add a document to the server's replies."""
        self.server.script(document(content))

    def fails(self, status: int, message: str = "Refused by the server.", **headers: str) -> None:
        """Add a failure to the server's replies."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.server.script(document(self.under_test.failure(status, message), status, named))


def document(content: Body, status: int = 200, headers: Optional[Dict[str, str]] = None) -> Reply:
    """Make a reply of a document."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Reply([body], status, {"content-type": "application/json", **(headers or {})})


def stream_of(events: Sequence[Body], **faults: Any) -> Reply:
    """Make a reply of the events of a stream, each a piece of the body."""
    pieces = [
        event if isinstance(event, bytes) else b"data: %s\n\n" % json.dumps(event).encode()
        for event in events
    ]
    return Reply(pieces, headers={"content-type": "text/event-stream"}, **faults)


def _checked(pieces: List[str], response: Any) -> LLMResponse:
    assert isinstance(response, LLMResponse), "a stream that was read to its end has a response"
    assert "".join(pieces) == response.content, "the pieces of a stream add up to its whole text"
    return response


class Scenarios(ProviderUnderTest):
    """The fixtures of the scenarios; every class of scenarios derives from it."""

    @pytest.fixture(autouse=True)
    def _skip_what_cannot_apply(self, request: pytest.FixtureRequest) -> None:
        unknown = [name for name in self.not_applicable if not hasattr(self, name)]
        assert not unknown, f"not_applicable has scenarios that do not exist: {', '.join(unknown)}"
        reason = self.not_applicable.get(request.node.originalname)
        if reason:
            pytest.skip(reason)

    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        """The provider under test and its server."""
        with ReplyServer() as self.server, ExitStack() as resources:
            yield Bench(self, self.server, resources)

    @pytest.fixture(params=WAYS)
    def way(self, request: pytest.FixtureRequest) -> str:
        """Each of the four ways of calling."""
        return str(request.param)

    @pytest.fixture(params=STREAMED)
    def streamed_way(self, request: pytest.FixtureRequest) -> str:
        """Each of the two ways of streaming."""
        return str(request.param)
