"""What is tried next, decided without waiting, sending or looking at a clock: plans driven by hand."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import pytest

from llm_orchestrator.exceptions import (
    AllFallbacksFailedError,
    AuthenticationError,
    ContextLengthError,
    InvalidRequestError,
    InvalidResponseError,
    ModelNotFoundError,
    OutputParseError,
    OutputTruncatedError,
    OverloadedError,
    PermissionDeniedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    UnsupportedParameterError,
)
from llm_orchestrator.policy import Attempt, PolicySettings, Wait, arun, plan, run

Step = Union[str, float]
Fail = Callable[[Attempt], ProviderError]


def error(kind: type = RateLimitError, **fields: Any) -> ProviderError:
    made = kind("No.", **fields)
    assert isinstance(made, ProviderError)
    return made


def drive(
    chain: Sequence[str], fail: Union[ProviderError, Fail], **settings: Any
) -> Tuple[List[Step], ProviderError]:
    """Carry out a plan whose attempts all fail: the models asked, the seconds waited, and the last error."""
    steps = plan(chain, PolicySettings(**{"chance": lambda: 0.0, **settings}))
    taken: List[Step] = []
    outcome: Optional[ProviderError] = None
    with pytest.raises(ProviderError) as caught:
        while len(taken) < 50:
            step = steps.send(outcome)
            if isinstance(step, Wait):
                taken.append(step.seconds)
                outcome = None
            else:
                taken.append(" without ".join([step.model, *sorted(step.without)]))
                outcome = fail if isinstance(fail, ProviderError) else fail(step)
    return taken, caught.value


def in_turn(*errors: ProviderError) -> Fail:
    left = list(errors)
    return lambda step: left.pop(0)


# ---------------------------------------------------------------- which errors deserve what


@pytest.mark.parametrize(
    "kind", [RateLimitError, ServerError, OverloadedError, ProviderConnectionError, ProviderTimeoutError]
)
def test_passing_failures_are_retried_and_then_fall_back(kind: type) -> None:
    taken, last = drive(["a", "b"], error(kind), max_retries=1)
    assert taken == ["a", 0.5, "a", "b", 0.5, "b"]
    assert isinstance(last, AllFallbacksFailedError)


@pytest.mark.parametrize("kind", [ModelNotFoundError, ContextLengthError])
def test_what_another_model_can_mend_falls_back_at_once(kind: type) -> None:
    taken, last = drive(["a", "b"], error(kind))
    assert taken == ["a", "b"]
    assert isinstance(last, AllFallbacksFailedError)


@pytest.mark.parametrize(
    "kind",
    [
        AuthenticationError,
        PermissionDeniedError,
        QuotaExceededError,
        InvalidRequestError,
        StreamInterruptedError,
        OutputTruncatedError,
        OutputParseError,
    ],
)
def test_what_no_model_can_mend_is_raised_as_it_is(kind: type) -> None:
    failure = error(kind)
    taken, last = drive(["a", "b"], failure)
    assert taken == ["a"]
    assert last is failure


def test_an_invalid_response_is_retried_once_then_falls_back() -> None:
    taken, _ = drive(["a", "b"], error(InvalidResponseError), max_retries=5)
    assert taken == ["a", 0.5, "a", "b", 0.5, "b"]


def test_a_timeout_of_a_request_that_was_sent_is_retried_once() -> None:
    def timeout(step: Attempt) -> ProviderError:
        failure = error(ProviderTimeoutError)
        failure.retry_limit = 1
        return failure

    taken, _ = drive(["a"], timeout, max_retries=5)
    assert taken == ["a", 0.5, "a"]


def test_a_provider_that_says_not_to_retry_is_not_asked_again() -> None:
    def refusal(step: Attempt) -> ProviderError:
        failure = error()
        failure.may_retry = False
        return failure

    taken, _ = drive(["a", "b"], refusal)
    assert taken == ["a", "b"]


# ---------------------------------------------------------------- how often, and how long between


@pytest.mark.parametrize(("retries", "requests"), [(0, 1), (1, 2), (2, 3), (5, 6)])
def test_r1_retries_are_counted_per_model(retries: int, requests: int) -> None:
    taken, _ = drive(["a", "b"], error(), max_retries=retries)
    assert (taken.count("a"), taken.count("b")) == (requests, requests)


def test_pauses_double_up_to_a_limit() -> None:
    taken, _ = drive(["a"], error(), max_retries=6)
    assert [step for step in taken if isinstance(step, float)] == [0.5, 1, 2, 4, 8, 8]


def test_a_quarter_of_a_pause_is_left_to_chance() -> None:
    taken, _ = drive(["a"], error(), max_retries=1, chance=lambda: 1.0)
    assert taken == ["a", 0.375, "a"]


def test_pauses_of_our_own_stay_within_the_longest_wait() -> None:
    taken, _ = drive(["a"], error(), max_retries=3, max_retry_wait=0.75)
    assert taken == ["a", 0.5, "a", 0.75, "a", 0.75, "a"]


@pytest.mark.parametrize("seconds", [0.0, 0.02, 7.0, 60.0])
def test_r2_the_wait_that_a_provider_asks_for_is_kept(seconds: float) -> None:
    taken, _ = drive(["a"], error(retry_after=seconds), max_retries=1)
    assert taken == ["a", seconds, "a"]


def test_r2_a_wait_that_is_too_long_is_not_slept() -> None:
    failure = error(retry_after=277403.0)
    taken, last = drive(["a"], failure)
    assert taken == ["a"]
    assert last is failure
    taken, _ = drive(["a", "b"], failure)
    assert taken == ["a", "b"]


# ---------------------------------------------------------------- total time


def test_no_wait_outlasts_the_call() -> None:
    failure = error(retry_after=5.0)
    taken, last = drive(["a"], failure, time_left=lambda: 5.0)
    assert taken == ["a"]
    assert last is failure
    taken, _ = drive(["a"], failure, time_left=lambda: 5.1, max_retries=1)
    assert taken == ["a", 5.0, "a"]


def test_no_model_is_asked_once_the_time_is_over() -> None:
    failure = error(ProviderTimeoutError)
    taken, last = drive(["a", "b", "c"], failure, time_left=lambda: 0.0)
    assert taken == ["a"]
    assert last is failure


def test_time_that_ends_with_the_last_model_hides_no_failure() -> None:
    clock = iter([9.0, 9.0, 0.0, 0.0, 0.0])
    taken, last = drive(["a", "b"], error(), max_retries=0, time_left=lambda: next(clock))
    assert taken == ["a", "b"]
    assert isinstance(last, AllFallbacksFailedError)


# ---------------------------------------------------------------- fallbacks


def test_r4_the_first_failure_is_the_cause_and_gives_the_facts() -> None:
    first = error(
        OverloadedError, status_code=529, code="overloaded", request_id="r1", provider="p", model="a"
    )
    others = [error(retry_after=90.0), error(ServerError, status_code=500, retry_after=80.0)]
    _, last = drive(["a", "b", "c"], in_turn(first, *others), max_retries=0)
    assert isinstance(last, AllFallbacksFailedError)
    assert last.__cause__ is first
    assert (last.status_code, last.code, last.request_id) == (529, "overloaded", "r1")
    assert (last.provider, last.model) == ("p", "a")
    assert last.retry_after == 80.0
    assert "a, b, c" in str(last) and "OverloadedError" in str(last)


def test_r4_without_a_wait_there_is_no_retry_after() -> None:
    _, last = drive(["a", "b"], error(ServerError), max_retries=0)
    assert last.retry_after is None


def test_an_error_that_ends_everything_ends_it_on_a_fallback_too() -> None:
    key = error(AuthenticationError)
    taken, last = drive(["a", "b", "c"], in_turn(error(ModelNotFoundError), key))
    assert taken == ["a", "b"]
    assert last is key


def test_without_fallbacks_the_error_itself_is_raised() -> None:
    failure = error()
    assert drive(["a"], failure, max_retries=0) == (["a"], failure)


# ---------------------------------------------------------------- parameters the model rejects


def rejected(parameter: str, *, sent: bool = True) -> ProviderError:
    failure = UnsupportedParameterError("No.", parameter=parameter)
    failure.sent = sent
    return failure


def test_m1_each_rejected_parameter_is_left_out_once_and_that_is_no_retry() -> None:
    failures = in_turn(rejected("temperature"), rejected("top_p"), error())
    taken, _ = drive(["a"], failures, max_retries=0)
    assert taken == ["a", "a without temperature", "a without temperature without top_p"]


def test_m1_a_parameter_rejected_although_it_was_left_out_is_an_error() -> None:
    taken, last = drive(["a"], rejected("temperature"))
    assert taken == ["a", "a without temperature"]
    assert isinstance(last, UnsupportedParameterError)


def test_m1_what_was_dropped_stays_dropped_in_retries_but_not_on_another_model() -> None:
    failures = in_turn(rejected("seed"), *[error() for _ in range(4)])
    taken, _ = drive(["a", "b"], failures, max_retries=1, max_retry_wait=0)
    assert taken[:5] == ["a", "a without seed", 0, "a without seed", "b"]


def test_m1_what_is_known_to_be_rejected_is_left_out_from_the_start() -> None:
    known: Dict[str, Any] = {"a": frozenset({"seed"})}
    taken, _ = drive(["a", "b"], error(), max_retries=0, unsupported=known)
    assert taken == ["a without seed", "b"]


@pytest.mark.parametrize(
    ("failure", "settings"),
    [
        (rejected("stop"), {}),
        (rejected("max_tokens"), {}),
        (rejected("response_format"), {}),
        (rejected("temperature"), {"drop_unsupported": False}),
        (rejected("temperature", sent=False), {}),
    ],
)
def test_m1_other_parameters_and_the_policy_error_raise(failure: Any, settings: Any) -> None:
    taken, last = drive(["a", "b"], failure, **settings)
    assert taken == ["a"]
    assert last is failure


# ---------------------------------------------------------------- the drivers


def outcomes(driver: str, fail_first: int, waits: List[float]) -> Tuple[str, List[str]]:
    asked: List[str] = []

    def attempt(step: Attempt) -> str:
        asked.append(step.model)
        if len(asked) <= fail_first:
            raise error(retry_after=3.0)
        return f"answer {len(asked)}"

    async def attempt_async(step: Attempt) -> str:
        return attempt(step)

    steps = plan(["a", "b"], PolicySettings(max_retries=1))
    if driver == "run":
        return run(steps, attempt), asked
    return asyncio.run(arun(steps, attempt_async)), asked


@pytest.mark.parametrize("driver", ["run", "arun"])
def test_drivers_wait_and_try_as_planned(driver: str, waits: List[float]) -> None:
    answer, asked = outcomes(driver, 3, waits)
    assert answer == "answer 4"
    assert asked == ["a", "a", "b", "b"]
    assert waits == [3.0, 3.0]


@pytest.mark.parametrize("driver", ["run", "arun"])
def test_drivers_raise_what_the_plan_ends_with(driver: str, waits: List[float]) -> None:
    with pytest.raises(AllFallbacksFailedError):
        outcomes(driver, 9, waits)


@pytest.mark.parametrize("driver", ["run", "arun"])
def test_drivers_pass_on_what_is_no_error_of_a_provider(driver: str) -> None:
    def attempt(step: Attempt) -> str:
        raise KeyError(step.model)

    async def attempt_async(step: Attempt) -> str:
        return attempt(step)

    steps = plan(["a", "b"], PolicySettings())
    with pytest.raises(KeyError, match="a"):
        if driver == "run":
            run(steps, attempt)
        else:
            asyncio.run(arun(steps, attempt_async))


@pytest.mark.parametrize("driver", ["run", "arun"])
@pytest.mark.real_clock
def test_drivers_really_wait(driver: str) -> None:
    import time

    def attempt(step: Attempt) -> str:
        if time.monotonic() - started < 0.05:
            raise error(retry_after=0.05)
        return "late"

    async def attempt_async(step: Attempt) -> str:
        return attempt(step)

    started = time.monotonic()
    steps = plan(["a"], PolicySettings(max_retries=2))
    answer = run(steps, attempt) if driver == "run" else asyncio.run(arun(steps, attempt_async))
    assert answer == "late"
