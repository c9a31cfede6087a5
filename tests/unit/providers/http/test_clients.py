"""The SDK clients of an adapter: one for threads, one for each loop, closed when they should be."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import weakref
from contextlib import suppress
from typing import Any, Awaitable, Callable, List, Optional

import pytest

from llm_orchestrator.providers.http.clients import Clients
from llm_orchestrator.providers.http.redaction import Redactor
from tests.support.forks import in_child


class Client:
    """A client that knows whether it was closed, and on which loop."""

    def __init__(self) -> None:
        self.closed = 0
        self.closed_on: Optional[asyncio.AbstractEventLoop] = None

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1
        self.closed_on = asyncio.get_running_loop()
        await asyncio.sleep(0)


class Made:
    """The clients of a test, and all that were made for them."""

    def __init__(self, make: Callable[[], Client] = Client) -> None:
        self.sync: List[Client] = []
        self.for_loops: List[Client] = []
        self.clients: Clients[Client, Client] = Clients(
            make=lambda: self._note(self.sync, make()),
            make_async=lambda: self._note(self.for_loops, make()),
            close=Client.close,
            aclose=Client.aclose,
            redactor=Redactor(()),
        )

    def _note(self, made: List[Client], client: Client) -> Client:
        made.append(client)
        return client


@pytest.fixture
def made() -> Made:
    return Made()


def run_bare(work: Callable[[], Awaitable[Any]]) -> None:
    """Run on a loop that is closed without shutting down its async generators, as some programs do."""

    async def main() -> None:
        await work()

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def test_threads_that_race_get_one_client() -> None:
    both_inside = threading.Barrier(2)

    def make() -> Client:
        with suppress(threading.BrokenBarrierError):  # as it should be: the other thread waits outside
            both_inside.wait(0.05)
        return Client()

    made, got = Made(make), []  # type: ignore[var-annotated]
    threads = [threading.Thread(target=lambda: got.append(made.clients.for_threads())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made.sync) == 1
    assert got == made.sync * 4


def test_nothing_is_made_before_it_is_needed(made: Made) -> None:
    made.clients.close()
    asyncio.run(made.clients.aclose())
    assert made.sync == made.for_loops == []


def test_closing_twice_and_using_again(made: Made) -> None:
    first = made.clients.for_threads()
    made.clients.close()
    made.clients.close()
    assert first.closed == 1
    assert made.clients.for_threads() is not first


def test_tasks_of_a_loop_share_a_client(made: Made) -> None:
    async def main() -> None:
        clients = await asyncio.gather(*[made.clients.for_loop() for _ in range(10)])
        assert clients == made.for_loops * 10

    asyncio.run(main())
    assert len(made.for_loops) == 1


@pytest.mark.slow  # a full collection
def test_each_loop_has_its_own_client_and_closes_it_at_its_end(made: Made) -> None:
    loops: List[asyncio.AbstractEventLoop] = []

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        assert not (await made.clients.for_loop()).closed

    for _ in range(3):
        asyncio.run(main())
    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [client.closed for client in made.for_loops] == [1] * 5
    assert {client.closed_on for client in made.for_loops} == set(loops)
    gone = weakref.ref(made.for_loops.pop())
    made.for_loops.clear()
    gc.collect()
    assert gone() is None and not made.clients._for_loops, "nothing of a loop outlives it"


def test_aclose_closes_the_running_loops_client_and_that_of_threads(made: Made) -> None:
    async def main() -> None:
        made.clients.for_threads()
        client = await made.clients.for_loop()
        await made.clients.aclose()
        await made.clients.aclose()
        assert client.closed == made.sync[0].closed == 1
        assert await made.clients.for_loop() is not client

    asyncio.run(main())
    assert [client.closed for client in made.for_loops] == [1, 1]


def test_aclose_leaves_other_loops_alone(made: Made) -> None:
    in_use, may_end = threading.Event(), threading.Event()

    async def other() -> None:
        client = await made.clients.for_loop()
        in_use.set()
        await asyncio.get_running_loop().run_in_executor(None, may_end.wait, 5)
        assert not client.closed

    thread = threading.Thread(target=lambda: asyncio.run(other()))
    thread.start()
    assert in_use.wait(5)
    asyncio.run(made.clients.aclose())
    assert not made.for_loops[0].closed
    may_end.set()
    thread.join()
    assert made.for_loops[0].closed == 1


def test_an_async_generator_may_close_the_clients_while_the_loop_shuts_down(made: Made) -> None:
    async def session() -> Any:
        try:
            yield await made.clients.for_loop()
        finally:
            await made.clients.aclose()

    kept: List[Any] = []

    async def main() -> None:
        kept.append(session())
        await kept[0].__anext__()

    asyncio.run(main())
    assert made.for_loops[0].closed == 1


@pytest.mark.parametrize("closes", [True, False])
def test_the_client_of_a_loop_closed_without_goodbye_is_given_up_by_the_next(
    made: Made, monkeypatch: pytest.MonkeyPatch, closes: bool
) -> None:
    if not closes:

        async def fail(client: Client) -> None:
            client.closed += 1
            raise RuntimeError("Event loop is closed")

        made.clients._aclose = fail
    run_bare(made.clients.for_loop)
    assert not made.for_loops[0].closed
    run_bare(made.clients.for_loop)
    assert [client.closed for client in made.for_loops] == [1, 0]
    assert len(made.clients._for_loops) == 1, "only the last loop's, until another comes"


@pytest.mark.slow  # a full collection
def test_clients_that_are_dropped_are_closed_by_the_running_loop() -> None:
    async def main() -> Client:
        made = Made()
        await made.clients.for_loop()
        client = made.for_loops[0]
        del made
        gc.collect()
        for _ in range(3):
            await asyncio.sleep(0)
        return client

    assert asyncio.run(main()).closed == 1


def test_starting_anew_keeps_the_old_clients_open(made: Made) -> None:
    async def main() -> None:
        old = made.clients.for_threads(), await made.clients.for_loop()
        made.clients.start_anew_in_child()
        new = made.clients.for_threads(), await made.clients.for_loop()
        assert not set(old) & set(new)
        await made.clients.aclose()
        assert [client.closed for client in (*old, *new)] == [0, 0, 1, 1]
        old[0].close()
        await old[1].aclose()

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_starts_anew_and_leaves_the_parents_clients_open(made: Made) -> None:
    async def main() -> None:
        parents, loops = made.clients.for_threads(), await made.clients.for_loop()

        def child() -> bool:
            own = made.clients.for_threads()
            made.clients.close()
            gc.collect()
            return own is not parents and own.closed == 1 and not parents.closed and not loops.closed

        assert in_child(child)
        assert made.clients.for_threads() is parents and not parents.closed
        assert await made.clients.for_loop() is loops

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_while_another_thread_makes_a_client_does_not_block_the_child() -> None:
    making, may_end = threading.Event(), threading.Event()

    def make() -> Client:
        if not making.is_set():
            making.set()
            may_end.wait(5)
        return Client()

    made = Made(make)
    thread = threading.Thread(target=made.clients.for_threads)
    thread.start()
    assert making.wait(5)

    def child() -> bool:
        asker = threading.Thread(target=made.clients.for_threads, daemon=True)
        asker.start()
        asker.join(2)
        return not asker.is_alive()

    try:
        assert in_child(child)
    finally:
        may_end.set()
        thread.join()
