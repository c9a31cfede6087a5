"""The error family: its tree, its fields, and that errors survive copies and other processes (R6)."""

from __future__ import annotations

import copy
import pickle
from typing import Any, Callable, Dict, List

import pytest

from llm_orchestrator import exceptions
from llm_orchestrator.exceptions import OrchestratorError, ProviderError
from tests.support.errors import ATTEMPTS, FAMILY, FIELDS, make


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
        "TooManyTurnsError": "OrchestratorError",
        "ToolTimeoutError": "OrchestratorError",
        "ToolServerError": "OrchestratorError",
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
