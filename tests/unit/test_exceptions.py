"""The error family: its tree, its fields, and that errors survive copies and other processes (R6)."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Callable, Dict, List, Type

import pytest

from llm_orchestrator import exceptions
from llm_orchestrator.exceptions import OrchestratorError, ProviderError
from llm_orchestrator.types import Attempt, FinishReason, LLMResponse, TokenUsage

FAMILY: Dict[str, Type[OrchestratorError]] = {
    name: getattr(exceptions, name) for name in exceptions.__all__ if name != "OrchestratorError"
}
ATTEMPTS = (Attempt("a", error="ServerError", status_code=500, request_id="r1", latency=0.5), Attempt("b"))
RESPONSE = LLMResponse(
    "Half", "a", "p", usage=TokenUsage(1, 2, 3), finish_reason=FinishReason.LENGTH, raw_response={"id": "x"}
)
#: Fields of ProviderError, all told.
FIELDS: Dict[str, Any] = {
    "provider": "p",
    "model": "a",
    "status_code": 429,
    "code": "slow_down",
    "request_id": "r2",
    "retry_after": 2.5,
}
#: What single classes take beside the fields of their base.
OWN: Dict[str, Dict[str, Any]] = {
    "InvalidMessagesError": {"index": 3},
    "UnsupportedParameterError": {"parameter": "temperature"},
    "StreamInterruptedError": {"partial_text": "Half", "partial_response": RESPONSE},
    "OutputTruncatedError": {"response": RESPONSE},
    "OutputParseError": {"response": RESPONSE},
}


def make(name: str) -> OrchestratorError:
    """One error with every field set, as it leaves a call."""
    kind = FAMILY[name]
    error = kind("What happened.", **(FIELDS if issubclass(kind, ProviderError) else {}), **OWN.get(name, {}))
    error.attempts = ATTEMPTS
    return error


def throw(name: str) -> None:
    """Raise an error with a cause that no other process could read."""
    raise make(name) from ValueError(lambda: None)


def through_pickle(protocol: int) -> Callable[[OrchestratorError], Any]:
    return lambda error: pickle.loads(pickle.dumps(error, protocol))


COPIES: List[Callable[[OrchestratorError], Any]] = [
    copy.copy,
    copy.deepcopy,
    *map(through_pickle, range(pickle.HIGHEST_PROTOCOL + 1)),
]


@pytest.mark.parametrize("name", FAMILY)
def test_r6_copies_and_pickles_keep_class_text_and_fields(name: str) -> None:
    error = make(name)
    for duplicate in COPIES:
        again = duplicate(error)
        assert type(again) is type(error) and again is not error
        assert str(again) == str(error) and str(error).startswith("What happened.")
        assert again.args == error.args
        assert vars(again) == vars(error)
        assert again.attempts == ATTEMPTS


def test_r6_what_was_learned_about_one_error_survives() -> None:
    error = exceptions.ProviderTimeoutError("Late.")
    error.retry_limit, error.may_retry, error.sent = 1, False, False
    again = pickle.loads(pickle.dumps(error))
    assert (again.retry_limit, again.may_retry, again.sent) == (1, False, False)


@pytest.mark.slow  # it starts a Python
def test_r6_errors_arrive_from_a_worker_process_as_themselves() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        results = {name: pool.submit(throw, name) for name in FAMILY}
        for name, result in results.items():
            error = result.exception(timeout=60)
            assert type(error) is FAMILY[name]
            assert vars(error) == vars(make(name))


def test_the_tree_is_the_contract() -> None:
    bases = {name: kind.__mro__[1].__name__ for name, kind in FAMILY.items()}
    output = "_OutputError"
    provider_errors = {
        name: "ProviderError"
        for name in FAMILY
        if name not in ("ConfigurationError", "ProviderSwitchError", "InvalidMessagesError")
    }
    assert bases == {
        **provider_errors,
        "ConfigurationError": "OrchestratorError",
        "ProviderSwitchError": "OrchestratorError",
        "InvalidMessagesError": "OrchestratorError",
        "BudgetExceededError": "OrchestratorError",
        "ProviderError": "OrchestratorError",
        "UnsupportedParameterError": "InvalidRequestError",
        "OverloadedError": "ServerError",
        "ProviderTimeoutError": "ProviderConnectionError",
        "OutputTruncatedError": output,
        "OutputParseError": output,
    }
    assert issubclass(exceptions.OutputParseError, ProviderError)
    assert OrchestratorError.__mro__[1] is Exception


def test_the_drawing_shows_every_class_under_its_parent() -> None:
    """The tree at the top of the module, read back: names indented by four columns a level."""
    assert exceptions.__doc__ is not None
    parents: List[str] = []
    drawn: Dict[str, str] = {}
    for line in exceptions.__doc__.splitlines():
        words = line.replace("|", " ").replace("`", " ").replace("--", "  ").split()
        if not (line.startswith("    ") and words and words[0].endswith("Error")):
            continue
        level = (line.index(words[0]) - 4) // 4
        parents[level:] = [words[0]]
        drawn[words[0]] = parents[level - 1] if level else ""
    assert {name for name in drawn if name != "OrchestratorError"} == set(FAMILY)
    for name, parent in drawn.items():
        assert not parent or parent in [kind.__name__ for kind in getattr(exceptions, name).__mro__[1:]]


def test_which_errors_are_retried_and_fall_back() -> None:
    kinds = [kind for kind in FAMILY.values() if issubclass(kind, ProviderError)]
    retried = {kind.__name__ for kind in kinds if kind.retryable}
    assert retried == {
        "RateLimitError",
        "ServerError",
        "OverloadedError",
        "ProviderConnectionError",
        "ProviderTimeoutError",
        "InvalidResponseError",
    }
    fall_back = {kind.__name__ for kind in kinds if kind.falls_back}
    assert fall_back == retried | {"ModelNotFoundError", "ContextLengthError"}


def test_what_was_not_told_is_none() -> None:
    error = exceptions.RateLimitError("Slow down.")
    assert {name: getattr(error, name) for name in FIELDS} == dict.fromkeys(FIELDS)
    assert error.attempts == OrchestratorError("x").attempts == ()
    assert exceptions.StreamInterruptedError("Cut.").partial_response is None
    assert exceptions.OutputParseError("No.").response is None
    assert exceptions.InvalidMessagesError("No.").index is None


@pytest.mark.parametrize("words", ["invalid x-api-key", "invalid x-api-key."])
def test_a_refusal_ends_with_what_to_do_about_it(words: str) -> None:
    error = exceptions.AuthenticationError(words)
    assert str(error) == "invalid x-api-key. Check the api_key of the provider's entry."
    assert error.args == (words,), "the provider's own words stay as they are"
    assert str(exceptions.ServerError(words)) == words
