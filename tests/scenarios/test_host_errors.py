"""FC3, FC4, FC7, FC8, FC10, FC12: what hosts say when they refuse, and where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llm_orchestrator import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    LLMOrchestrator,
    ProviderError,
    QuotaExceededError,
)
from tests.support.configs import entry, fault
from tests.support.fixtures import Orchestrate
from tests.support.money import Spend, answer, price, rows
from tests.support.scripted_server import MODEL, Dialect, Reply, ScriptedServer
from tests.support.scripted_server.replies import html, json_reply
from tests.support.ways import ask

# ------------------------------------------------------------------------------- FC3, FC4: too long, no credit


@pytest.mark.parametrize(
    "words",
    [
        "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length",
        "Input is too long for requested model.",
        "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    ],
)
def test_fc3_whatever_words_say_too_long_the_next_model_is_asked(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, words: str
) -> None:
    server.script(dialect.error(400, message=words), answer(dialect, way))
    response = ask(orchestrate(fallback_models=["larger"]), way)
    assert [attempt.error for attempt in response.attempts] == ["ContextLengthError", None]


@pytest.mark.parametrize(
    "words",
    [
        "Your credit balance is too low to access the API.",
        "You have reached your specified API usage limits. You will regain access on 2026-12-01.",
        "No credit remaining",
    ],
)
def test_fc4_an_empty_account_is_one_in_any_status(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, words: str
) -> None:
    server.default = dialect.error(400, message=words)
    with pytest.raises(QuotaExceededError):
        ask(orchestrate(max_retries=2, fallback_models=["other"]), way)
    assert len(server.requests) == 1


# ------------------------------------------------------------------------------- FC7: base URLs


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("localhost:11434/v1", "not a URL"),
        ("http://ex ample.com/v1", "blanks"),
        ("http://host/v1\\chat", "blanks"),
        ("http://[::1", "no possible host"),
        ("http://:8000/v1", "no possible host"),
        ("http://host:port/v1", "no possible host"),
        ("http://host:99999/v1", "no possible host"),
        ("http://host:0/v1", "no possible host"),
        ("http://ho_st..de/v1", "no possible host"),
        ("http://user:secret-word@host/v1", "user name or password"),
        ("http://host/v1#top", "behind a #"),
        ("http://host/v1?key=secret-word", "'key' in its query"),
        ("http://host/v1?api-version=1&access_token=secret-word", "'access_token' in its query"),
        ("http://host/v1/chat/completions", "ends with /chat/completions"),
        ("http://host/v1/chat/completions?api-version=1", "ends with /chat/completions"),
        ("http://host/openai/v1/responses/", "ends with /responses/"),
        ("https://host/v1/messages", "ends with /v1/messages"),
        ("https://host/v1beta/models/m:generateContent", "ends with /models/m:generateContent"),
    ],
)
def test_fc7_a_base_url_that_cannot_be_meant_is_refused_when_loaded(url: str, words: str) -> None:
    text = fault(entry(base_url=url))
    assert "providers.local.base_url" in text and words in text and "secret-word" not in text


@pytest.mark.parametrize(
    "url", ["http://host/v1?api-version=x", "http://[::1]:8000/v1", "http://bücher.example/v1"]
)
def test_fc7_what_can_be_meant_is_taken(url: str) -> None:
    LLMOrchestrator(entry(base_url=url, adapter="openai")).close()


@pytest.mark.parametrize("transport", ["direct", "sdk"])
def test_fc7_a_query_stays_behind_the_path(
    server: ScriptedServer, dialect: Dialect, way: str, transport: str
) -> None:
    config = dialect.config(server.url + "/gate", transport=transport)
    config["providers"][dialect.provider]["base_url"] += "?api-version=x&team=a%20b"
    server.default = answer(dialect, way)
    with LLMOrchestrator(config) as orchestrator:
        ask(orchestrator, way)
        ask(orchestrator, way)
    for request in server.requests:
        assert request.path.startswith("/gate/") and "?" not in request.path
        assert (request.query["api-version"], request.query["team"]) == ("x", "a b")


# ------------------------------------------------------------------------------- FC8: the wrong address


ELSEWHERE = [
    Reply(404, {"content-type": "text/plain"}, b"404 page not found"),
    html(404),
    Reply(404),
    json_reply({"detail": "Not Found"}, 404),
    json_reply({"message": "no Route matched with those values"}, 404),
    json_reply({"timestamp": 1, "status": 404, "error": "Not Found", "path": "/x"}, 404),
    json_reply(
        {"error": {"message": "Invalid URL (POST /chat/completions)", "type": "invalid_request_error"}}, 404
    ),
    json_reply({"detail": "Method Not Allowed"}, 405),
]


@pytest.mark.parametrize("reply", ELSEWHERE, ids=[reply.body.decode()[:30] or "empty" for reply in ELSEWHERE])
def test_fc8_a_404_of_a_server_that_is_no_api_names_the_address(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, path: Path, reply: Reply
) -> None:
    server.default = reply
    with pytest.raises(ConfigurationError) as caught:
        ask(spend(entry={"fallback_models": ["other"], "max_retries": 2}, **price(dialect)), way)

    text = str(caught.value)
    assert (
        f"{server.url}{dialect.path(MODEL, 'streamed' in way)}".partition("?")[0] in text
        or server.url in text
    )
    assert "base_url" in text
    assert len(server.requests) == len(caught.value.attempts) == 1, "no retry, and no fallback is asked"
    (row,) = rows(path)
    assert (row["status"], row["status_code"], row["cost"]) == ("error", str(reply.status), "0")


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "The model `m` does not exist", "code": "model_not_found"}},
        {"error": "model 'm' not found, try pulling it first"},
        {"object": "error", "message": "The model `m` does not exist.", "type": "NotFoundError", "code": 404},
        {"detail": "Model not found"},
    ],
)
def test_fc8_a_404_about_the_model_still_falls_back(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, body: Any
) -> None:
    server.script(json_reply(body, 404), answer(dialect, way))
    response = ask(orchestrate(fallback_models=["other"]), way)
    assert [attempt.error for attempt in response.attempts] == ["ModelNotFoundError", None]


def test_fc8_warming_up_does_not_need_a_host_that_tells_of_models(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, caplog: pytest.LogCaptureFixture
) -> None:
    server.default = json_reply({"detail": "Not Found"}, 404)
    orchestrate().warm_up().join()
    assert len(server.requests) == 1 and "could not get ready" not in caplog.text


# ------------------------------------------------------------------------------- FC10: the provider's words


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"base_resp": {"status_code": 2013, "status_msg": "invalid params"}}, "invalid params"),
        ({"error_msg": "no such thing", "error_code": 17}, "no such thing"),
        ({"error": [{"message": "in a list"}]}, "in a list"),
        ({"errors": [{"message": "in a list too"}]}, "in a list too"),
        ([{"error": {"message": "a list around it"}}], "a list around it"),
        ({"detail": "a detail"}, "a detail"),
        ({"detail": [{"loc": ["body", "x"], "msg": "field required"}]}, "field required"),
        ({"error": {"msg": "msg, not message"}}, "msg, not message"),
        ({"message": "plain"}, "plain"),
        (
            {"error": {"message": "Provider returned error", "metadata": {"raw": "no such voice"}}},
            "returned error",
        ),
        ({"fehler": {"text": "völlig anders"}}, '{"fehler": {"text": "völlig anders"}}'),
    ],
)
def test_fc10_the_providers_words_are_found_wherever_they_stand(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, body: Any, words: str
) -> None:
    server.default = json_reply(body, 400)
    with pytest.raises(InvalidRequestError) as caught:
        ask(orchestrate(), way)
    assert words in str(caught.value)


def test_fc10_a_failure_in_words_with_status_200_is_read(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.default = json_reply({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}})
    with pytest.raises(ProviderError) as caught:
        ask(orchestrate(), way)
    if "streamed" not in way:
        assert type(caught.value) is QuotaExceededError and "insufficient balance" in str(caught.value)


def test_fc10_a_key_in_the_first_bytes_is_redacted(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.default = json_reply({"echo": {"you sent": "sk-sentinel-9876543210"}}, 400)
    with pytest.raises(InvalidRequestError) as caught:
        ask(orchestrate(api_key="sk-sentinel-9876543210"), way)
    assert "you sent" in str(caught.value) and "sentinel" not in str(caught.value)


# ------------------------------------------------------------------------------- FC12: names stay


def test_fc12_an_ordinary_word_as_key_hides_no_name(
    server: ScriptedServer, dialect: Dialect, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.default = dialect.error(401, message="The key sk-ordinary is wrong, says ollama.")
    made = dialect.config_entry(server.url, api_key="ollama", adapter=dialect.provider, max_retries=0)
    config = {"active_provider": "ollama", "active_model": "ollama-3", "providers": {"ollama": made}}
    with LLMOrchestrator(config) as orchestrator, pytest.raises(AuthenticationError) as caught:
        ask(orchestrator, way)
    assert (caught.value.provider, caught.value.model) == ("ollama", "ollama-3")
    assert "ollama" in str(caught.value) and "ollama/ollama-3: failed" in caplog.text


def test_fc12_a_word_of_the_models_name_as_key_hides_no_model(
    server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.default = dialect.error(401)
    made = dialect.config_entry(server.url, api_key="ollama", adapter=dialect.provider, max_retries=0)
    config = {"active_provider": "gateway", "active_model": "ollama-3", "providers": {"gateway": made}}
    with LLMOrchestrator(config) as orchestrator, pytest.raises(AuthenticationError) as caught:
        ask(orchestrator, way)
    assert (caught.value.provider, caught.value.model) == ("gateway", "ollama-3")


def test_fc12_a_real_key_is_still_hidden_beside_the_entrys_name(
    server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.default = dialect.error(401, message="Wrong: sk-sentinel-9876543210")
    config = dialect.config(server.url, api_key="sk-sentinel-9876543210", max_retries=0)
    with LLMOrchestrator(config) as orchestrator, pytest.raises(AuthenticationError) as caught:
        ask(orchestrator, way)
    assert "sentinel" not in str(caught.value) and caught.value.provider == dialect.provider


@pytest.mark.parametrize(
    ("adapter", "ending"),
    [("anthropic", "/v1"), ("gemini", "/v1"), ("gemini", "/v1beta/"), ("gemini", "/v1beta/models?team=a")],
)
def test_fc7_a_path_that_the_adapter_adds_is_refused(adapter: str, ending: str) -> None:
    config = {
        "active_provider": "host",
        "active_model": "m",
        "providers": {"host": {"adapter": adapter, "base_url": f"http://localhost:1{ending}"}},
    }
    words = f"base_url: ends with {ending.partition('?')[0].rstrip('/')}, which the adapter"
    with pytest.raises(ConfigurationError, match=words):
        LLMOrchestrator(config)


def test_fc7_a_setting_of_another_adapter_is_said(caplog: pytest.LogCaptureFixture) -> None:
    entry = {"api_key": "k", "region": "eu", "publisher": "google", "api": "chat"}
    config = {"active_provider": "anthropic", "active_model": "m", "providers": {"anthropic": entry}}
    with caplog.at_level("WARNING"), LLMOrchestrator(config):
        pass
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2 and "providers.anthropic.api: has no effect" in said[0] and ".region" in said[1]
