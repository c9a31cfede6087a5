"""N3 and FC9: nothing is on the wire but what the configuration says, whatever the environment and servers say."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import pytest

from llm_orchestrator import LLMOrchestrator, OrchestratorError
from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import KEY, Dialect, Request, ScriptedServer, redirect
from tests.support.ways import aask, ask, run_async

#: Each vendor's header for the key.
CREDENTIALS = {
    "chat": "authorization",
    "responses": "authorization",
    "anthropic": "x-api-key",
    "gemini": "x-goog-api-key",
}
#: Headers in which credentials travel.
CREDENTIAL_HEADERS = {
    "authorization",
    "x-api-key",
    "x-goog-api-key",
    "api-key",
    "proxy-authorization",
    "cookie",
}

SECRET = "sentinel-of-the-environment"
ELSEWHERE = "http://127.0.0.1:9/elsewhere"
#: Whatever the vendors' SDKs and HTTP libraries read; no_proxy keeps the proxies away from the server.
ENVIRONMENT: Dict[str, str] = {
    **{
        name: f"{SECRET}-{number}"
        for number, name in enumerate(
            [
                "OPENAI_API_KEY",
                "OPENAI_ADMIN_KEY",
                "OPENAI_ORG_ID",
                "OPENAI_PROJECT_ID",
                "OPENAI_WEBHOOK_SECRET",
                "AZURE_OPENAI_API_KEY",
                "AZURE_OPENAI_AD_TOKEN",
                "ANTHROPIC_API_KEY",
                "ANTHROPIC_AUTH_TOKEN",
                "GOOGLE_API_KEY",
                "GEMINI_API_KEY",
                "GOOGLE_CLOUD_PROJECT",
                "GOOGLE_CLOUD_QUOTA_PROJECT",
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
                "AWS_SESSION_TOKEN",
                "AWS_BEARER_TOKEN_BEDROCK",
            ]
        )
    },
    "OPENAI_CUSTOM_HEADERS": f"x-openai-extra: {SECRET}",
    "ANTHROPIC_CUSTOM_HEADERS": f"x-anthropic-extra: {SECRET}",
    "OPENAI_BASE_URL": ELSEWHERE,
    "ANTHROPIC_BASE_URL": ELSEWHERE,
    "GOOGLE_GEMINI_BASE_URL": ELSEWHERE,
    "GOOGLE_VERTEX_BASE_URL": ELSEWHERE,
    "GOOGLE_GENAI_USE_VERTEXAI": "true",
    "HTTP_PROXY": ELSEWHERE,
    "HTTPS_PROXY": ELSEWHERE,
    "ALL_PROXY": ELSEWHERE,
    "NO_PROXY": "127.0.0.1",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment full of credentials and addresses, a .netrc and a profile included."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
        if name.lower().endswith("proxy"):
            monkeypatch.delenv(name.lower(), raising=False)
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login user password {SECRET}\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(params=["direct", "sdk"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def everything(request: Request) -> str:
    return f"{request.path} {request.query} {request.headers} {request.content!r}"


def credentials(request: Request) -> Dict[str, str]:
    return {name: value for name, value in request.headers.items() if name in CREDENTIAL_HEADERS}


def answer(server: ScriptedServer, dialect: Dialect, way: str, **changes: Any) -> None:
    reply = dialect.stream(["Hel", "lo."]) if "streamed" in way else dialect.whole("Hello.")
    server.default = reply.but(headers={**reply.headers, **changes})


@pytest.mark.usefixtures("environment")
def test_n3_nothing_of_the_environment_is_sent(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, transport: str
) -> None:
    answer(server, dialect, way)

    assert ask(orchestrate(transport=transport), way).content == "Hello."

    (request,) = server.requests
    assert SECRET not in everything(request)
    assert set(credentials(request).values()) <= {KEY, f"Bearer {KEY}"}
    assert credentials(request) and "openai-organization" not in request.headers


@pytest.mark.usefixtures("environment")
def test_n3_listing_and_validating_send_no_more(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, transport: str, tmp_path: Path
) -> None:
    config = dialect.config(server.url, transport=transport)
    config["model_registry"] = {"cache_path": str(tmp_path / "models.json")}
    with LLMOrchestrator(config) as orchestrator:
        orchestrator.refresh_models()
        orchestrator.validate_model("some-model")

    assert len(server.requests) >= 2
    for request in server.requests:
        assert SECRET not in everything(request)
        assert set(credentials(request).values()) <= {KEY, f"Bearer {KEY}"}


@pytest.mark.usefixtures("environment")
def test_n3_an_entry_without_a_key_sends_no_credential(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, transport: str
) -> None:
    """FC9: a gateway's own header is all there is; an SDK's placeholder beside it is refused by some."""
    answer(server, dialect, way)

    made = orchestrate(transport=transport, api_key=None, headers={"x-gateway-key": "gateway-123456"})
    assert ask(made, way).content == "Hello."

    (request,) = server.requests
    assert credentials(request) == {} and "no-key" not in everything(request)
    assert request.headers["x-gateway-key"] == "gateway-123456" and SECRET not in everything(request)


def test_n3_a_header_of_the_entry_is_the_one_credential(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, transport: str
) -> None:
    """A gateway's token in the entry's own authorization header is sent as it is."""
    answer(server, dialect, way)

    made = orchestrate(transport=transport, api_key=None, headers={"authorization": "Basic Z2F0ZXdheQ=="})
    assert ask(made, way).content == "Hello."

    (request,) = server.requests
    assert credentials(request) == {"authorization": "Basic Z2F0ZXdheQ=="}


#: An application's own headers beside a key: of the entry, or of the call, in whatever case.
OWN_HEADERS = [
    {"Authorization": "Bearer mine-123456"},
    {"X-Api-Key": "mine-123456"},
    {"x-goog-api-key": "mine-123456"},
]


@pytest.mark.parametrize("own", OWN_HEADERS, ids=lambda own: next(iter(own)))
@pytest.mark.parametrize("of", ["entry", "call"])
def test_fc9_the_key_is_in_its_one_header_and_a_header_of_the_user_replaces_it(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    transport: str,
    own: Dict[str, str],
    of: str,
) -> None:
    """Whatever the transport and the release of the SDK, what is sent is the same."""
    answer(server, dialect, way)

    with_key = orchestrate(transport=transport, headers=own if of == "entry" else {})
    ask(with_key, way, extra_headers=own if of == "call" else None)

    (request,) = server.requests
    name = CREDENTIALS[dialect.name]
    key = {name: f"Bearer {KEY}" if name == "authorization" else KEY}
    assert credentials(request) == {**key, **{header.lower(): value for header, value in own.items()}}


def test_n3_cookies_are_forgotten(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    """FE6: what one caller was told is not said for another."""
    cookies = {"set-cookie": "session=of-one-caller; Path=/; Max-Age=9999"}
    answer(server, dialect, way, **cookies)
    orchestrator = orchestrate(transport="direct")

    async def thrice() -> None:
        for _ in range(3):
            await aask(orchestrator, way, "Hi")

    if "async" in way:
        run_async(orchestrator, thrice)
    else:
        for _ in range(3):
            ask(orchestrator, way)
    server.default = dialect.error(400).but(headers={"content-type": "application/json", **cookies})
    for _ in range(2):
        with pytest.raises(OrchestratorError):
            ask(orchestrator, way)

    assert len(server.requests) == 5
    sent = [{**request.headers, "content-length": ""} for request in server.requests]
    assert all(headers == sent[0] for headers in sent) and "cookie" not in sent[0]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_n3_a_redirect_is_not_followed(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, transport: str, status: int
) -> None:
    server.default = redirect(f"{server.url}/elsewhere", status)

    with pytest.raises(OrchestratorError) as caught:
        ask(orchestrate(transport=transport), way)

    paths: List[str] = [request.path for request in server.requests]
    assert "/elsewhere" not in paths and KEY not in repr(caught.value)
