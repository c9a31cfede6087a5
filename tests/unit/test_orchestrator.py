"""The facade on a scripted provider: configuration in, answers, attempts, records and hooks out."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, List

import pytest

from llm_orchestrator import (
    AllFallbacksFailedError,
    Attempt,
    AuthenticationError,
    CallEvent,
    ConfigManager,
    FinishReason,
    LLMOrchestrator,
    LLMRequest,
    Message,
    ModelRegistry,
    OrchestratorError,
    ProviderTimeoutError,
    QuotaExceededError,
    RateLimitError,
    TokenUsage,
    UnsupportedParameterError,
)
from llm_orchestrator.testing import FakeProvider, FakeReply
from tests.support.fakes import (
    ANSWER,
    MODEL,
    RecordingTracker,
    broken,
    play,
    warm,  # noqa: F401 (a fixture)
)
from tests.support.ways import ask

CONFIG: Dict[str, Any] = {"active_provider": "fake", "active_model": "m"}


# ---------------------------------------------------------------- the program of the contract


def test_the_program_of_the_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(
        "active_provider: fake\nactive_model: m\n"
        "cost_tracking:\n  log_path: costs.csv\n  price_overrides:\n"
        "    - {provider: fake, model: m, rates: {in: 1000, out: 2000}}\n"
    )
    provider = FakeProvider(["4", FakeReply(chunks=["1 ", "2 ", "3"])], name="fake")

    orchestrator = LLMOrchestrator("config.yaml", providers={"fake": provider})
    response = orchestrator.send_request([{"role": "user", "content": "What is 2+2?"}])
    print(response.content, response.tokens_used, response.cost)

    for chunk in orchestrator.send_streaming_request("Count to ten"):
        print(chunk, end="", flush=True)

    print(f"\n${orchestrator.get_session_cost():.4f}")
    orchestrator.cost_tracker.export_to_csv("usage.csv")

    # Prices are for a million tokens: 3 + 3 read at 0.001 dollars, 1 + 3 written at 0.002.
    assert capsys.readouterr().out.splitlines() == [
        "4 {'prompt': 3, 'completion': 1, 'total': 4} 0.005000",
        "1 2 3",
        "$0.0140",
    ]
    with open("usage.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["cost"]) for row in rows] == [("m", "0.005000"), ("m", "0.009000")]
    orchestrator.close()


# ---------------------------------------------------------------- construction


def test_every_source_of_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "active_provider: fake\nactive_model: m\nproviders: {fake: {adapter: openai, base_url: http://x}}\n"
    )
    monkeypatch.setenv("LLM_ORCHESTRATOR_CONFIG", str(path))
    loaded = ConfigManager.load_config(path)
    for source in (path, str(path), loaded, dict(CONFIG, providers={"fake": {"adapter": "local"}}), None):
        orchestrator = LLMOrchestrator(source)
        assert (orchestrator.active_provider, orchestrator.active_model) == ("fake", "m")
        assert orchestrator.config.active_provider == "fake"
        assert repr(orchestrator) == "LLMOrchestrator(active_provider='fake', active_model='m')"


def test_construction_uses_no_provider_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    provider = FakeProvider(name="fake")
    with LLMOrchestrator(CONFIG, providers={"fake": provider}) as orchestrator:
        orchestrator.send_request("Hi")
    assert len(provider.requests) == 1
    assert list(tmp_path.iterdir()) == [], "without cost_tracking costs are counted in memory"


def test_the_parts_may_be_handed_in() -> None:
    tracker = RecordingTracker()
    provider = FakeProvider(name="fake")
    registry = ModelRegistry({"fake": provider}, "no-such-folder/models.json")
    orchestrator = LLMOrchestrator(
        CONFIG, providers={"fake": provider}, registry=registry, cost_tracker=tracker, session_id="mine"
    )
    assert orchestrator.registry is registry
    assert orchestrator.cost_tracker is tracker
    assert orchestrator.session_id == "mine"
    assert orchestrator.send_request("Hi").session_id == "mine"
    assert [row.session_id for row in tracker.records] == ["mine"]


def test_sessions_come_from_the_tracker_or_are_new() -> None:
    def session(**parts: Any) -> str:
        return LLMOrchestrator(CONFIG, providers={"fake": FakeProvider(name="fake")}, **parts).session_id

    assert session(cost_tracker=RecordingTracker()) == "session"
    assert session() != session()


def test_orchestrators_with_one_tracker_count_their_own_sessions() -> None:
    tracker = RecordingTracker()

    def make(name: str) -> LLMOrchestrator:
        provider = FakeProvider("Two words", name="fake")
        return LLMOrchestrator(
            dict(CONFIG, active_model=MODEL),
            providers={"fake": provider},
            cost_tracker=tracker,
            session_id=name,
        )

    first, second = make("first"), make("second")
    cost = first.send_request("Hi").cost
    assert cost is not None and cost > 0
    assert (first.get_session_cost(), second.get_session_cost()) == (cost, Decimal(0))


# ---------------------------------------------------------------- an answer


def test_an_answer_holds_what_the_contract_says(way: str) -> None:
    scene = play()
    response = ask(scene.orchestrator, way, "What is 2+2?")
    assert (response.content, response.provider) == (ANSWER, "fake")
    assert (response.model, response.requested_model) == (MODEL, MODEL)
    assert response.usage == TokenUsage(3, 3, 6)
    assert response.tokens_used == {"prompt": 3, "completion": 3, "total": 6}
    assert (response.finish_reason, response.raw_finish_reason) == (FinishReason.STOP, "stop")
    assert response.message == Message("assistant", ANSWER, provider="fake")
    assert response.cost == Decimal("0.000006") == scene.orchestrator.get_session_cost()
    assert response.cost_details is not None and response.cost_details.total == response.cost
    assert (response.request_id, response.session_id) == ("fake-request", "session")
    (attempt,) = response.attempts
    assert (attempt.model, attempt.error, attempt.status_code) == (MODEL, None, 200)
    assert attempt.request_id == "fake-request"
    assert response.latency is not None and attempt.latency is not None
    assert 0 <= attempt.latency <= response.latency < 1
    assert response.warnings == ()
    assert response.raw_response is not None and response.raw_response["text"] == ANSWER
    (row,) = scene.tracker.records
    assert (row.call_id, row.attempt, row.final) == (scene.events[0].call_id, 1, True)
    assert (row.total_tokens, row.cost, row.status) == (6, response.cost, "ok")
    assert (row.requested_model, row.request_id, row.status_code) == (MODEL, "fake-request", 200)
    assert row.streamed is ("streamed" in way)


def test_an_unknown_price_is_none_and_not_zero(way: str) -> None:
    scene = play()
    response = ask(scene.orchestrator, way, model="unpriced")
    assert response.cost is None
    assert scene.tracker.records[0].cost is None
    assert scene.orchestrator.get_session_cost() == 0


def test_a_conversation_goes_on(way: str) -> None:
    scene = play("Hello, Ann.", "Your name is Ann.")
    history: List[Any] = [{"role": "user", "content": "I am Ann."}]
    history.append(ask(scene.orchestrator, way, list(history)).message)
    history.append({"role": "user", "content": "Who am I?"})
    assert ask(scene.orchestrator, way, history).content == "Your name is Ann."
    assert [turn.text for turn in scene.provider.requests[1].messages] == [
        "I am Ann.",
        "Hello, Ann.",
        "Who am I?",
    ]


# ---------------------------------------------------------------- retries and fallbacks


def test_r4_retries_of_one_model_come_before_the_next(way: str, waits: List[float]) -> None:
    failures = [
        RateLimitError("Slow.", status_code=429, request_id="r1", retry_after=7.0),
        broken(request_id="r2"),
        broken(request_id="r3"),
    ]
    scene = play(*failures, "From b.", fallback_models=["b", "c"], max_retries=1)
    response = ask(scene.orchestrator, way)
    assert response.content == "From b."
    assert (response.model, response.requested_model) == ("b", "b")
    assert scene.asked == [MODEL, MODEL, "b", "b"]
    assert [
        (attempt.model, attempt.error, attempt.status_code, attempt.request_id)
        for attempt in response.attempts
    ] == [
        (MODEL, "RateLimitError", 429, "r1"),
        (MODEL, "OverloadedError", 529, "r2"),
        ("b", "OverloadedError", 529, "r3"),
        ("b", None, 200, "fake-request"),
    ]
    assert waits[0] == 7.0 and len(waits) == 2
    assert scene.rows == [f"{MODEL} error", f"{MODEL} error", "b error", "b ok final"]
    assert [row.attempt for row in scene.tracker.records] == [1, 2, 3, 4]
    assert len({row.call_id for row in scene.tracker.records}) == 1
    assert scene.tracker.get_usage_report().total_requests == 1


def test_r4_all_models_failed(way: str, waits: List[float]) -> None:
    first = RateLimitError("Slow.", status_code=429, code="slow", request_id="r1", retry_after=99.0)
    scene = play(first, broken(), broken(), fallback_models=["b", "c"], max_retries=0)
    with pytest.raises(AllFallbacksFailedError) as caught:
        ask(scene.orchestrator, way)
    error = caught.value
    assert [(attempt.model, attempt.error) for attempt in error.attempts] == [
        (MODEL, "RateLimitError"),
        ("b", "OverloadedError"),
        ("c", "OverloadedError"),
    ]
    assert all(attempt.latency is not None for attempt in error.attempts)
    assert isinstance(error.__cause__, RateLimitError) and error.__cause__.model == MODEL
    assert (error.status_code, error.code, error.request_id, error.retry_after) == (429, "slow", "r1", 99.0)
    assert (error.provider, error.model) == ("fake", MODEL)
    assert scene.rows == [f"{MODEL} error", "b error", "c error final"]
    assert all(row.cost == 0 for row in scene.tracker.records)


def test_r1_without_fallbacks_the_error_itself_is_raised(way: str, waits: List[float]) -> None:
    scene = play(broken(), max_retries=2)
    with pytest.raises(type(broken())) as caught:
        ask(scene.orchestrator, way)
    assert len(caught.value.attempts) == len(scene.asked) == 3
    assert (caught.value.provider, caught.value.model) == ("fake", MODEL)


def test_r3_what_cannot_be_mended_is_raised_at_once(way: str) -> None:
    scene = play(QuotaExceededError("No money.", status_code=429), fallback_models=["b"])
    with pytest.raises(QuotaExceededError) as caught:
        ask(scene.orchestrator, way)
    assert scene.asked == [MODEL] and len(caught.value.attempts) == 1


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ({}, [MODEL, "b", "c"]),
        ({"model": "b"}, ["b", "c"]),
        ({"model": "other"}, ["other", "b", "c"]),
        ({"fallback": False}, [MODEL]),
        ({"max_retries": 1}, [MODEL, MODEL, "b", "b", "c", "c"]),
    ],
)
def test_the_chain_is_the_model_asked_then_the_fallbacks(
    arguments: Any, asked: List[str], waits: List[float]
) -> None:
    scene = play(broken(), fallback_models=["b", "c", "b"], max_retries=0)
    with pytest.raises(OrchestratorError):
        scene.orchestrator.send_request("Hi", **arguments)
    assert scene.asked == asked


def test_a_long_wait_is_not_slept(way: str, waits: List[float]) -> None:
    scene = play(RateLimitError("Slow.", status_code=429, retry_after=61.0))
    with pytest.raises(RateLimitError):
        ask(scene.orchestrator, way)
    assert waits == [] and scene.asked == [MODEL]


def test_a_timeout_is_retried_once_and_recorded_as_unknown(way: str, waits: List[float]) -> None:
    scene = play(FakeReply("Late.", delay=60), max_retries=5)
    with pytest.raises(ProviderTimeoutError):
        ask(scene.orchestrator, way, timeout=0.005)
    assert scene.rows == [f"{MODEL} error", f"{MODEL} error final"]
    assert [row.cost for row in scene.tracker.records] == [None, None], "it may have been billed"


def test_the_total_time_ends_the_call(way: str, waits: List[float]) -> None:
    scene = play(FakeReply("Late.", delay=60), fallback_models=["b", "c"])
    with pytest.raises(ProviderTimeoutError):
        ask(scene.orchestrator, way, total_timeout=0.01)
    assert scene.asked == [MODEL] and waits == []


def test_the_total_time_may_be_unlimited() -> None:
    scene = play(total_timeout=None)
    scene.orchestrator.send_request("Hi")
    assert scene.provider.requests


def test_a_fault_in_an_adapter_shows_as_itself_and_is_recorded(way: str) -> None:
    scene = play(ZeroDivisionError("oops"), fallback_models=["b"])
    with pytest.raises(ZeroDivisionError):
        ask(scene.orchestrator, way)
    assert scene.rows == [f"{MODEL} error final"], "a request may have been sent and billed"
    assert scene.tracker.records[0].error_type == "ZeroDivisionError"


# ---------------------------------------------------------------- parameters the model rejects


def picky(*rejected: str) -> Any:
    """A script that rejects parameters one after the other, then answers."""

    def answer(request: LLMRequest) -> Any:
        for name in rejected:
            if getattr(request, name) is not None:
                return UnsupportedParameterError("No.", parameter=name, status_code=400)
        return "Yes."

    return answer


def test_m1_rejected_parameters_are_dropped_said_and_remembered(way: str) -> None:
    scene = play(picky("temperature", "seed"))
    response = ask(scene.orchestrator, way, temperature=0.5, seed=1, max_tokens=9)
    assert [attempt.error for attempt in response.attempts] == ["UnsupportedParameterError"] * 2 + [None]
    assert response.attempts[-1].without == frozenset({"temperature", "seed"})
    assert response.warnings == (
        f"seed was left out: {MODEL} rejects it.",
        f"temperature was left out: {MODEL} rejects it.",
    )
    last = scene.provider.requests[-1]
    assert (last.temperature, last.seed, last.max_tokens) == (None, None, 9)

    again = ask(scene.orchestrator, way, temperature=0.5)
    assert len(again.attempts) == 1 and again.warnings == (f"temperature was left out: {MODEL} rejects it.",)
    assert ask(scene.orchestrator, way).warnings == (), "nothing was left out that was not asked for"
    elsewhere = ask(scene.orchestrator, way, temperature=0.5, model="other")
    assert len(elsewhere.attempts) == 2, "another model is asked itself"


def test_m1_the_policy_error_raises(way: str) -> None:
    scene = play(picky("temperature"), on_unsupported_parameter="error")
    with pytest.raises(UnsupportedParameterError) as caught:
        ask(scene.orchestrator, way, temperature=0.5)
    assert caught.value.parameter == "temperature" and len(scene.asked) == 1


def test_m1_what_the_answer_depends_on_is_never_dropped(way: str) -> None:
    scene = play(picky("stop"))
    with pytest.raises(UnsupportedParameterError):
        ask(scene.orchestrator, way, stop="END")
    assert len(scene.asked) == 1


# ---------------------------------------------------------------- hooks


def test_hooks_are_told_of_attempts_and_calls(way: str, waits: List[float]) -> None:
    scene = play(broken(), "Yes.")
    response = ask(scene.orchestrator, way, tags={"job": "x"})
    assert scene.reported == ["attempt error", "attempt ok", "call ok"]
    failed, answered, ended = scene.events
    assert isinstance(failed.error, type(broken())) and failed.response is None
    assert answered.response is not None and answered.response.content == "Yes."
    assert ended.response == response and ended.attempts == response.attempts
    assert [len(event.attempts) for event in scene.events] == [1, 2, 2]
    assert len({event.call_id for event in scene.events}) == 1
    for event in scene.events:
        assert (event.provider, event.model, event.session_id) == ("fake", MODEL, "session")
        assert (event.tags, event.streamed) == ({"job": "x"}, "streamed" in way)


def test_a_failed_call_tells_its_error(way: str) -> None:
    scene = play(AuthenticationError("No.", status_code=401))
    with pytest.raises(AuthenticationError) as caught:
        ask(scene.orchestrator, way)
    assert scene.reported == ["attempt error", "call error"]
    assert scene.events[-1].error is caught.value


def test_a_hook_that_fails_is_logged_and_costs_nothing(way: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(event: CallEvent) -> None:
        raise ValueError("a fault of the application")

    told: List[CallEvent] = []
    orchestrator = LLMOrchestrator(
        CONFIG, providers={"fake": FakeProvider(ANSWER, name="fake")}, hooks=[fail, told.append]
    )
    assert ask(orchestrator, way).content == ANSWER
    assert [event.kind for event in told] == ["attempt", "call"], "the hooks after it are told"
    failures = [record for record in caplog.records if record.message.startswith("A hook failed")]
    assert [record.levelname for record in failures] == ["ERROR", "ERROR"]
    assert failures[0].exc_info is not None and failures[0].exc_info[0] is ValueError


def test_an_attempt_is_a_plain_record() -> None:
    response = play().orchestrator.send_request("Hi")
    assert isinstance(response.attempts[0], Attempt)
    assert response.attempts[0].without == frozenset()
