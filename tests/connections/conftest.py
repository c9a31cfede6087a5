"""A server by script, and callers of it: sync and async, plain and with TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional

import pytest

from tests.connections.callers import CALLERS, Caller
from tests.connections.certificates import Authority
from tests.connections.servers import RawServer, Script

Serve = Callable[..., RawServer]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Issues certificates."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def certificate(authority: Authority) -> Path:
    """A good certificate for 127.0.0.1."""
    return authority.issue("good")


@pytest.fixture(params=["plain", "tls"])
def security(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=CALLERS, ids=["sync", "async"])
def caller_class(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def serve(request: pytest.FixtureRequest, security: str) -> Iterator[Serve]:
    """Starts servers, and stops them after the test."""
    servers: List[RawServer] = []

    def start(script: Script, certificate: Optional[Path] = None, **tls: object) -> RawServer:
        if security == "tls" and certificate is None:
            certificate = request.getfixturevalue("certificate")
        servers.append(RawServer(script, certificate, **tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def call(
    caller_class: Any, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Caller]]:
    """Makes callers of a server, and closes them after the test, before its servers."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    callers: List[Caller] = []

    def make(server: Any, **settings: Any) -> Caller:
        url = server if isinstance(server, str) else server.url
        if url.startswith("https"):
            settings.setdefault("ca_bundle", str(authority.file))
        callers.append(caller_class(url, **settings))
        return callers[-1]

    yield make
    for caller in callers:
        caller.close()
