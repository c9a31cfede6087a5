"""An entry with a key of a cloud's: the direct transport sends what the vendor's SDK sends."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from llm_orchestrator import ConfigurationError, InvalidRequestError
from tests.sdk.clouds.conftest import Orchestrate
from tests.support.scripted_server import Reply, Request, ScriptedServer
from tests.support.ways import ask

KEY = "key-of-a-cloud-0123456789"
CLOUDS: Dict[str, Dict[str, Any]] = {
    "azure": {"adapter": "azure"},
    "azure responses": {"adapter": "azure", "api": "responses", "api_version": "2025-04-01-preview"},
    "bedrock": {"adapter": "bedrock", "region": "us-east-1"},
    "gemini": {"adapter": "vertex"},
    "claude": {"adapter": "vertex", "publisher": "anthropic", "project": "p-1", "region": "europe-west1"},
}
#: Written by each transport in its own words.
OWN_HEADERS = {
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "host",
    "user-agent",
    "anthropic-version",
}


def sent(server: ScriptedServer) -> List[Request]:
    return list(server.requests)


@pytest.mark.parametrize("entry", CLOUDS.values(), ids=list(CLOUDS))
@pytest.mark.parametrize("model", ["a-model", "us.a-model-v1:0", "arn:aws:a/b c"])
def test_path_body_and_credential_are_the_same(
    cloud: Orchestrate, server: ScriptedServer, way: str, entry: Dict[str, Any], model: str
) -> None:
    server.default = Reply(status=400, body=b"{}")
    for transport in ("direct", "sdk"):
        made = cloud(model=model, base_url=server.url, api_key=KEY, transport=transport, **entry)
        headers = {"anthropic-beta": "one,two", "x-trace": "1"}
        with pytest.raises(InvalidRequestError):
            ask(made, way, max_tokens=9, extra_headers=headers)

    direct, sdk = sent(server)
    assert (direct.path, direct.query, direct.body) == (sdk.path, sdk.query, sdk.body)
    assert direct.api_key == sdk.api_key == KEY
    ours = {name.lower(): value for name, value in direct.headers.items()}
    theirs = {name.lower(): value for name, value in sdk.headers.items()}
    for name in set(ours) - OWN_HEADERS:
        assert ours[name] == theirs[name], name


def test_credentials_that_are_computed_cannot_go_direct(cloud: Orchestrate, server: ScriptedServer) -> None:
    made = cloud("bedrock", base_url=server.url, region="us-east-1", transport="direct")
    with pytest.raises(ConfigurationError, match="its credential is made by the SDK"):
        made.send_request("Hi")


def test_settings_of_connections_are_not_ignored_by_the_sdk(
    cloud: Orchestrate, server: ScriptedServer
) -> None:
    for entry in (
        {"adapter": "bedrock", "region": "r"},
        {"adapter": "openai", "api_key": KEY, "transport": "sdk"},
    ):
        made = cloud(base_url=server.url, http={"keep_alive": 5}, **entry)
        with pytest.raises(ConfigurationError, match="settings under http"):
            made.send_request("Hi")
    assert server.requests == []
