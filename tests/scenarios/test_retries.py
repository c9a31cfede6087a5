"""R1 to R6 and R8: how often a request is sent, how long is waited, what falls back, and the errors."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Dict, List

import pytest

from llm_orchestrator import (
    AllFallbacksFailedError,
    ConfigurationError,
    InvalidRequestError,
    LLMOrchestrator,
    Message,
    ProviderError,
    ProviderSwitchError,
    QuotaExceededError,
    RateLimitError,
    StreamInterruptedError,
)
from tests.support.errors import FAMILY, make, throw
from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import BEFORE_HEAD, DIALECTS, MODEL, Dialect, Reply, Reset, ScriptedServer
from tests.support.ways import WAYS, ask

#: Every form in which a provider says how long to wait, with the providers that use it.
FORMS = [(name, form) for name, dialect in DIALECTS.items() for form in dialect.retry_after_forms]
EACH_FORM = pytest.mark.parametrize(("name", "form"), FORMS, ids=[f"{name}-{form}" for name, form in FORMS])


def answer(dialect: Dialect, way: str, text: str) -> Reply:
    return dialect.stream([text]) if "streamed" in way else dialect.whole(text)


def models_asked(server: ScriptedServer, dialect: Dialect) -> List[str]:
    return [dialect.read_request(request.body, request.path)["model"] for request in server.requests]


# ------------------------------------------------------------------------------- R1


@pytest.mark.parametrize(("retries", "requests"), [(0, 1), (2, 3)])
@pytest.mark.parametrize("place", ["configuration", "call"])
def test_r1_nobody_but_the_library_retries(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    waits: List[float],
    place: str,
    retries: int,
    requests: int,
) -> None:
    # The header makes the vendors' SDKs retry whatever came, if their own retries were on.
    refusal = dialect.failure("rate_limit")
    server.default = refusal.but(headers={**refusal.headers, "x-should-retry": "true"})
    orchestrator = orchestrate(max_retries=retries if place == "configuration" else 5)

    with pytest.raises(RateLimitError) as caught:
        ask(orchestrator, way, **({"max_retries": retries} if place == "call" else {}))

    assert len(server.requests) == len(caught.value.attempts) == requests
    assert len(waits) == retries


def test_r1_a_connection_that_breaks_is_retried_by_nobody_else(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, waits: List[float]
) -> None:
    server.default = dialect.whole().but(fault=Reset(BEFORE_HEAD))

    with pytest.raises(ProviderError):
        ask(orchestrate(max_retries=2), way)

    assert len(server.requests) == 3


def test_r1_listings_are_not_retried(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = dialect.failure("overloaded")

    with pytest.raises(ProviderError):
        orchestrate(max_retries=5).refresh_models()

    assert len(server.requests) == 1


# ------------------------------------------------------------------------------- R2


@EACH_FORM
@pytest.mark.parametrize("way", WAYS)
def test_r2_the_wait_that_was_asked_for_is_waited(
    server: ScriptedServer, waits: List[float], name: str, form: str, way: str
) -> None:
    dialect = DIALECTS[name]
    server.script(
        dialect.error(429, retry_after=37, retry_after_form=form),
        dialect.error(503, retry_after=2, retry_after_form=form),
        answer(dialect, way, "At last."),
    )

    with LLMOrchestrator(dialect.config(server.url)) as orchestrator:
        response = ask(orchestrator, way)

    assert response.content == "At last."
    # A date has whole seconds, and some of them have passed.
    assert waits == pytest.approx([37, 2], abs=1.5 if form == "date" else 0)


@EACH_FORM
def test_r2_days_are_not_waited(server: ScriptedServer, waits: List[float], name: str, form: str) -> None:
    dialect = DIALECTS[name]
    server.default = dialect.error(429, retry_after=277403, retry_after_form=form)

    with LLMOrchestrator(dialect.config(server.url)) as orchestrator, pytest.raises(RateLimitError) as caught:
        orchestrator.send_request("Hi")

    assert (waits, len(server.requests)) == ([], 1)
    assert caught.value.retry_after == pytest.approx(277403, abs=1.5 if form == "date" else 0)


def test_r2_a_wait_that_is_too_long_leads_to_the_next_model_at_once(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, waits: List[float]
) -> None:
    server.script(dialect.error(429, retry_after=61), answer(dialect, way, "From the second."))

    response = ask(orchestrate(max_retries=2, fallback_models=["second"]), way)

    assert (response.content, waits) == ("From the second.", [])
    assert models_asked(server, dialect) == [MODEL, "second"]


def test_r2_nothing_is_waited_for_that_would_come_too_late(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, waits: List[float]
) -> None:
    server.default = dialect.error(429, retry_after=40)

    with pytest.raises(RateLimitError) as caught:
        ask(orchestrate(max_retries=2), way, total_timeout=30)

    assert (waits, caught.value.retry_after, len(server.requests)) == ([], 40, 1)


def test_r2_what_gemini_says_in_the_body_counts_before_a_header(
    server: ScriptedServer, waits: List[float]
) -> None:
    dialect = DIALECTS["gemini"]
    refusal = dialect.error(429, retry_after=38, retry_after_form="body")
    server.script(refusal.but(headers={**refusal.headers, "retry-after": "1"}))

    with LLMOrchestrator(dialect.config(server.url)) as orchestrator:
        orchestrator.send_request("Hi")

    assert waits == [38]


# ------------------------------------------------------------------------------- R3


@pytest.mark.parametrize("name", [name for name in DIALECTS if "quota" in DIALECTS[name].failures])
@pytest.mark.parametrize("way", WAYS)
def test_r3_being_out_of_quota_is_no_rate_limit(
    server: ScriptedServer, waits: List[float], name: str, way: str
) -> None:
    dialect = DIALECTS[name]
    server.default = dialect.failure("quota", retry_after=1)
    config = dialect.config(server.url, max_retries=5, fallback_models=["second"])

    with LLMOrchestrator(config) as orchestrator, pytest.raises(QuotaExceededError) as caught:
        ask(orchestrator, way)

    assert (waits, len(server.requests), len(caught.value.attempts)) == ([], 1, 1)


# ------------------------------------------------------------------------------- R4


def test_r4_the_first_error_is_not_hidden(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, waits: List[float]
) -> None:
    replies = [
        dialect.failure("server"),
        dialect.failure("rate_limit", retry_after=9),
        dialect.failure("model_not_found"),
        dialect.failure("overloaded", retry_after=4),
        dialect.failure("overloaded", retry_after=4),
    ]
    server.script(*replies)

    with pytest.raises(AllFallbacksFailedError) as caught:
        ask(orchestrate(max_retries=1, fallback_models=["b", "c", "b"]), way)

    error = caught.value
    assert [(attempt.model, attempt.error) for attempt in error.attempts] == [
        (MODEL, "ServerError"),
        (MODEL, "RateLimitError"),
        ("b", "ModelNotFoundError"),
        ("c", "OverloadedError"),
        ("c", "OverloadedError"),
    ]
    assert models_asked(server, dialect) == [attempt.model for attempt in error.attempts]
    assert [attempt.status_code for attempt in error.attempts] == [reply.status for reply in replies]
    assert [attempt.request_id for attempt in error.attempts] == [reply.request_id for reply in replies]
    assert all(attempt.latency is not None and attempt.latency > 0 for attempt in error.attempts)

    first = error.__cause__
    assert isinstance(first, ProviderError)
    assert (type(first).__name__, first.model) == ("ServerError", MODEL)
    assert (error.status_code, error.code, error.request_id) == (500, first.code, replies[0].request_id)
    assert error.retry_after == 4, "the soonest that any of the models may answer"
    assert str(first) in str(error)


# ------------------------------------------------------------------------------- R5

OWN_URL = "http://127.0.0.1:9/v1"


def two_providers(**settings: Any) -> Dict[str, Any]:
    """OpenAI is active, Anthropic is there as well; neither may be asked anything."""
    others = {"anthropic": {"api_key": "unused-key", "base_url": OWN_URL[:-3]}}
    openai = {"api_key": "unused-key", "base_url": OWN_URL, **settings}
    return {"active_provider": "openai", "active_model": "own", "providers": {"openai": openai, **others}}


@pytest.mark.parametrize(
    "model", ["anthropic/claude", "anthropic:claude", "ft:own:team::id", "ft-own", "tunedModels/own"]
)
@pytest.mark.parametrize("way", WAYS)
def test_r5_a_model_that_is_not_the_providers_own_is_refused(model: str, way: str) -> None:
    with pytest.raises(ConfigurationError, match=model):
        LLMOrchestrator(two_providers(fallback_models=[model]))
    orchestrator = LLMOrchestrator(two_providers())
    with orchestrator, pytest.raises(InvalidRequestError, match=model) as caught:
        ask(orchestrator, way, model=model)
    assert caught.value.attempts == (), "nothing was sent"


@pytest.mark.parametrize("way", WAYS)
def test_r5_a_fine_tuned_active_model_is_refused(way: str) -> None:
    with pytest.raises(ConfigurationError, match="ft:own:team::id"):
        LLMOrchestrator({**two_providers(), "active_model": "ft:own:team::id"})
    orchestrator = LLMOrchestrator(two_providers())
    with orchestrator, pytest.raises(InvalidRequestError, match="ft:own:team::id"):
        ask(orchestrator.for_provider("openai", "ft:own:team::id"), way)


@pytest.fixture
def listed(server: ScriptedServer, tmp_path: Path) -> Dict[str, Any]:
    """A configuration whose registry knows ``own`` of OpenAI, ``foreign`` of Anthropic, and ``shared``."""
    config = two_providers()
    for entry in config["providers"].values():
        entry["base_url"] = server.url
    config["model_registry"] = {"cache_path": str(tmp_path / "models.json")}
    server.script(
        DIALECTS["chat"].models(["own", "shared"]), DIALECTS["anthropic"].models(["foreign", "shared"])
    )
    with LLMOrchestrator(config) as orchestrator:
        orchestrator.refresh_models()
    server.reset()
    return config


@pytest.mark.parametrize("place", ["call", "fallback"])
@pytest.mark.parametrize("way", WAYS)
def test_r5_a_model_that_only_another_provider_lists_is_refused(
    server: ScriptedServer, listed: Dict[str, Any], way: str, place: str
) -> None:
    listed["providers"]["openai"]["fallback_models"] = ["foreign"] if place == "fallback" else []
    orchestrator = LLMOrchestrator(listed)
    with orchestrator, pytest.raises(InvalidRequestError, match="'foreign' belongs to provider 'anthropic'"):
        ask(orchestrator, way, model="foreign" if place == "call" else None)

    assert server.requests == []


def test_r5_a_model_that_nobody_or_both_list_is_sent_as_asked(
    server: ScriptedServer, listed: Dict[str, Any]
) -> None:
    with LLMOrchestrator(listed) as orchestrator:
        for model in ("own", "shared", "nobody-knows"):
            orchestrator.send_request("Hi", model=model)

    assert models_asked(server, DIALECTS["chat"]) == ["own", "shared", "nobody-knows"]


def test_r5_a_model_that_was_used_before_the_listings_came_is_refused_from_then_on(
    server: ScriptedServer, listed: Dict[str, Any], tmp_path: Path
) -> None:
    listed["model_registry"]["cache_path"] = str(tmp_path / "empty.json")
    with LLMOrchestrator(listed) as orchestrator:
        orchestrator.send_request("Hi", model="foreign")
        server.script(DIALECTS["chat"].models(["own"]), DIALECTS["anthropic"].models(["foreign"]))
        orchestrator.refresh_models()
        with pytest.raises(InvalidRequestError, match="belongs to provider 'anthropic'"):
            orchestrator.send_request("Hi", model="foreign")


@pytest.mark.parametrize("way", WAYS)
def test_r5_a_history_of_another_provider_is_refused(way: str) -> None:
    turn = Message("assistant", "I am Claude.", provider="anthropic")
    history = [{"role": "user", "content": "Hi"}, turn, {"role": "user", "content": "Go on"}]
    orchestrator = LLMOrchestrator(two_providers())
    with orchestrator, pytest.raises(ProviderSwitchError, match="anthropic") as caught:
        ask(orchestrator, way, history)
    assert caught.value.attempts == (), "nothing was sent"


# ------------------------------------------------------------------------------- R6


def fail_in_a_worker(config: Dict[str, Any], way: str, tries: int) -> Any:
    """Raise what a call raises, in another process."""
    with LLMOrchestrator(config) as orchestrator:
        return ask(orchestrator, way, max_retries=tries)


@pytest.mark.slow  # it starts a Python
def test_r6_every_error_arrives_from_a_worker_process_as_itself() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        results = {name: pool.submit(throw, name) for name in FAMILY}
        for name, result in results.items():
            error = result.exception(timeout=60)
            assert type(error) is FAMILY[name]
            assert vars(error) == vars(make(name))


@pytest.mark.slow
def test_r6_errors_of_calls_arrive_from_a_worker_process_as_themselves(server: ScriptedServer) -> None:
    dialect = DIALECTS["anthropic"]
    server.script(
        dialect.failure("overloaded", retry_after=3),
        dialect.failure("model_not_found"),
        dialect.stream(["Hel", "lo"], complete=False),
    )
    config = dialect.config(server.url, fallback_models=["second"])
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        failed = pool.submit(fail_in_a_worker, config, "whole", 0).exception(timeout=60)
        interrupted = pool.submit(fail_in_a_worker, config, "async streamed", 0).exception(timeout=60)

    assert type(failed) is AllFallbacksFailedError
    assert (failed.provider, failed.model, failed.status_code) == ("anthropic", MODEL, 529)
    assert (failed.code, failed.retry_after, failed.request_id) == (
        "overloaded_error",
        3,
        failed.attempts[0].request_id,
    )
    assert [attempt.error for attempt in failed.attempts] == ["OverloadedError", "ModelNotFoundError"]
    assert type(interrupted) is StreamInterruptedError
    assert interrupted.partial_text == "Hello"
    assert interrupted.partial_response is not None and interrupted.partial_response.content == "Hello"
    assert interrupted.partial_response.usage.source == "partial"


# ------------------------------------------------------------------------------- R8

#: Kind of failure, or a bare status; then whether another model is asked.
NEVER_RETRIED = [
    ("bad_key", False),
    ("permission", False),
    ("bad_request", False),
    (400, False),
    (401, False),
    (403, False),
    (422, False),
    (404, True),
    ("model_not_found", True),
    ("context_length", True),
]


@pytest.mark.parametrize(("failure", "falls_back"), NEVER_RETRIED)
def test_r8_what_is_never_retried_and_what_falls_back(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    waits: List[float],
    failure: Any,
    falls_back: bool,
) -> None:
    refusal = dialect.failure(failure) if isinstance(failure, str) else dialect.error(failure)
    server.script(refusal, answer(dialect, way, "From the second."))
    orchestrator = orchestrate(max_retries=5, fallback_models=["second"])

    if falls_back:
        assert ask(orchestrator, way).content == "From the second."
    else:
        with pytest.raises(ProviderError) as caught:
            ask(orchestrator, way)
        assert not isinstance(caught.value, AllFallbacksFailedError)

    assert models_asked(server, dialect) == [MODEL, "second"][: 1 + falls_back]
    assert waits == []
