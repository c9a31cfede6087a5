"""The arguments of a call: the same names for all four ways, and bad values refused before sending."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from llm_orchestrator import InvalidRequestError, LLMOrchestrator
from llm_orchestrator.request.arguments import call_arguments
from tests.support.fakes import play, warm  # noqa: F401 (warm is a fixture)
from tests.support.ways import ask

METHODS = ("send_request", "send_streaming_request", "asend_request", "asend_streaming_request")
#: DESIGN's order; positional is the conversation alone.
NAMES = """self messages model temperature max_tokens top_p top_k stop seed frequency_penalty presence_penalty
tools tool_choice parallel_tool_calls response_format reasoning_effort logprobs cache timeout total_timeout max_retries
fallback reask tags extra_headers provider_options""".split()


@pytest.mark.parametrize("method", METHODS)
def test_the_four_ways_take_the_same_parameters(method: str) -> None:
    parameters = inspect.signature(getattr(LLMOrchestrator, method)).parameters
    assert list(parameters) == NAMES
    kinds = [parameter.kind for parameter in parameters.values()]
    assert kinds[:2] == [inspect.Parameter.POSITIONAL_OR_KEYWORD] * 2
    assert set(kinds[2:-1]) == {inspect.Parameter.KEYWORD_ONLY}
    assert kinds[-1] is inspect.Parameter.VAR_KEYWORD
    defaults = {name: parameters[name].default for name in NAMES[2:-1]}
    assert defaults == {**dict.fromkeys(NAMES[2:-1]), "fallback": True, "reask": 0}


def test_only_asend_request_is_awaited() -> None:
    waiting = [method for method in METHODS if inspect.iscoroutinefunction(getattr(LLMOrchestrator, method))]
    assert waiting == ["asend_request"]


def test_every_argument_arrives(way: str) -> None:
    given = {
        "temperature": 0.5,
        "max_tokens": 10,
        "top_p": 0.9,
        "top_k": 40,
        "seed": -7,
        "frequency_penalty": 0.1,
        "presence_penalty": -2,
        "parallel_tool_calls": False,
        "reasoning_effort": "low",
        "logprobs": 3,
        "cache": "auto",
        "timeout": 3.5,
        "extra_headers": {"x-team": "search"},
    }
    scene = play()
    tools = [{"type": "web_search"}]
    ask(
        scene.orchestrator,
        way,
        model="other",
        stop="END",
        safety="off",
        tags={"job": 5},
        tools=tools,
        **given,
    )
    request = scene.provider.requests[0]
    assert {name: getattr(request, name) for name in given} == given
    assert (request.model, request.stop, request.provider_options) == ("other", ("END",), {"safety": "off"})
    assert scene.tracker.records[0].tags == {"job": "5"}


def test_what_is_left_out_is_none(way: str) -> None:
    scene = play()
    ask(scene.orchestrator, way)
    request = scene.provider.requests[0]
    given = {
        name for name in NAMES[3:-1] if getattr(request, name, None) not in (None, (), {}) and name != "tools"
    }
    assert given == set()


def test_limits_of_the_call_replace_those_of_the_entry() -> None:
    arguments = call_arguments("Hi", total_timeout=1, max_retries=0, fallback=False)
    assert (arguments.total_timeout, arguments.max_retries, arguments.fallback) == (1, 0, False)
    arguments = call_arguments("Hi")
    assert (arguments.total_timeout, arguments.max_retries, arguments.fallback) == (None, None, True)


@pytest.mark.parametrize(
    ("value", "expected"), [("END", ("END",)), (["a", "b"], ("a", "b")), ((), None), (None, None)]
)
def test_stop_is_a_text_or_several(value: Any, expected: Any) -> None:
    assert call_arguments("Hi", stop=value).request.stop == expected


NUMBER = "Use a number."
WHOLE = "Use a whole number"
SECONDS = "Use a number of seconds greater than 0."
SWITCH = "Use True or False."
TEXT = "Use a string that is not empty"
MAPPING = "Use a mapping of names to strings."

BAD = [
    *[
        (name, value, NUMBER)
        for name in (
            "temperature",
            "top_p",
            "frequency_penalty",
            "presence_penalty",
            "timeout",
            "total_timeout",
        )
        for value in ("hot", True, float("nan"), float("inf"), [0.5])
    ],
    *[(name, value, WHOLE) for name in ("max_tokens", "top_k") for value in (0, -1, 1.5, "10", True)],
    *[("seed", value, WHOLE) for value in (1.5, "7", False)],
    *[("max_retries", value, WHOLE) for value in (-1, 0.5, "2")],
    *[(name, value, SECONDS) for name in ("timeout", "total_timeout") for value in (0, -1)],
    *[(name, value, SWITCH) for name in ("parallel_tool_calls", "fallback") for value in (1, "yes", [])],
    *[(name, value, TEXT) for name in ("model", "reasoning_effort") for value in ("", "  ", 5)],
    *[("stop", value, "Use a string, or a list of strings") for value in ("", [""], [5], 5, {"a"})],
    *[("cache", value, "Use one of auto, 1h, off.") for value in ("on", True, [])],
    *[("tags", value, MAPPING) for value in ("a", ["a"], 5)],
    *[("extra_headers", value, MAPPING) for value in ("a", [("a", "b")])],
]


@pytest.mark.parametrize(("name", "value", "remedy"), BAD)
def test_bad_values_are_named_with_a_remedy(name: str, value: Any, remedy: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        call_arguments("Hi", **{name: value})
    assert str(caught.value).startswith(f"{name} is ")
    assert remedy in str(caught.value)


@pytest.mark.parametrize("headers", [{"x-team": 5}, {"authorization": None}, {b"x": "y"}])
def test_a_header_that_is_no_text_is_refused_without_showing_it(headers: Any) -> None:
    with pytest.raises(InvalidRequestError, match="Use strings for header names and values") as caught:
        call_arguments("Hi", extra_headers=headers)
    assert "5" not in str(caught.value)


def test_bad_values_are_refused_in_all_ways_before_anything_is_sent(way: str) -> None:
    scene = play()
    with pytest.raises(InvalidRequestError):
        ask(scene.orchestrator, way, temperature="hot")
    assert (scene.asked, scene.rows, scene.reported) == ([], [], [])


def test_a_second_positional_argument_is_pythons_own_error() -> None:
    with pytest.raises(TypeError):
        play().orchestrator.send_request("Hi", "model")  # type: ignore[misc]
