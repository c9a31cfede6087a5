"""Bodies of replies, as they came from the network or were read before."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llm_orchestrator.providers.http.library import loaded_http_libraries
from llm_orchestrator.providers.wire import abody_of, body_of

BODY = b'{"text": "Hello."}'


def reply_read_before() -> Any:
    """What recorders of HTTP make, and tools that write bodies into a log."""
    return next(loaded_http_libraries()).Response(200, content=BODY)


@pytest.mark.usefixtures("vendor_sdks")
def test_a_reply_may_have_been_read_before() -> None:
    assert b"".join(body_of(reply_read_before())) == BODY


@pytest.mark.usefixtures("vendor_sdks")
def test_a_reply_may_have_been_read_before_async() -> None:
    async def read() -> bytes:
        return b"".join([piece async for piece in abody_of(reply_read_before())])

    assert asyncio.run(read()) == BODY
