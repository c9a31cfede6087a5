"""Fixtures around the scripted server, for ``conftest.py`` to import."""

from __future__ import annotations

from typing import Iterator

import pytest

from tests.support.scripted_server.server import ScriptedServer
from tests.support.scripted_server.wire import DIALECTS, Dialect

__all__ = ["dialect", "scripted_server", "server"]


@pytest.fixture(scope="session")
def scripted_server() -> Iterator[ScriptedServer]:
    """One server for the whole session; tests take ``server``."""
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def server(scripted_server: ScriptedServer) -> Iterator[ScriptedServer]:
    """The scripted server as new; the test fails when one of its own reply functions did."""
    scripted_server.reset()
    yield scripted_server
    errors = scripted_server.errors
    scripted_server.reset()
    if errors:
        raise errors[0]


@pytest.fixture(params=list(DIALECTS))
def dialect(request: pytest.FixtureRequest) -> Dialect:
    """Each of the four wire formats in turn."""
    return DIALECTS[request.param]
