"""The Gemini adapter through its real SDK, against the scripted server."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
from typing import Any, Iterator

import pytest

from llm_orchestrator.exceptions import (
    ConfigurationError,
    InvalidRequestError,
    OverloadedError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    StreamInterruptedError,
)
from llm_orchestrator.providers.gemini import transport
from llm_orchestrator.providers.gemini_adapter import GeminiAdapter
from llm_orchestrator.types import LLMRequest, LLMResponse, Message
from tests.support.scripted_server import (
    DIALECTS,
    Call,
    Reply,
    ScriptedServer,
    Usage,
    silent_url,
    unreachable_url,
)

KEY = "sk-test-0123456789abcdef"
GEMINI = DIALECTS["gemini"]
WAYS = ["whole", "streamed", "async whole", "async streamed"]
#: What the environment must not change.
ENVIRONMENT = {
    "GEMINI_API_KEY": "sk-other",
    "GOOGLE_API_KEY": "sk-another",
    "GOOGLE_CLOUD_LOCATION": "mars",
    "GOOGLE_CLOUD_PROJECT": "other",
    "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:9",
    "GOOGLE_GENAI_API_VERSION": "v0",
    "GOOGLE_GENAI_CLIENT_MODE": "replay",
    "GOOGLE_GENAI_REPLAY_ID": "other/replay",
    "GOOGLE_GENAI_USE_ENTERPRISE": "true",
    "GOOGLE_GENAI_USE_VERTEXAI": "true",
}
ANSWER: Any = {
    "usage": Usage(prompt=10, completion=5, reasoning=2),
    "reasoning": "Hm.",
    "tool_calls": [Call("clock", {"zone": None, "data": "a-b_c"}), Call("clock")],
}

pytest.importorskip("google.genai")


@pytest.fixture(scope="module", autouse=True)
def _warm_sdk(vendor_sdks: None, scripted_server: ScriptedServer) -> None:
    """What the SDK does once, at its first calls, belongs to no single test."""
    for way in WAYS:
        adapter = GeminiAdapter("gemini", transport="sdk", api_key=KEY, base_url=scripted_server.url)
        ask(adapter, way)
        adapter.get_available_models()
        adapter.close()


@pytest.fixture
def adapter(server: ScriptedServer) -> Iterator[GeminiAdapter]:
    made = GeminiAdapter("gemini", transport="sdk", api_key=KEY, base_url=server.url, timeout=5)
    yield made
    made.close()


def request(**parameters: Any) -> LLMRequest:
    return LLMRequest("scripted-1", (Message("user", "Hi"),), **parameters)


def ask(adapter: GeminiAdapter, way: str, **parameters: Any) -> LLMResponse:
    """The same call in one of the four ways."""
    if way == "whole":
        return adapter.send_request(request(**parameters))
    if way == "streamed":
        stream = adapter.send_streaming_request(request(**parameters))
        list(stream)
        return stream.response()
    return asyncio.run(ask_async(adapter, way, **parameters))


async def ask_async(adapter: GeminiAdapter, way: str, **parameters: Any) -> LLMResponse:
    if way == "async whole":
        return await adapter.asend_request(request(**parameters))
    stream = await adapter.asend_streaming_request(request(**parameters))
    assert [piece async for piece in stream]
    return stream.response()


def scripted(way: str) -> Reply:
    return GEMINI.stream(["Hel", "lo"], **ANSWER) if "streamed" in way else GEMINI.whole("Hello", **ANSWER)


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_in_each_way(adapter: GeminiAdapter, server: ScriptedServer, way: str) -> None:
    server.script(scripted(way))
    answer = ask(adapter, way, temperature=0.2, extra_headers={"X-Mine": "yes"})
    assert (answer.content, answer.reasoning) == ("Hello", "Hm.")
    assert [call.arguments for call in answer.tool_calls] == [{"zone": None, "data": "a-b_c"}, {}]
    assert answer.tokens_used == {"prompt": 10, "completion": 5, "total": 15}
    assert answer.message is not None and answer.message.provider_state is not None
    signatures = [part.get("thoughtSignature") for part in answer.message.provider_state["parts"]]
    assert GEMINI.signature in signatures

    (sent,) = server.requests
    method = "streamGenerateContent" if "streamed" in way else "generateContent"
    assert (sent.method, sent.path) == ("POST", f"/v1beta/models/scripted-1:{method}")
    assert sent.headers["x-goog-api-key"] == KEY
    assert sent.headers["x-mine"] == "yes"
    assert sent.body == {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "generationConfig": {"temperature": 0.2},
    }


@pytest.mark.parametrize("way", WAYS)
def test_a_status_error_in_each_way(adapter: GeminiAdapter, server: ScriptedServer, way: str) -> None:
    server.script(GEMINI.error(429, retry_after=38, retry_after_form="body"))
    with pytest.raises(RateLimitError) as caught:
        ask(adapter, way)
    assert (caught.value.status_code, caught.value.retry_after) == (429, 38)
    assert len(server.requests) == 1


def test_models(adapter: GeminiAdapter, server: ScriptedServer) -> None:
    server.script(GEMINI.models(["a", "b"]), GEMINI.model("a"), GEMINI.error(404))
    models = adapter.get_available_models()
    assert [(model.name, model.exclusion) for model in models] == [("a", None), ("b", None)]
    assert models[0].capabilities is not None
    assert models[0].capabilities["supportedGenerationMethods"] == ["generateContent", "countTokens"]
    assert (adapter.validate_model("a"), adapter.validate_model("b")) == (True, False)
    assert [sent.path for sent in server.requests] == [
        "/v1beta/models",
        "/v1beta/models/a",
        "/v1beta/models/b",
    ]


def test_every_page_of_the_models(adapter: GeminiAdapter, server: ScriptedServer) -> None:
    pages = (
        b'{"models": [{"name": "models/a"}], "nextPageToken": "p2"}',
        b'{"models": [{"name": "models/b"}]}',
    )
    server.script(*(Reply(200, {"content-type": "application/json"}, page) for page in pages))
    models = asyncio.run(adapter.aget_available_models())
    assert [model.name for model in models] == ["a", "b"]
    assert [sent.query.get("pageToken") for sent in server.requests] == [None, "p2"]


@pytest.fixture
def no_collection() -> Iterator[None]:
    """A collection at the limit of recursion makes finalizers of other tests' objects fail, with much noise."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"3",
        b'"x"',
        b"[]",
        b'{"error": "x"}',
        b'{"error": null}',
        b"\xff\xfe",
        b"<html>",
        b"[" * 999,
    ],
)
def test_any_body_of_a_bad_status(
    adapter: GeminiAdapter, server: ScriptedServer, way: str, body: bytes
) -> None:
    for status, expected in ((400, InvalidRequestError), (503, OverloadedError)):
        server.script(Reply(status, {"content-type": "application/json"}, body))
        with pytest.raises(ProviderError) as caught:
            ask(adapter, way)
        assert (type(caught.value), caught.value.status_code) == (expected, status)


def test_an_error_wrapped_in_an_array(adapter: GeminiAdapter, server: ScriptedServer) -> None:
    body = b' [{"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}}]\n'
    server.script(Reply(429, {"content-type": "application/json"}, body))
    with pytest.raises(RateLimitError, match="slow") as caught:
        ask(adapter, "streamed")
    assert caught.value.code == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize("way", ["streamed", "async streamed"])
def test_an_error_inside_a_stream(adapter: GeminiAdapter, server: ScriptedServer, way: str) -> None:
    server.script(GEMINI.stream_error(["Hel"]))
    with pytest.raises(StreamInterruptedError) as caught:
        ask(adapter, way)
    assert caught.value.partial_text == "Hel"
    assert isinstance(caught.value.__cause__, OverloadedError)


def test_a_release_with_other_inner_calls_is_refused(
    adapter: GeminiAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "PRIVATE_NAMES", ("taken_away",))
    with pytest.raises(ConfigurationError, match="other inner calls.*google-genai<4"):
        ask(adapter, "whole")


@pytest.mark.parametrize("way", WAYS)
def test_the_environment_changes_nothing(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    adapter = GeminiAdapter("gemini", transport="sdk", api_key=KEY, base_url=server.url)
    assert ask(adapter, way).content == "Hello from the scripted server."
    adapter.close()
    (sent,) = server.requests
    assert sent.path.startswith("/v1beta/models/scripted-1:")
    assert sent.headers["x-goog-api-key"] == KEY
    assert "authorization" not in sent.headers


def test_a_call_leaves_nothing_on_the_shared_client(adapter: GeminiAdapter, server: ScriptedServer) -> None:
    ask(adapter, "whole", extra_headers={"X-Mine": "yes", "User-Agent": "mine"})
    ask(adapter, "whole")
    first, second = server.requests
    assert first.headers["user-agent"] == "mine"
    assert "x-mine" not in second.headers
    assert second.headers["user-agent"].startswith("google-genai-sdk/")


@pytest.mark.real_clock
@pytest.mark.parametrize("way", ["whole", "async whole"])
def test_connecting_and_reading_have_limits_of_their_own(way: str) -> None:
    with unreachable_url() as url:
        adapter = GeminiAdapter(
            "gemini", transport="sdk", api_key=KEY, base_url=url, timeout=30, connect_timeout=0.2
        )
        assert seconds_to_time_out(adapter, way) < 5
    with silent_url() as url:
        adapter = GeminiAdapter(
            "gemini", transport="sdk", api_key=KEY, base_url=url, timeout=0.3, connect_timeout=0.3
        )
        assert seconds_to_time_out(adapter, way) >= 0.3


def seconds_to_time_out(adapter: GeminiAdapter, way: str) -> float:
    started = time.monotonic()
    with pytest.raises(ProviderTimeoutError):
        ask(adapter, way)
    adapter.close()
    return time.monotonic() - started


@pytest.mark.real_clock
@pytest.mark.parametrize("way", WAYS)
def test_an_error_that_drips_does_not_hold_the_caller(server: ScriptedServer, way: str) -> None:
    adapter = GeminiAdapter("gemini", transport="sdk", api_key=KEY, base_url=server.url, timeout=0.4)
    server.script(GEMINI.error(400).dripping(0.05))
    started = time.monotonic()
    with pytest.raises(ProviderError):
        ask(adapter, way)
    assert time.monotonic() - started < 2
    adapter.close()


def test_no_key() -> None:
    adapter = GeminiAdapter("mine", transport="sdk")
    with pytest.raises(ConfigurationError, match=r"'mine' has no api_key. Add `api_key: \${GEMINI_API_KEY}`"):
        ask(adapter, "whole")


def test_a_host_of_ones_own_needs_no_key(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "sk-other")
    adapter = GeminiAdapter("mine", transport="sdk", base_url=server.url)
    ask(adapter, "whole")
    assert "x-goog-api-key" not in server.requests[0].headers
    adapter.close()


@pytest.mark.slow
def test_the_adapter_loads_no_sdk() -> None:
    program = (
        "import sys; from llm_orchestrator.providers.gemini_adapter import GeminiAdapter; GeminiAdapter('g');"
        "print([name for name in ('google.genai', 'httpx', 'httpx2', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("way", ["async whole", "async streamed"])
def test_an_installed_aiohttp_changes_nothing(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The SDK prefers aiohttp where it finds it; here it only believes so, and using it would fail."""
    monkeypatch.setattr("google.genai._api_client.has_aiohttp", True)
    adapter = GeminiAdapter("gemini", transport="sdk", api_key=KEY, base_url=server.url)
    assert ask(adapter, way).content == "Hello from the scripted server."
    server.script(GEMINI.error(503))
    with pytest.raises(OverloadedError):
        ask(adapter, way)
