"""An event loop for programs that run in none: some frameworks take the thread's own and leave it open."""

from __future__ import annotations

import asyncio
import inspect
from typing import Iterator

import pytest


@pytest.fixture(autouse=True)
def _loop_of_the_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    if inspect.iscoroutinefunction(request.function):
        yield
        return
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    asyncio.set_event_loop(None)
