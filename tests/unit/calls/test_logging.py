"""What the library logs, at which level, and what it never logs."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any, List, Tuple

import pytest
from pydantic import BaseModel

from llm_orchestrator import AuthenticationError, OrchestratorError, RateLimitError, StreamInterruptedError
from llm_orchestrator.testing import FakeReply
from tests.support.fakes import MODEL, Scene, broken, play, warm  # noqa: F401 (warm is a fixture)
from tests.support.ways import ask

PROMPT = "a prompt that nobody may read"
ANSWER = "an answer that nobody may read"
KEY = "sk-sentinel-0123456789"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    """Level and text of what the calls themselves logged, everything below DEBUG included."""
    caplog.set_level(logging.DEBUG)

    def read() -> List[Tuple[str, str]]:
        own = [record for record in caplog.records if record.name == "llm_orchestrator.calls.reporter"]
        return [(record.levelname, record.getMessage()) for record in own]

    return read


def test_a_success_is_debug(way: str, lines: Any) -> None:
    ask(play().orchestrator, way)
    assert lines() == [("DEBUG", f"fake/{MODEL}: answered, attempt 1 (request id fake-request)")]


def test_retries_and_fallbacks_are_warnings(way: str, lines: Any, waits: List[float]) -> None:
    scene = play(
        RateLimitError("Slow.", status_code=429, request_id="r1"),
        broken(request_id="r2"),
        "Yes.",
        fallback_models=["b"],
        max_retries=1,
    )
    ask(scene.orchestrator, way)
    assert lines() == [
        ("WARNING", f"fake/{MODEL}: retry, attempt 2, after RateLimitError (status 429, request id r1)"),
        (
            "WARNING",
            f"fake/b: fallback from {MODEL}, attempt 3, after OverloadedError (status 529, request id r2)",
        ),
        ("DEBUG", "fake/b: answered, attempt 3 (request id fake-request)"),
    ]


def test_asking_again_is_a_warning_without_the_answer(lines: Any) -> None:
    class Sum(BaseModel):
        total: int

    scene = play(f'{{"total": "{ANSWER}"}}', '{"total": 4}')
    scene.orchestrator.send_request(PROMPT, response_format=Sum, reask=1)
    ended = (
        f"fake/{MODEL}: asked again, attempt 2, after OutputParseError (status 200, request id fake-request)"
    )
    assert lines()[0] == ("WARNING", ended)
    assert [level for level, _ in lines()] == ["WARNING", "DEBUG"]


def test_a_final_failure_is_an_error(way: str, lines: Any, waits: List[float]) -> None:
    scene = play(broken(request_id="r1"), max_retries=1)
    with pytest.raises(OrchestratorError):
        ask(scene.orchestrator, way)
    assert lines() == [
        ("WARNING", f"fake/{MODEL}: retry, attempt 2, after OverloadedError (status 529, request id r1)"),
        (
            "ERROR",
            f"fake/{MODEL}: failed with OverloadedError, attempt 2 was the last (status 529, request id r1)",
        ),
    ]


def test_when_all_models_failed_that_is_the_error(lines: Any, waits: List[float]) -> None:
    scene = play(broken(), fallback_models=["b"], max_retries=0)
    with pytest.raises(OrchestratorError):
        scene.orchestrator.send_request("Hi")
    level, text = lines()[-1]
    assert level == "ERROR" and "fake/b: failed with AllFallbacksFailedError" in text


@pytest.mark.parametrize("way", ["streamed", "async streamed"])
def test_a_stream_that_breaks_off_is_an_error(way: str, lines: Any) -> None:
    scene = play(FakeReply(chunks=["One", "two"], error=broken(request_id="r1")))
    with pytest.raises(StreamInterruptedError):
        ask(scene.orchestrator, way)
    (line,) = lines()
    assert line[0] == "ERROR"
    assert line[1].startswith(f"fake/{MODEL}: failed with StreamInterruptedError, attempt 1")
    assert line[1].endswith("(status 529, request id fake-request)")


def test_what_was_never_sent_is_not_logged_as_a_failure(way: str, lines: Any) -> None:
    with pytest.raises(OrchestratorError):
        ask(play().orchestrator, way, temperature="hot")
    assert lines() == []


def read_all(caplog: pytest.LogCaptureFixture, level: int) -> str:
    formatter = logging.Formatter("%(name)s %(message)s")
    return "\n".join(formatter.format(record) for record in caplog.records if record.levelno >= level)


def use_everything(scene: Scene, way: str) -> None:
    """A success, a retry, a failure and a hook that fails."""
    for _ in range(3):
        with suppress(OrchestratorError):
            ask(scene.orchestrator, way, PROMPT, stop=PROMPT, extra_headers={"authorization": KEY})


def test_c7_no_prompt_answer_or_key_from_info_up(
    way: str, caplog: pytest.LogCaptureFixture, waits: List[float]
) -> None:
    caplog.set_level(logging.DEBUG)
    script = [broken(), ANSWER, AuthenticationError(f"No such key {KEY}.", status_code=401), ANSWER]
    scene = play(*script, api_key=KEY)
    use_everything(scene, way)
    assert len(scene.asked) == 4
    text = read_all(caplog, logging.INFO)
    assert "retry" in text and "failed with AuthenticationError" in text
    for secret in (PROMPT, ANSWER, KEY):
        assert secret not in text
    assert KEY not in read_all(caplog, logging.DEBUG)
