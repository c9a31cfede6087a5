"""What to try next: retries on one model, then the next model of the same provider.

``plan`` only decides: it neither waits nor sends nor reads the clock, so that it can be tested without any.
``run`` and ``arun`` execute a plan; they are the only loops over attempts in the library.
"""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import (
    Awaitable,
    Callable,
    FrozenSet,
    Generator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    TypeVar,
    Union,
)

from llm_orchestrator.exceptions import (
    AllFallbacksFailedError,
    BudgetExceededError,
    ProviderError,
    UnsupportedParameterError,
    forget_frames,
)
from llm_orchestrator.types import DROPPABLE_PARAMETERS, Attempt
from llm_orchestrator.utils.values import make

__all__ = ["Attempt", "Plan", "PolicySettings", "Wait", "arun", "plan", "run"]

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 8.0
#: Random share of a pause, so that many clients do not retry at the same moment.
JITTER = 0.25

Result = TypeVar("Result")


class Wait(NamedTuple):
    """Wait before the next attempt.

    Attributes:
        seconds: How long.
    """

    seconds: float


#: Yields the next step; is sent the error of a failed attempt, None after a wait; raises the call's error.
Plan = Generator[Union[Attempt, Wait], Optional[ProviderError], None]


def _chance() -> float:
    import random

    return random.random()


def _forever() -> float:
    return float("inf")


class PolicySettings(NamedTuple):
    """What a plan may do.

    Attributes:
        max_retries: Retries on each model.
        max_retry_wait: Longest pause in seconds; when a provider asks for a longer one, there is no retry.
        drop_unsupported: Whether a parameter that a model rejects is left out and the request sent again.
        unsupported: Parameters known to be rejected, by model.
        time_left: Returns the seconds until the whole call must have ended.
        chance: Returns a random number from 0 to 1, for each pause.
    """

    max_retries: int = 2
    max_retry_wait: float = 60.0
    drop_unsupported: bool = True
    unsupported: Mapping[str, FrozenSet[str]] = MappingProxyType({})
    time_left: Callable[[], float] = _forever
    chance: Callable[[], float] = _chance


def plan(chain: Sequence[str], settings: PolicySettings) -> Plan:
    """Try the models in turn, each with its retries, until an attempt succeeds or the call has to fail."""
    failures: List[ProviderError] = []
    for model in chain:
        if failures and settings.time_left() <= 0:
            raise failures[-1]
        yield from _try_model(model, settings, failures)
        if not (failures[-1].falls_back and failures[-1].may_fall_back) or len(chain) == 1:
            raise failures[-1]
    error = _all_failed(chain, failures)
    raise error from failures[0]


def _try_model(model: str, settings: PolicySettings, failures: List[ProviderError]) -> Plan:
    without = settings.unsupported.get(model, frozenset())
    retries = 0
    limited = 0
    while True:
        error = yield make(Attempt, model=model, without=without)
        assert error is not None, "a plan is only resumed with the error of its attempt"
        rejected = _rejected(error, settings)
        if rejected is not None and rejected not in without:
            without |= {rejected}
            continue
        if error.has_other_key:
            continue
        failures.append(error)
        limited += error.retry_limit is not None
        pause = _pause_before_retry(error, retries, limited, settings)
        if pause is None:
            return
        yield Wait(pause)
        retries += 1


def _rejected(error: ProviderError, settings: PolicySettings) -> Optional[str]:
    """What to leave out: the form a parameter was sent in, where there is another one, or the parameter."""
    if not isinstance(error, UnsupportedParameterError) or not error.sent:
        return None
    # A field that the library added is nobody's wish, so no policy keeps it.
    may_go = settings.drop_unsupported and error.parameter in DROPPABLE_PARAMETERS
    return (error.form or error.parameter) if may_go or error.is_added else None


def _pause_before_retry(
    error: ProviderError, retries: int, limited: int, settings: PolicySettings
) -> Optional[float]:
    """Seconds to wait before a retry on the same model; None for no retry."""
    if not (error.retryable and error.may_retry) or retries >= settings.max_retries:
        return None
    if error.retry_limit is not None and limited > error.retry_limit:
        return None
    pause = error.retry_after
    if pause is None:
        longest = min(LONGEST_PAUSE, settings.max_retry_wait)
        pause = min(FIRST_PAUSE * 2**retries, longest) * (1 - JITTER * settings.chance())
    return pause if pause <= settings.max_retry_wait and pause < settings.time_left() else None


def _all_failed(chain: Sequence[str], failures: Sequence[ProviderError]) -> AllFallbacksFailedError:
    first = failures[0]
    waits = [error.retry_after for error in failures if error.retry_after is not None]
    return AllFallbacksFailedError(
        f"Every model failed ({', '.join(chain)}). The first error was {type(first).__name__}: {first}",
        provider=first.provider,
        model=first.model,
        status_code=first.status_code,
        code=first.code,
        request_id=first.request_id,
        retry_after=min(waits, default=None),
    )


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


async def _asleep(seconds: float) -> None:
    import asyncio

    await asyncio.sleep(seconds)


def run(steps: Plan, attempt: Callable[[Attempt], Result]) -> Result:
    """Execute a plan."""
    failures: List[ProviderError] = []
    outcome: Optional[ProviderError] = None
    try:
        while True:
            step = steps.send(outcome)
            outcome = None
            if isinstance(step, Wait):
                _sleep(step.seconds)
                continue
            try:
                result = attempt(step)
                _clear_tracebacks(failures)
                return result
            except ProviderError as error:
                outcome = error
                failures.append(error)
            except BudgetExceededError as error:  # what failed before is why more was needed
                raise error from (failures[-1] if failures else None)
    finally:
        outcome = None  # its traceback would keep this frame alive, and everything the frame refers to
        failures.clear()


async def arun(steps: Plan, attempt: Callable[[Attempt], Awaitable[Result]]) -> Result:
    """Execute a plan, async; see ``run``."""
    failures: List[ProviderError] = []
    outcome: Optional[ProviderError] = None
    try:
        while True:
            step = steps.send(outcome)
            outcome = None
            if isinstance(step, Wait):
                await _asleep(step.seconds)
                continue
            try:
                result = await attempt(step)
                _clear_tracebacks(failures)
                return result
            except ProviderError as error:
                outcome = error
                failures.append(error)
            except BudgetExceededError as error:
                raise error from (failures[-1] if failures else None)
    finally:
        outcome = None  # as in run
        failures.clear()


def _clear_tracebacks(failures: Sequence[ProviderError]) -> None:
    """Free the frames that the errors of a call keep alive once the call has succeeded.

    They would stay until the garbage collector runs, and with them what the application has dropped, such as
    a stream with an open connection.
    """
    for failure in failures:
        forget_frames(failure)
