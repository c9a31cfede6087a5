"""The fixtures of the pytest plugin: a scripted orchestrator, and no network."""

from __future__ import annotations

import asyncio
import os
import socket
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable, List

import pytest

from llm_orchestrator import LLMOrchestrator, OrchestratorError, RateLimitError
from llm_orchestrator.testing import NetworkGuard, ScriptedOrchestrator
from tests.support.ways import ask

#: An address of the block that is kept for documentation: nobody is there.
NOBODY = "192.0.2.1"

# ---------------------------------------------------------------------------------------- orchestrator


def test_it_answers_what_it_is_told_in_all_ways(
    scripted_orchestrator: ScriptedOrchestrator, way: str
) -> None:
    assert isinstance(scripted_orchestrator, LLMOrchestrator)
    scripted_orchestrator.answers("One.", "Two.")
    assert [ask(scripted_orchestrator, way, text).content for text in ("a", "b", "c")] == [
        "One.",
        "Two.",
        "Two.",
    ]
    assert [request.messages[0].text for request in scripted_orchestrator.requests] == ["a", "b", "c"]


def test_without_a_word_it_answers_all_the_same(scripted_orchestrator: ScriptedOrchestrator) -> None:
    assert scripted_orchestrator.send_request("Hi", model="any").content == "This is a scripted answer."
    assert scripted_orchestrator.for_provider("scripted").send_request("Hi").content


def test_its_own_model_has_a_price_and_others_have_none(scripted_orchestrator: ScriptedOrchestrator) -> None:
    scripted_orchestrator.answers("four words of text")
    assert scripted_orchestrator.send_request("three little words").cost == Decimal("0.000011")
    assert scripted_orchestrator.send_request("three little words", model="other").cost is None


def test_it_retries_without_waiting(scripted_orchestrator: ScriptedOrchestrator) -> None:
    scripted_orchestrator.answers(RateLimitError("Slow down."), "Here I am.")
    response = scripted_orchestrator.send_request("Hi")
    assert [attempt.error for attempt in response.attempts] == ["RateLimitError", None]
    assert response.latency is not None and response.latency < 0.1


def test_it_writes_into_the_folder_of_the_test_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    scripted_orchestrator = request.getfixturevalue("scripted_orchestrator")
    scripted_orchestrator.send_request("Hi")
    scripted_orchestrator.refresh_models()
    assert list(home.iterdir()) == [] and (tmp_path / "models.json").is_file()
    assert scripted_orchestrator.get_available_models() == ["fake-model"]


# ---------------------------------------------------------------------------------------- network


def by_name(_: Any) -> None:
    socket.create_connection(("example.org", 443), timeout=1)


def by_address(_: Any) -> None:
    with socket.socket() as sender:
        sender.settimeout(1)
        sender.connect((NOBODY, 443))


def asking_for_a_code(_: Any) -> None:
    with socket.socket() as sender:
        sender.settimeout(1)
        sender.connect_ex((NOBODY, 443))


def by_datagram(_: Any) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.sendto(b"metric", (NOBODY, 8125))


def on_a_loop(_: Any) -> None:
    asyncio.run(asyncio.wait_for(asyncio.open_connection(NOBODY, 443), 1))


def by_an_old_look_up(_: Any) -> None:
    socket.gethostbyname("example.org")


def by_a_look_up_of_all_addresses(_: Any) -> None:
    socket.gethostbyname_ex("example.org")


def behind_a_broad_except(_: Any) -> None:
    try:
        by_address(None)
    except Exception:
        return


WAYS_OUT: List[Callable[[Any], None]] = [
    by_name,
    by_address,
    asking_for_a_code,
    by_datagram,
    on_a_loop,
    by_an_old_look_up,
    by_a_look_up_of_all_addresses,
    behind_a_broad_except,
]


@pytest.mark.parametrize("leave", WAYS_OUT, ids=lambda leave: leave.__name__)
def test_nothing_leaves_this_machine(leave: Callable[[Any], None]) -> None:
    with pytest.raises(pytest.fail.Exception) as caught, NetworkGuard().watching():
        leave(None)
    assert caught.match("may not use the network, but it connected to")
    assert caught.match("example.org, port 443" if leave is by_name else "example.org|" + NOBODY)
    assert caught.match("no_network.allow")


def test_this_machine_stays_reachable(no_network: NetworkGuard) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for host in ("127.0.0.1", "localhost", *(["0.0.0.0"] if os.name == "posix" else [])):
            socket.create_connection((host, port), timeout=1).close()

        async def connect() -> None:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()

        asyncio.run(connect())


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")
def test_unix_sockets_are_no_network(no_network: NetworkGuard, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)  # the whole path may be too long for one
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as sender:
        listener.bind("local")
        listener.listen()
        sender.connect("local")


def test_a_test_may_allow_hosts(no_network: NetworkGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    called: List[Any] = []
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (NOBODY, 443))]
    guard = NetworkGuard()
    guard.allow("db.test", "other.test")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments: found)
    monkeypatch.setattr(socket.socket, "connect", lambda sender, address: called.append(address))
    with guard.watching():
        socket.create_connection(("db.test", 443)).close()
    assert called == [(NOBODY, 443)], "the name that is allowed, and the address it has"


def test_the_watch_ends_with_the_test() -> None:
    before = (socket.getaddrinfo, socket.socket.connect, socket.socket.sendto)
    with NetworkGuard().watching():
        assert socket.socket.connect is not before[1]
    assert (socket.getaddrinfo, socket.socket.connect, socket.socket.sendto) == before


# ---------------------------------------------------------------------------------------- pytest


def test_an_application_may_close_it_and_get_it_again(
    scripted_orchestrator: ScriptedOrchestrator, way: str
) -> None:
    with scripted_orchestrator as orchestrator:
        assert ask(orchestrator, way).content
    asyncio.run(scripted_orchestrator.aclose())
    assert ask(scripted_orchestrator, way).content

    scripted_orchestrator.end()
    with pytest.raises(OrchestratorError, match="closed"):
        ask(scripted_orchestrator, way)
