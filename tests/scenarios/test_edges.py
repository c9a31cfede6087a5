"""Edges where parts meet: closing, forking, falling back and leaving at odd moments, and inputs that change."""

from __future__ import annotations

import asyncio
import copy
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List

import pytest

from llm_orchestrator import (
    InvalidRequestError,
    LLMOrchestrator,
    LLMRequest,
    ModelInfo,
    OrchestratorError,
    ServerError,
)
from llm_orchestrator.request.tools import read_tools
from llm_orchestrator.testing import FakeProvider
from llm_orchestrator.types import parse_arguments


def config(tmp_path: Path, **entry: Any) -> Dict[str, Any]:
    return {
        "active_provider": "fake",
        "active_model": "first",
        "providers": {"fake": entry},
        "model_registry": {"cache_path": str(tmp_path / "models.json")},
        "cost_tracking": {"log_path": str(tmp_path / "costs.csv")},
    }


def test_nothing_is_sent_after_close_not_even_a_retry(tmp_path: Path, waits: List[float]) -> None:
    def fail_and_close(request: LLMRequest) -> Exception:
        orchestrator.close()
        return ServerError("Broken.", status_code=500)

    fake = FakeProvider(fail_and_close)
    orchestrator = LLMOrchestrator(config(tmp_path), providers={"fake": fake})

    with pytest.raises(OrchestratorError, match="closed") as caught:
        orchestrator.send_request("Hi")

    assert len(fake.requests) == 1
    assert [attempt.error for attempt in caught.value.attempts] == ["ServerError"]


def test_each_model_is_sent_its_own_output_limit(tmp_path: Path) -> None:
    class Listing(FakeProvider):
        def parse_models(self, body: Any) -> Any:
            models, cursor = super().parse_models(body)
            limits = {"first": 64000, "second": 4096}
            return [replace(model, max_output_tokens=limits[model.name]) for model in models], cursor

        def build_attempt(self, request: Any, context: Any, *, stream: bool) -> Any:
            known.append((request.model, context.known.max_output_tokens))
            return super().build_attempt(request, context, stream=stream)

    known: List[Any] = []
    fake = Listing([ServerError("Broken."), "Fine."], models=["first", "second"])
    settings = config(tmp_path, fallback_models=["second"], max_retries=0)
    with LLMOrchestrator(settings, providers={"fake": fake}) as orchestrator:
        orchestrator.refresh_models()
        orchestrator.send_request("Hi")

    assert known == [("first", 64000), ("second", 4096)]


def test_a_fallback_to_a_deprecated_model_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Listing(FakeProvider):
        def parse_models(self, body: Any) -> Any:
            return [ModelInfo("first", "fake"), ModelInfo("second", "fake", deprecated=True)], None

    fake = Listing([ServerError("Broken."), "Fine."])
    settings = config(tmp_path, fallback_models=["second"], max_retries=0)
    with LLMOrchestrator(settings, providers={"fake": fake}) as orchestrator:
        orchestrator.refresh_models()
        orchestrator.send_request("Hi")

    assert [record.message for record in caplog.records if "'second'" in record.message]


class Demanding(FakeProvider):
    """An adapter that only understands whole documents, as its author may well have written it."""

    def parse_reply(self, body: Any, headers: Any) -> Any:
        assert body["finish_reason"]
        return super().parse_reply(body, headers)


@pytest.mark.parametrize("leave", ["close", "drop"])
def test_half_an_answer_that_its_adapter_cannot_read_is_recorded_all_the_same(
    tmp_path: Path, leave: str
) -> None:
    with LLMOrchestrator(config(tmp_path), providers={"fake": Demanding("one two three")}) as orchestrator:
        stream = orchestrator.send_streaming_request("Hi")
        next(stream)
        if leave == "close":
            stream.close()
        del stream
        assert orchestrator.send_request("Hi").content == "one two three", "the next call is not its victim"
        report = orchestrator.cost_tracker.get_usage_report()

    assert report["total_requests"] == 2


def test_a_stream_sends_what_it_was_given_not_what_became_of_it(tmp_path: Path) -> None:
    parts: List[Any] = [{"type": "text", "text": "before"}]
    fake = FakeProvider("Fine.")
    with LLMOrchestrator(config(tmp_path), providers={"fake": fake}) as orchestrator:
        options = {"nested": {"a": 1}}
        stream = orchestrator.send_streaming_request([{"role": "user", "content": parts}], extra=options)
        parts[0]["text"] = "after"
        parts.append(5)
        options["nested"]["a"] = 2
        stream.final_response()

    (request,) = fake.requests
    assert request.messages[0].text == "before"
    assert request.provider_options == {"extra": {"nested": {"a": 1}}}


def test_a_stream_of_more_than_plain_data_is_refused(tmp_path: Path) -> None:
    with LLMOrchestrator(config(tmp_path), providers={"fake": FakeProvider()}) as orchestrator:
        with pytest.raises(InvalidRequestError, match="not all of it is JSON"):
            orchestrator.send_streaming_request("Hi", option=threading.Lock())


def test_a_stream_cannot_be_copied(tmp_path: Path) -> None:
    with LLMOrchestrator(config(tmp_path), providers={"fake": FakeProvider()}) as orchestrator:
        with orchestrator.send_streaming_request("Hi") as stream, pytest.raises(TypeError, match="copied"):
            copy.copy(stream)


def test_two_tasks_cannot_open_one_stream(tmp_path: Path) -> None:
    fake = FakeProvider("Fine.")

    async def main(orchestrator: LLMOrchestrator) -> List[Any]:
        stream = orchestrator.asend_streaming_request("Hi")
        return await asyncio.gather(stream.final_response(), stream.final_response(), return_exceptions=True)

    with LLMOrchestrator(config(tmp_path), providers={"fake": fake}) as orchestrator:
        outcomes = asyncio.run(main(orchestrator))

    assert len(fake.requests) == 1
    assert [type(outcome).__name__ for outcome in outcomes] == ["LLMResponse", "OrchestratorError"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_dropped_stream_is_recorded_by_the_process_that_opened_it(tmp_path: Path) -> None:
    with LLMOrchestrator(config(tmp_path), providers={"fake": FakeProvider("one two")}) as orchestrator:
        stream = orchestrator.send_streaming_request("Hi")
        next(stream)
        del stream
        child = os.fork()
        if child == 0:
            orchestrator.send_request("Hi")
            os._exit(0)
        os.waitpid(child, 0)
        orchestrator.send_request("Hi")
        rows = (tmp_path / "costs.csv").read_text().splitlines()

    assert sum("interrupted" in row for row in rows) == 1
    assert sum(",ok," in row for row in rows) == 2


@pytest.mark.parametrize("adapter", ["fake", "openai"])
def test_only_an_entry_that_borrows_its_protocol_may_name_models_after_others(
    tmp_path: Path, adapter: str
) -> None:
    settings = config(tmp_path, adapter=adapter)
    settings["providers"]["openai"] = {"base_url": "http://localhost:1/v1"}
    with LLMOrchestrator(settings, providers={"fake": FakeProvider("Fine.")}) as orchestrator:
        if adapter == "openai":
            assert orchestrator.send_request("Hi", model="openai/some-model").content == "Fine."
        else:
            with pytest.raises(InvalidRequestError, match="belongs to provider 'openai'"):
                orchestrator.send_request("Hi", model="openai/some-model")


def test_a_tool_class_without_a_docstring_has_no_description() -> None:
    from pydantic import BaseModel

    class Weather(BaseModel):
        city: str

    (tool,) = read_tools([Weather])

    assert "description" not in tool["function"]


@pytest.mark.parametrize("raw", ['{"a": NaN}', '{"a": Infinity}', "[1]", '{"a"'])
def test_arguments_that_are_no_json_object_are_unreadable(raw: str) -> None:
    assert parse_arguments(raw) is None
