"""What the tests of streams share: scenarios for sync and async alike, and connections that are counted."""

from __future__ import annotations

import asyncio
from typing import Any, AsyncIterator, Awaitable, Callable, Iterator, List, Mapping, Union

import pytest

from llm_orchestrator import AsyncLLMStream, LLMResponse, LLMStream
from llm_orchestrator.testing import FakeProvider, FakeReply
from tests.support.fakes import Scene, play

PIECES = ["Four", ", of", " course."]


class TrackedReply:
    """An open reply that notes whether it was closed."""

    status_code = 200

    def __init__(self, reply: Any, provider: TrackingProvider) -> None:
        self.headers: Mapping[str, str] = reply.headers
        self._reply = reply
        self._open = provider.open_replies
        self._fault = provider.fault_on_close
        self._open.append(self)

    def iter_bytes(self) -> Iterator[bytes]:
        return self._reply.iter_bytes()  # type: ignore[no-any-return]

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        return self._reply.aiter_bytes()  # type: ignore[no-any-return]

    def close(self) -> None:
        if self in self._open:
            self._open.remove(self)
        if self._fault:
            raise self._fault

    async def aclose(self) -> None:
        self.close()


class TrackingProvider(FakeProvider):
    """A provider that knows which of its connections are open."""

    fault_on_close: Any = None

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.open_replies: List[TrackedReply] = []

    def open_call(self, wire: Any, limits: Any) -> Any:
        return TrackedReply(super().open_call(wire, limits), self)

    async def aopen_call(self, wire: Any, limits: Any) -> Any:
        return TrackedReply(await super().aopen_call(wire, limits), self)


class Reader:
    """A sync or an async stream behind one interface, so that a scenario is written once."""

    def __init__(self, stream: Union[LLMStream, AsyncLLMStream]) -> None:
        self.stream = stream

    async def piece(self) -> str:
        return next(self.stream) if isinstance(self.stream, LLMStream) else await self.stream.__anext__()

    async def pieces(self) -> List[str]:
        if isinstance(self.stream, LLMStream):
            return list(self.stream)
        return [piece async for piece in self.stream]

    async def events(self) -> List[Any]:
        if isinstance(self.stream, LLMStream):
            return list(self.stream.events())
        return [event async for event in self.stream.events()]

    async def final(self) -> LLMResponse:
        if isinstance(self.stream, LLMStream):
            return self.stream.final_response()
        return await self.stream.final_response()

    async def close(self) -> None:
        if isinstance(self.stream, LLMStream):
            self.stream.close()
        else:
            await self.stream.aclose()

    async def __aenter__(self) -> Reader:
        stream = self.stream
        entered = stream.__enter__() if isinstance(stream, LLMStream) else await stream.__aenter__()
        assert entered is stream
        return self

    async def __aexit__(self, *raised: Any) -> None:
        if isinstance(self.stream, LLMStream):
            self.stream.__exit__(*raised)
        else:
            await self.stream.__aexit__(*raised)


Open = Callable[..., Reader]
Scenario = Callable[[Scene, Open], Awaitable[Any]]
Perform = Callable[..., Any]


@pytest.fixture(name="perform", params=["sync", "async"])
def performer(request: pytest.FixtureRequest) -> Perform:
    """Runs a scenario on sync and on async streams; afterwards no connection may be open."""

    def run(scenario: Scenario, *script: Any, **settings: Any) -> Any:
        scene = play(
            *(script or [FakeReply(chunks=PIECES)]),
            provider_class=TrackingProvider,
            max_retries=1,
            **settings,
        )

        def open_stream(messages: Any = "What is 2+2?", **arguments: Any) -> Reader:
            if request.param == "sync":
                return Reader(scene.orchestrator.send_streaming_request(messages, **arguments))
            return Reader(scene.orchestrator.asend_streaming_request(messages, **arguments))

        async def main() -> Any:
            return await scenario(scene, open_stream)

        result = asyncio.run(main())
        assert connections(scene) == 0
        return result

    return run


def connections(scene: Scene) -> int:
    assert isinstance(scene.provider, TrackingProvider)
    return len(scene.provider.open_replies)
