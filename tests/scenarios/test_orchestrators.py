"""An orchestrator among others and over time: siblings, models, closing, many threads, many event loops."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

from llm_orchestrator import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    LLMOrchestrator,
    LLMRequest,
    LLMResponse,
    OrchestratorError,
    ProviderSwitchError,
    providers,
)
from llm_orchestrator.testing import FakeProvider
from tests.support.fakes import MODEL, RecordingTracker, broken, play, warm  # noqa: F401 (warm is a fixture)
from tests.support.ways import ask


class ClosingProvider(FakeProvider):
    """A provider that counts how often it was closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


def pair(cache_path: Path, *, models: Any = ("a-1", "a-2"), **entry: Any) -> LLMOrchestrator:
    """An orchestrator with two scripted providers, ``a`` and ``b``, of which ``a`` is active."""
    return LLMOrchestrator(
        {
            "active_provider": "a",
            "active_model": MODEL,
            "providers": {"a": entry, "b": {"fallback_models": ["b-2"], "max_retries": 0}},
            "model_registry": {"cache_path": str(cache_path)},
        },
        providers={
            "a": ClosingProvider("From a.", name="a", models=models),
            "b": ClosingProvider("From b.", name="b", models=["b-1"]),
        },
        cost_tracker=RecordingTracker(),
    )


@pytest.fixture
def orchestrator(tmp_path: Path) -> LLMOrchestrator:
    return pair(tmp_path / "models.json")


def provider(orchestrator: LLMOrchestrator, name: str) -> ClosingProvider:
    found = orchestrator._providers[name]
    assert isinstance(found, ClosingProvider)
    return found


# ---------------------------------------------------------------- siblings and the bond to one provider


def test_a_sibling_shares_everything_but_provider_and_model(orchestrator: LLMOrchestrator, way: str) -> None:
    sibling = orchestrator.for_provider("b", MODEL)
    assert (sibling.active_provider, sibling.active_model) == ("b", MODEL)
    assert (orchestrator.active_provider, orchestrator.active_model) == ("a", MODEL)
    for shared in ("config", "registry", "cost_tracker", "session_id"):
        assert getattr(sibling, shared) is getattr(orchestrator, shared)
    assert (ask(orchestrator, way).content, ask(sibling, way).content) == ("From a.", "From b.")
    assert sibling.get_session_cost() == orchestrator.get_session_cost() == Decimal("0.000006")
    assert repr(sibling) == f"LLMOrchestrator(active_provider='b', active_model={MODEL!r})"


def test_a_sibling_without_a_model_needs_one_in_the_call(orchestrator: LLMOrchestrator, way: str) -> None:
    sibling = orchestrator.for_provider("b")
    with pytest.raises(InvalidRequestError, match=r"No model is chosen for .*'b'.* Name one with model="):
        ask(sibling, way)
    assert ask(sibling, way, model="b-1").model == "b-1"
    assert orchestrator.for_provider("a").active_model == MODEL


def test_a_sibling_uses_the_settings_of_its_entry(orchestrator: LLMOrchestrator) -> None:
    sibling = orchestrator.for_provider("b", "b-1")
    provider(orchestrator, "b").answers(broken(), "From b-2.")
    assert sibling.send_request("Hi").model == "b-2"


def test_an_unknown_provider_is_refused_with_a_suggestion(orchestrator: LLMOrchestrator) -> None:
    for use in (orchestrator.for_provider, orchestrator.refresh_models):
        with pytest.raises(ConfigurationError, match="'bb'.*Did you mean 'b'"):
            use("bb")
    with pytest.raises(ConfigurationError, match="'bb'.*Did you mean 'b'"):
        orchestrator.validate_model("m", "bb")


def test_an_entry_without_its_key_says_so_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    settings = {
        "active_provider": "fake",
        "active_model": "m",
        "providers": {"openai": {"api_key": "${OPENAI_API_KEY}"}},
    }
    orchestrator = LLMOrchestrator(settings, providers={"fake": FakeProvider(name="fake")})
    with pytest.raises(ConfigurationError, match=r"'openai' cannot be used: [\s\S]*OPENAI_API_KEY"):
        orchestrator.for_provider("openai")


def test_r5_a_history_never_goes_to_another_provider(orchestrator: LLMOrchestrator, way: str) -> None:
    answer = ask(orchestrator, way).message
    sibling = orchestrator.for_provider("b", "b-1")
    with pytest.raises(
        ProviderSwitchError, match=r"messages\[1\] was written by .*'a'.* cannot be sent to 'b'"
    ):
        ask(sibling, way, [{"role": "user", "content": "Hi"}, answer, {"role": "user", "content": "And?"}])
    assert provider(orchestrator, "b").requests == []
    assert ask(
        orchestrator, way, [{"role": "user", "content": "Hi"}, answer, {"role": "user", "content": "And?"}]
    )


@pytest.mark.parametrize("model", ["b/b-1", "b:b-1"])
def test_r5_a_model_that_names_another_entry_is_refused(
    model: str, orchestrator: LLMOrchestrator, way: str
) -> None:
    with pytest.raises(InvalidRequestError, match=f"'{model}' belongs to .*'b'.*for_provider"):
        ask(orchestrator, way, model=model)
    assert provider(orchestrator, "a").requests == []


def test_r5_a_model_listed_only_elsewhere_is_refused(orchestrator: LLMOrchestrator, way: str) -> None:
    assert (
        ask(orchestrator, way, model="b-1").model == "b-1"
    ), "the registry never gates what it does not know"
    orchestrator.refresh_models()
    with pytest.raises(InvalidRequestError, match="'b-1' belongs to .*'b'"):
        ask(orchestrator, way, model="b-1")
    assert ask(orchestrator, way, model="unheard-of").model == "unheard-of"


@pytest.mark.parametrize("model", ["ft:a-1:me", "ft-a-1", "tunedModels/a-1", "a/ft:a-1"])
def test_r5_a_fine_tuned_model_is_refused(model: str, orchestrator: LLMOrchestrator, way: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"'{model}' is a fine-tuned model"):
        ask(orchestrator, way, model=model)
    assert provider(orchestrator, "a").requests == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (dict.fromkeys(("a", "b"), FakeProvider()), r"providers\['a'\] is given under another name, too"),
        ({"a": FakeProvider}, r"providers\['a'\] is <class .*Give an object .*derived from BaseLLMProvider"),
    ],
)
def test_what_is_handed_in_must_be_a_provider_of_that_name(given: Any, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        LLMOrchestrator({"active_provider": "a", "active_model": "m"}, providers=given)


def test_an_adapter_nobody_knows_is_an_error_at_construction() -> None:
    settings = {"active_provider": "x", "active_model": "m", "providers": {"x": {"adapter": "opnai"}}}
    with pytest.raises(
        ConfigurationError, match="providers.x: There is no adapter named 'opnai'. .*'openai'"
    ):
        LLMOrchestrator(settings)


# ---------------------------------------------------------------- models


async def refresh_async(orchestrator: LLMOrchestrator, *names: str) -> None:
    await orchestrator.arefresh_models(*names)


@pytest.mark.parametrize("way_to_refresh", ["sync", "async"])
def test_models_are_known_after_a_refresh(
    way_to_refresh: str, orchestrator: LLMOrchestrator, caplog: pytest.LogCaptureFixture
) -> None:
    assert orchestrator.get_available_models() == orchestrator.get_available_models("b") == []
    orchestrator.send_request("Hi", model="a-1")
    assert "deprecated" not in caplog.text, "before the first refresh nothing warns"
    if way_to_refresh == "sync":
        orchestrator.refresh_models("a")
    else:
        asyncio.run(refresh_async(orchestrator, "a"))
    assert orchestrator.get_available_models() == ["a-1", "a-2"]
    assert orchestrator.for_provider("b").get_available_models() == []
    orchestrator.refresh_models()
    assert orchestrator.get_available_models("b") == ["b-1"]


def test_a_deprecated_model_works_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = pair(tmp_path / "models.json")
    first.refresh_models("a")
    second = pair(tmp_path / "models.json", models=["a-2"])
    second.refresh_models("a")
    assert second.get_available_models() == ["a-2"]
    assert second.get_available_models(include_deprecated=True) == ["a-1", "a-2"]
    for _ in range(2):
        assert second.send_request("Hi", model="a-1").content == "From a."
    assert [record.levelname for record in caplog.records if "deprecated" in record.message] == ["WARNING"]


def test_validation_asks_the_provider(orchestrator: LLMOrchestrator) -> None:
    assert orchestrator.validate_model("a-1") and not orchestrator.validate_model("b-1")
    assert orchestrator.validate_model("b-1", "b")

    async def main() -> List[bool]:
        return [await orchestrator.avalidate_model("a-2"), await orchestrator.avalidate_model("a-2", "b")]

    assert asyncio.run(main()) == [True, False]


def test_a_refresh_that_fails_raises_and_keeps_the_list(orchestrator: LLMOrchestrator) -> None:
    orchestrator.refresh_models("a")

    def refuse(*_: Any) -> Any:
        raise AuthenticationError("No.", status_code=401)

    provider(orchestrator, "a").open_call = refuse  # type: ignore[method-assign]
    with pytest.raises(AuthenticationError):
        orchestrator.refresh_models("a")
    assert orchestrator.get_available_models() == ["a-1", "a-2"]


# ---------------------------------------------------------------- the end

End = Callable[[LLMOrchestrator], None]


def leave(orchestrator: LLMOrchestrator) -> None:
    with orchestrator as entered:
        assert entered is orchestrator


def aleave(orchestrator: LLMOrchestrator) -> None:
    async def main() -> None:
        async with orchestrator as entered:
            assert entered is orchestrator

    asyncio.run(main())


def aclose(orchestrator: LLMOrchestrator) -> None:
    asyncio.run(_aclose(orchestrator))


async def _aclose(orchestrator: LLMOrchestrator) -> None:
    await orchestrator.aclose()


ENDS = [LLMOrchestrator.close, leave, aclose, aleave]


@pytest.mark.parametrize("end", ENDS)
def test_c2_closing_twice_is_fine_and_use_afterwards_is_an_error(
    end: End, orchestrator: LLMOrchestrator, way: str
) -> None:
    ask(orchestrator, way)
    end(orchestrator)
    end(orchestrator)
    assert (provider(orchestrator, "a").closed, provider(orchestrator, "b").closed) == (1, 1)
    with pytest.raises(OrchestratorError, match="The orchestrator is closed. Make a new one"):
        ask(orchestrator, way)
    assert len(provider(orchestrator, "a").requests) == 1
    assert orchestrator.get_session_cost() > 0, "what was spent can still be asked"


def test_use_after_closing_means_every_use(orchestrator: LLMOrchestrator) -> None:
    orchestrator.close()
    uses: List[Callable[[], Any]] = [
        orchestrator.refresh_models,
        lambda: orchestrator.validate_model("a-1"),
        lambda: orchestrator.for_provider("b"),
        lambda: asyncio.run(refresh_async(orchestrator)),
    ]
    for use in uses:
        with pytest.raises(OrchestratorError, match="The orchestrator is closed"):
            use()


@pytest.mark.parametrize("end", ENDS)
def test_a_sibling_closes_nothing_and_is_closed_with_the_first(
    end: End, orchestrator: LLMOrchestrator
) -> None:
    sibling = orchestrator.for_provider("b", "b-1")
    end(sibling.for_provider("a"))
    end(sibling)
    assert provider(orchestrator, "b").closed == 0
    assert orchestrator.send_request("Hi").content == "From a."
    end(orchestrator)
    with pytest.raises(OrchestratorError, match="closed"):
        sibling.send_request("Hi")


def test_closing_gives_the_ledger_back(tmp_path: Path) -> None:
    ledger = tmp_path / "costs.csv"
    settings = {"active_provider": "a", "active_model": "m", "cost_tracking": {"log_path": str(ledger)}}
    orchestrator = LLMOrchestrator(settings, providers={"a": FakeProvider(name="a")})
    orchestrator.send_request("Hi")
    orchestrator.close()
    assert len(ledger.read_text().splitlines()) == 2
    assert orchestrator.cost_tracker.get_usage_report().total_requests == 1


# ---------------------------------------------------------------- threads and event loops


def echo(request: LLMRequest) -> str:
    """Answer with the question, so that a mix-up of calls would show."""
    return request.messages[-1].text


def check(response: LLMResponse, question: str) -> Decimal:
    assert response.content == question
    assert len(response.attempts) == 1 and response.cost is not None
    return response.cost


@pytest.mark.slow  # 1,600 calls
def test_c3_many_threads_share_one_orchestrator() -> None:
    scene = play(echo)

    def work(thread: int) -> List[Decimal]:
        questions = [f"Question {number} of thread {thread}" for number in range(50)]
        ways = ("whole", "streamed")
        return [
            check(ask(scene.orchestrator, ways[number % 2], question), question)
            for number, question in enumerate(questions)
        ]

    with ThreadPoolExecutor(32) as pool:
        costs = [cost for part in pool.map(work, range(32)) for cost in part]
    assert len(costs) == len(scene.tracker.records) == 1600
    assert sum(costs) == scene.orchestrator.get_session_cost()
    assert scene.tracker.get_usage_report().total_requests == 1600


@pytest.mark.slow  # 500 calls at once
def test_c3_many_tasks_share_one_orchestrator() -> None:
    scene = play(echo)

    async def work(number: int) -> Decimal:
        question = f"Question {number}"
        if number % 2:
            return check(await scene.orchestrator.asend_request(question), question)
        return check(await scene.orchestrator.asend_streaming_request(question).final_response(), question)

    async def main() -> List[Decimal]:
        return list(await asyncio.gather(*map(work, range(500))))

    costs = asyncio.run(main())
    assert sum(costs) == scene.orchestrator.get_session_cost()
    assert len(scene.tracker.records) == 500


def test_c1_event_loops_come_and_go() -> None:
    scene = play(echo)
    answers: Dict[str, str] = {}

    def on_a_loop(name: str) -> None:
        async def main() -> None:
            whole, streamed = await asyncio.gather(
                scene.orchestrator.asend_request(name),
                scene.orchestrator.asend_streaming_request(name).final_response(),
            )
            answers[name] = f"{whole.content} {streamed.content}"

        asyncio.run(main(), debug=True)

    for name in ("one", "two", "three"):
        on_a_loop(name)
    threads = [threading.Thread(target=on_a_loop, args=[name]) for name in ("four", "five")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {name: f"{name} {name}" for name in ("one", "two", "three", "four", "five")}
    scene.orchestrator.close()


def test_c3_threads_that_begin_together_share_one_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    made: List[str] = []

    class Counted(FakeProvider):
        def __init__(self, name: str, **settings: Any) -> None:
            made.append(name)
            super().__init__("Yes.", name=name)

    monkeypatch.setitem(providers._registered, "counted", Counted)
    orchestrator = LLMOrchestrator(
        {"active_provider": "x", "active_model": "m", "providers": {"x": {"adapter": "counted"}}}
    )
    assert made == [], "adapters are made when they are first used"
    gate = threading.Barrier(8)

    def work(_: int) -> str:
        gate.wait()
        return orchestrator.send_request("Hi").content

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(work, range(8))) == {"Yes."}
    assert made == ["x"]
