"""K3: keys that a function gives, that stand in a file, or that are several: asked for once, and once more."""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, List, Union

import pytest

from llm_orchestrator import (
    AuthenticationError,
    ConfigurationError,
    LLMOrchestrator,
    ProviderConnectionError,
    ProviderTimeoutError,
    RateLimitError,
)
from llm_orchestrator.testing import FakeProvider
from tests.support.fixtures import Orchestrate
from tests.support.marks import chat
from tests.support.scripted_server import Dialect, Reply, ScriptedServer, refusing_url
from tests.support.scripted_server.connection import Request
from tests.support.scripted_server.smart import smart_reply
from tests.support.scripted_server.wire_base import TRANSPORT
from tests.support.ways import ask, run_async

each_transport = pytest.mark.parametrize("transport", ["direct", "sdk"])
FIRST, SECOND, THIRD = "sk-first-11112222", "sk-second-33334444", "sk-third-55556666"


def key_of(request: Request) -> str:
    headers = request.headers
    value = headers.get("authorization") or headers.get("x-api-key") or headers.get("x-goog-api-key") or ""
    return value.replace("Bearer ", "")


class Door:
    """A provider that takes some keys, and says of others that they are wrong or limited."""

    def __init__(self, server: ScriptedServer, dialect: Dialect) -> None:
        self.wrong: Dict[str, Reply] = {}
        self._refusal = dialect.failure("bad_key")
        self._dialect = dialect
        self._server = server
        server.default = self

    def __call__(self, request: Request) -> Reply:
        return self.wrong.get(key_of(request)) or smart_reply(request)

    def refuse(self, *keys: str) -> None:
        self.wrong.update(dict.fromkeys(keys, self._refusal))

    def limit(self, key: str, seconds: float = 30) -> None:
        self.wrong[key] = self._dialect.error(429, retry_after=seconds)

    @property
    def keys(self) -> List[str]:
        return [key_of(request) for request in self._server.requests]


@pytest.fixture
def door(server: ScriptedServer, dialect: Dialect) -> Door:
    return Door(server, dialect)


class Vault:
    """Gives the next key each time it is asked; ``aask`` is the same for event loops."""

    def __init__(self, *keys: str) -> None:
        self.keys = list(keys)
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        return self.keys[min(self.asked, len(self.keys)) - 1]

    async def aask(self) -> str:
        await asyncio.sleep(0)
        return self()


@each_transport
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_k3_a_function_is_asked_once_and_once_more_after_a_401(
    orchestrate: Orchestrate, door: Door, dialect: Dialect, way: str, transport: str, kind: str
) -> None:
    vault = Vault(FIRST, SECOND)
    orchestrator = orchestrate(api_key=vault if kind == "sync" else vault.aask, transport=transport)
    assert vault.asked == 0
    for _ in range(2):
        ask(orchestrator, way)
    assert (vault.asked, door.keys) == (1, [FIRST] * 2)

    door.refuse(FIRST)
    response = ask(orchestrator, way)
    ask(orchestrator, way)

    assert (vault.asked, door.keys[2:]) == (2, [FIRST, SECOND, SECOND])
    assert [attempt.error for attempt in response.attempts] == ["AuthenticationError", None]


def test_k3_a_function_whose_keys_are_all_wrong_is_asked_once_more_and_not_for_ever(
    orchestrate: Orchestrate, door: Door, dialect: Dialect, way: str
) -> None:
    vault = Vault(FIRST)
    door.refuse(FIRST)
    orchestrator = orchestrate(api_key=vault, max_retries=3)
    for calls in (1, 2):
        with pytest.raises(AuthenticationError) as caught:
            ask(orchestrator, way)
        assert (vault.asked, len(door.keys)) == (2 * calls, 2 * calls)
        assert len(caught.value.attempts) == 2 and FIRST not in str(caught.value)


@each_transport
def test_k3_a_file_is_read_at_first_use_and_once_more_after_a_401(
    orchestrate: Orchestrate, door: Door, dialect: Dialect, way: str, transport: str, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    orchestrator = orchestrate(api_key=None, api_key_file=str(path), transport=transport)
    path.write_text(f"{FIRST}\n")
    ask(orchestrator, way)
    path.write_text(f"{SECOND}\n")
    ask(orchestrator, way)
    assert door.keys == [FIRST] * 2, "it is not read again"

    door.refuse(FIRST)
    ask(orchestrator, way)
    assert door.keys[2:] == [FIRST, SECOND]


def test_k3_several_keys_are_used_in_turn(
    orchestrate: Orchestrate, door: Door, dialect: Dialect, way: str
) -> None:
    orchestrator = orchestrate(api_key=[FIRST, SECOND, Vault(THIRD)])
    for _ in range(4):
        ask(orchestrator, way)
    assert door.keys == [FIRST, SECOND, THIRD, FIRST]


def test_k3_a_key_that_is_limited_rests_and_the_next_one_answers(
    orchestrate: Orchestrate, door: Door, dialect: Dialect, way: str, waits: List[float]
) -> None:
    door.limit(FIRST)
    orchestrator = orchestrate(api_key=[FIRST, SECOND])
    response = ask(orchestrator, way)
    for _ in range(2):
        ask(orchestrator, way)

    assert door.keys == [FIRST, SECOND, SECOND, SECOND] and waits == []
    assert [attempt.error for attempt in response.attempts] == ["RateLimitError", None]


def test_k3_a_key_that_is_refused_is_left_out(
    orchestrate: Orchestrate, door: Door, dialect: Dialect, way: str
) -> None:
    door.refuse(FIRST)
    orchestrator = orchestrate(api_key=[FIRST, SECOND])
    for _ in range(3):
        ask(orchestrator, way)
    assert door.keys == [FIRST, SECOND, SECOND, SECOND]


def test_k3_when_every_key_is_limited_the_first_that_is_free_is_waited_for(
    orchestrate: Orchestrate, door: Door, dialect: Dialect, way: str, waits: List[float]
) -> None:
    door.limit(FIRST, 5)
    door.limit(SECOND, 30)
    orchestrator = orchestrate(api_key=[FIRST, SECOND], max_retries=1)
    with pytest.raises(RateLimitError) as caught:
        ask(orchestrator, way)

    assert door.keys[:2] == [FIRST, SECOND]
    assert len(waits) == 1 and 0 < waits[0] <= 5
    assert caught.value.retry_after is not None and caught.value.retry_after <= 30


@chat
def test_k3_a_listing_asks_again_too(orchestrate: Orchestrate, door: Door, dialect: Dialect) -> None:
    orchestrator = orchestrate(api_key=Vault(FIRST, SECOND))
    door.refuse(FIRST)
    assert orchestrator.validate_model("scripted-1") is True
    assert door.keys == [FIRST, SECOND]


def failing() -> str:
    raise ValueError("the vault is closed")


WRONG: Dict[str, Any] = {
    "raises": (failing, "raised ValueError"),
    "nothing": (lambda: None, "gave no text"),
    "empty": (lambda: "  ", "gave no text"),
    "no header": (lambda: "two words", "gave what no HTTP header can carry"),
}


@pytest.mark.parametrize(("source", "said"), WRONG.values(), ids=WRONG)
def test_k3_a_function_that_gives_no_key_is_our_error(
    orchestrate: Orchestrate, door: Door, dialect: Dialect, way: str, source: Any, said: str
) -> None:
    with pytest.raises(AuthenticationError, match=said) as caught:
        ask(orchestrate(api_key=source, max_retries=2), way)
    assert door.keys == [] and caught.value.sent is False


@pytest.mark.real_clock
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_k3_a_function_that_hangs_ends_with_the_time_of_the_request(
    orchestrate: Orchestrate, door: Door, dialect: Dialect, way: str, kind: str
) -> None:
    leave = threading.Event()

    async def never() -> str:
        await asyncio.sleep(600)
        return FIRST

    def hanging() -> str:
        leave.wait(600)
        return FIRST

    source: Union[Callable[[], Any]] = never if kind == "async" else hanging
    began = time.monotonic()
    # An SDK asks for the key inside its own call, whose limit can be the one that ends it.
    late = (AuthenticationError, ProviderTimeoutError) if TRANSPORT == "sdk" else AuthenticationError
    with pytest.raises(late, match="did not (return|arrive) in"):
        ask(orchestrate(api_key=source, timeout=0.2), way)
    leave.set()
    assert door.keys == [] and time.monotonic() - began < 60


def test_k3_many_calls_at_once_ask_once(orchestrate: Orchestrate, door: Door, dialect: Dialect) -> None:
    vault = Vault(FIRST)
    orchestrator = orchestrate(api_key=vault)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: orchestrator.send_request("Hi"), range(8)))

    async def all_at_once() -> None:
        await asyncio.gather(*(other.asend_request("Hi") for _ in range(8)))

    other_vault = Vault(SECOND)
    other = orchestrate(api_key=other_vault.aask)
    run_async(other, all_at_once)
    assert (vault.asked, other_vault.asked) == (1, 1)


@chat
def test_k3_an_async_function_cannot_be_awaited_by_a_sync_call_on_a_loop(
    orchestrate: Orchestrate, door: Door, dialect: Dialect
) -> None:
    orchestrator = orchestrate(api_key=Vault(FIRST).aask)

    async def main() -> None:
        with pytest.raises(ConfigurationError, match="async function, which a sync call cannot await"):
            orchestrator.send_request("Hi")
        await orchestrator.asend_request("Hi")

    asyncio.run(main())


@chat
def test_k3_what_went_wrong_on_the_way_can_be_pickled(
    orchestrate: Orchestrate, dialect: Dialect, way: str
) -> None:
    with refusing_url() as url, pytest.raises(ProviderConnectionError) as caught:
        ask(orchestrate(url, api_key=[FIRST, SECOND]), way)
    assert type(pickle.loads(pickle.dumps(caught.value))) is type(caught.value)


@chat
def test_k3_the_connections_of_a_key_that_is_gone_are_closed(
    orchestrate: Orchestrate, server: ScriptedServer, door: Door, dialect: Dialect, way: str
) -> None:
    orchestrator = orchestrate(api_key=Vault(FIRST, SECOND, THIRD))
    for key in (FIRST, SECOND):
        ask(orchestrator, way)
        door.refuse(key)
    ask(orchestrator, way)
    keyed = orchestrator._providers["openai"]._keyed  # type: ignore[attr-defined]
    assert list(keyed._adapters) == [THIRD]


@chat
def test_k3_no_key_shows(
    orchestrate: Orchestrate, door: Door, dialect: Dialect, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for key in (FIRST, SECOND):
        door.wrong[key] = dialect.error(401, message=f"Incorrect API key provided: {key}.")
    orchestrator = orchestrate(api_key=[FIRST, Vault(SECOND)])
    with pytest.raises(AuthenticationError) as caught:
        ask(orchestrator, way)
    seen = "".join([str(caught.value), repr(vars(caught.value)), caplog.text, repr(orchestrator.config)])
    assert FIRST not in seen and SECOND not in seen


# ---------------------------------------------------------------- configuration

BASE: Dict[str, Any] = {"active_provider": "openai", "active_model": "m"}


@pytest.mark.parametrize("keys", [5, [[FIRST]], {"a": FIRST}, [FIRST, 5]])
def test_k3_what_is_no_key_is_refused_without_being_shown(keys: Any) -> None:
    with pytest.raises(
        ConfigurationError, match="openai.api_key: is not a key. Write it as a text"
    ) as caught:
        LLMOrchestrator({**BASE, "providers": {"openai": {"api_key": keys}}})
    assert FIRST not in str(caught.value)


def test_k3_a_key_and_a_file_exclude_each_other(tmp_path: Path) -> None:
    entry = {"api_key": FIRST, "api_key_file": str(tmp_path / "key")}
    with pytest.raises(ConfigurationError, match="stands beside `api_key`. Remove one"):
        LLMOrchestrator({**BASE, "providers": {"openai": entry}})


def test_k3_a_file_that_is_missing_is_said_when_it_is_needed(tmp_path: Path) -> None:
    entry = {"api_key_file": str(tmp_path / "key")}
    with LLMOrchestrator({**BASE, "providers": {"openai": entry}}) as orchestrator:
        with pytest.raises(
            ConfigurationError, match=r"api_key_file .*key cannot be read \(FileNotFoundError\)"
        ):
            orchestrator.send_request("Hi")


@pytest.mark.parametrize("keys", [[FIRST], [FIRST, ""], (None, FIRST)])
def test_k3_a_list_of_one_is_one_key(keys: Any) -> None:
    with LLMOrchestrator({**BASE, "providers": {"openai": {"api_key": keys}}}) as orchestrator:
        key: Any = orchestrator.config.providers["openai"].api_key
        assert key.get_secret_value() == FIRST


def test_k3_an_adapter_that_takes_one_key_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_orchestrator.providers._registered", {"faked": FakeProvider})
    config = {
        "active_provider": "faked",
        "active_model": "m",
        "providers": {"faked": {"api_key": [FIRST, SECOND]}},
    }
    with pytest.raises(ConfigurationError, match="the adapter 'faked' takes one key"):
        LLMOrchestrator(config).send_request("Hi")
