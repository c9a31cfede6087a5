"""M1 and M2: parameters that a model rejects, and the limit of tokens that one provider requires."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Tuple

import pytest

from llm_orchestrator import FinishReason, InvalidRequestError, LLMOrchestrator, UnsupportedParameterError
from llm_orchestrator.types import DROPPABLE_PARAMETERS
from tests.support.configs import ROOT
from tests.support.fixtures import Orchestrate
from tests.support.marks import anthropic
from tests.support.money import answer
from tests.support.scripted_server import MODEL, Dialect, Reply, ScriptedServer
from tests.support.ways import ask

VALUES: Mapping[str, Any] = {
    "temperature": 0.2,
    "top_p": 0.9,
    "top_k": 40,
    "seed": 7,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "parallel_tool_calls": False,
    "reasoning_effort": "low",
}
#: What each provider calls the parameters in its body and its errors; those it has no field for are missing.
WIRE_NAMES: Mapping[str, Dict[str, str]] = {
    "chat": {name: name for name in VALUES if name != "top_k"},
    "responses": {
        **{name: name for name in ("temperature", "top_p", "parallel_tool_calls")},
        "reasoning_effort": "reasoning.effort",
    },
    "anthropic": {
        **{name: name for name in ("temperature", "top_p", "top_k")},
        "parallel_tool_calls": "disable_parallel_tool_use",
    },
    "gemini": {
        "temperature": "temperature",
        "top_p": "topP",
        "top_k": "topK",
        "seed": "seed",
        "frequency_penalty": "frequencyPenalty",
        "presence_penalty": "presencePenalty",
    },
}
CASES = [(name, parameter) for name, known in WIRE_NAMES.items() for parameter in known]
EACH_PARAMETER = pytest.mark.parametrize(
    ("dialect", "parameter"),
    CASES,
    ids=[f"{name}-{parameter}" for name, parameter in CASES],
    indirect=["dialect"],
)
TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}


def rejection(dialect: Dialect, field: str) -> Reply:
    """The provider's 400 for a parameter its model does not take."""
    if dialect.provider != "openai":
        return dialect.error(400, parameter=field)
    message = f"Unsupported parameter: '{field}' is not supported with this model."
    return dialect.error(400, "unsupported_parameter", message, parameter=field)


def is_sent(body: Any, field: str) -> bool:
    """Whether a field stands anywhere in a body."""
    if isinstance(body, dict):
        names = field.split(".")
        inner = body.get(names[0])
        found = names[0] in body and (len(names) == 1 or is_sent(inner, ".".join(names[1:])))
        return found or any(is_sent(value, field) for value in body.values())
    return isinstance(body, list) and any(is_sent(value, field) for value in body)


def arguments(parameter: str) -> Dict[str, Any]:
    """The parameter in a call; no provider is told how to call tools when there are none."""
    given = {parameter: VALUES[parameter]}
    return {**given, "tools": [TOOL]} if parameter == "parallel_tool_calls" else given


# ------------------------------------------------------------------------------- M1: learned, and left out


@EACH_PARAMETER
def test_m1_a_rejected_parameter_is_left_out_said_and_remembered(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, parameter: str, way: str
) -> None:
    field = WIRE_NAMES[dialect.name][parameter]
    orchestrator = orchestrate(max_retries=0)
    server.script(rejection(dialect, field), answer(dialect, way), answer(dialect, way))

    first = ask(orchestrator, way, **arguments(parameter))
    second = ask(orchestrator, way, **arguments(parameter))

    assert [is_sent(request.body, field) for request in server.requests] == [True, False, False]
    assert [attempt.error for attempt in first.attempts] == ["UnsupportedParameterError", None]
    assert [attempt.error for attempt in second.attempts] == [None], "what was learned is not asked again"
    for response in (first, second):
        assert response.warnings == (f"{parameter} was left out: {MODEL} rejects it.",)


@EACH_PARAMETER
def test_m1_the_policy_error_raises_it(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, parameter: str, way: str
) -> None:
    server.default = rejection(dialect, WIRE_NAMES[dialect.name][parameter])

    with pytest.raises(UnsupportedParameterError) as caught:
        ask(orchestrate(on_unsupported_parameter="error", max_retries=2), way, **arguments(parameter))

    assert (caught.value.parameter, caught.value.status_code) == (parameter, 400)
    assert len(server.requests) == len(caught.value.attempts) == 1


def test_m1_each_distinct_parameter_is_left_out_once(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    names = WIRE_NAMES[dialect.name]
    server.script(
        rejection(dialect, names["temperature"]), rejection(dialect, names["top_p"]), answer(dialect, way)
    )

    response = ask(orchestrate(max_retries=0), way, temperature=0.2, top_p=0.9)

    assert [attempt.error for attempt in response.attempts] == ["UnsupportedParameterError"] * 2 + [None]
    assert [warning.split()[0] for warning in response.warnings] == ["temperature", "top_p"]


def test_m1_a_model_that_rejects_what_is_gone_already_is_not_asked_for_ever(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.default = rejection(dialect, WIRE_NAMES[dialect.name]["temperature"])

    with pytest.raises(InvalidRequestError):
        ask(orchestrate(max_retries=2), way, temperature=0.2)

    assert len(server.requests) == 2


def test_m1_what_one_call_learned_counts_for_the_orchestrator_and_its_siblings(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    orchestrator = orchestrate()
    server.script(rejection(dialect, "temperature"), dialect.whole(), dialect.whole(), dialect.whole())
    orchestrator.send_request("Hi", temperature=0.2)

    orchestrator.for_provider(dialect.provider).send_request("Hi", temperature=0.2)
    other = orchestrator.send_request("Hi", temperature=0.2, model="another")

    assert [is_sent(request.body, "temperature") for request in server.requests] == [True, False, False, True]
    assert other.warnings == (), "another model may take it"


@pytest.mark.parametrize("parameter", ["service_tier", "tools"])
def test_m1_what_an_answer_cannot_do_without_raises(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, parameter: str
) -> None:
    if dialect.name == "anthropic" and parameter == "service_tier":
        pytest.skip("its errors name parameters in words alone, and only those that we know are looked for")
    server.default = rejection(dialect, parameter)

    with pytest.raises(UnsupportedParameterError) as caught:
        ask(orchestrate(), way, tools=[TOOL], service_tier="flex")

    assert (caught.value.parameter, len(server.requests)) == (parameter, 1)


# ------------------------------------------------------------------------------- M1: no field for it

NO_FIELD = [
    (name, parameter)
    for name, known in WIRE_NAMES.items()
    for parameter in DROPPABLE_PARAMETERS
    if parameter not in known
    and (name, parameter) not in {("anthropic", "reasoning_effort"), ("gemini", "reasoning_effort")}
]
EACH_WITHOUT_FIELD = pytest.mark.parametrize(
    ("dialect", "parameter"),
    NO_FIELD,
    ids=[f"{name}-{parameter}" for name, parameter in NO_FIELD],
    indirect=["dialect"],
)


@EACH_WITHOUT_FIELD
def test_m1_a_parameter_without_a_field_is_left_out_and_said(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, parameter: str, way: str
) -> None:
    server.script(answer(dialect, way))

    response = ask(orchestrate(), way, **arguments(parameter))

    assert response.warnings == (f"{parameter} was not sent: {dialect.provider} does not take it.",)
    assert len(response.attempts) == 1


@EACH_WITHOUT_FIELD
def test_m1_a_parameter_without_a_field_is_an_error_before_any_request(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, parameter: str, way: str
) -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        ask(orchestrate(on_unsupported_parameter="error"), way, **arguments(parameter))

    assert (caught.value.parameter, server.requests) == (parameter, [])


# ------------------------------------------------------------------------------- M1: reasoning in two forms

ADAPTIVE = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}
BUDGET = {"thinking": {"type": "enabled", "budget_tokens": 8000}}
LEVEL = {"thinkingLevel": "MEDIUM", "includeThoughts": True}
#: The words by which models say that they know only the other form, and both forms in the body.
FORMS: Mapping[str, Tuple[str, Dict[str, Any], Dict[str, Any]]] = {
    "anthropic": ("adaptive thinking is not supported on this model", ADAPTIVE, BUDGET),
    "gemini": (
        "Thinking level is not supported for this model.",
        {"thinkingConfig": LEVEL},
        {"thinkingConfig": {"thinkingBudget": 8192, "includeThoughts": True}},
    ),
}
TWO_FORMS = pytest.mark.parametrize("dialect", list(FORMS), indirect=True)


def reasoning_fields(body: Mapping[str, Any]) -> Dict[str, Any]:
    fields = {**body, **body.get("generationConfig", {})}
    return {name: fields[name] for name in ("thinking", "output_config", "thinkingConfig") if name in fields}


@TWO_FORMS
def test_m1_an_older_model_is_given_a_budget_in_place_of_the_effort(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    words, newer, older = FORMS[dialect.name]
    orchestrator = orchestrate(max_retries=0)
    server.script(dialect.error(400, message=words), answer(dialect, way), answer(dialect, way))

    first = ask(orchestrator, way, reasoning_effort="medium")
    second = ask(orchestrator, way, reasoning_effort="medium")

    assert [reasoning_fields(request.body) for request in server.requests] == [newer, older, older]
    assert [attempt.error for attempt in first.attempts] == ["UnsupportedParameterError", None]
    for response in (first, second):
        (warning,) = response.warnings
        assert warning.startswith("reasoning_effort was sent as a budget of 8")


@TWO_FORMS
def test_m1_a_model_that_takes_neither_form_answers_without(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    refusal = dialect.error(400, message=FORMS[dialect.name][0])
    server.script(refusal, refusal, answer(dialect, way), answer(dialect, way))
    orchestrator = orchestrate(max_retries=0, options={"reasoning_effort": "medium"})

    response = ask(orchestrator, way)
    again = ask(orchestrator, way)

    assert reasoning_fields(server.requests[2].body) == reasoning_fields(server.requests[3].body) == {}
    assert len(response.attempts) == 3 and len(again.attempts) == 1
    assert response.warnings == again.warnings == (f"reasoning_effort was left out: {MODEL} rejects it.",)


@TWO_FORMS
def test_m1_the_policy_error_tries_no_other_form(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.default = dialect.error(400, message=FORMS[dialect.name][0])

    with pytest.raises(UnsupportedParameterError) as caught:
        ask(orchestrate(on_unsupported_parameter="error"), way, reasoning_effort="medium")

    assert (caught.value.parameter, len(server.requests)) == ("reasoning_effort", 1)


@TWO_FORMS
def test_m1_a_call_without_effort_is_not_warned_of_what_another_call_learned(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    orchestrator = orchestrate()
    server.script(dialect.error(400, message=FORMS[dialect.name][0]), dialect.whole(), dialect.whole())
    orchestrator.send_request("Hi", reasoning_effort="medium")

    assert orchestrator.send_request("Hi").warnings == ()


def test_m1_thinking_that_cannot_be_turned_off_is_said(
    orchestrate: Orchestrate, server: ScriptedServer, way: str, dialect: Dialect
) -> None:
    words = {
        "anthropic": "`thinking.type.disabled` is not supported for this model.",
        "gemini": "Budget 0 is invalid. This model only works in thinking mode.",
    }
    field = WIRE_NAMES[dialect.name].get("reasoning_effort", "")
    refusal = (
        dialect.error(400, message=words[dialect.name])
        if dialect.name in words
        else rejection(dialect, field)
    )
    server.script(refusal, answer(dialect, way))

    response = ask(orchestrate(), way, reasoning_effort="none")

    assert response.warnings == (f"reasoning_effort was left out: {MODEL} rejects it.",)
    assert len(server.requests) == 2


Entry = Callable[[Dialect], Dict[str, Any]]


def anthropic_entry(dialect: Dialect, **supported: bool) -> Dict[str, Any]:
    entry = dialect.model_entry(MODEL)
    types = {name: {"supported": value} for name, value in supported.items()}
    return {**entry, "capabilities": {"thinking": {"supported": True, "types": types}}}


@pytest.mark.parametrize(
    ("dialect", "entry", "effort", "expected"),
    [
        ("anthropic", lambda d: anthropic_entry(d, adaptive=True), "medium", ADAPTIVE),
        ("anthropic", lambda d: anthropic_entry(d, adaptive=False, enabled=True), "medium", BUDGET),
        ("anthropic", lambda d: anthropic_entry(d, adaptive=False, enabled=False), "medium", {}),
        ("anthropic", lambda d: anthropic_entry(d, disabled=False), "none", {}),
        ("gemini", lambda d: {**d.model_entry(MODEL), "thinking": True}, "medium", {"thinkingConfig": LEVEL}),
        ("gemini", lambda d: {**d.model_entry(MODEL), "thinking": False}, "medium", {}),
    ],
    indirect=["dialect"],
)
def test_m1_what_the_listing_tells_needs_no_error(
    server: ScriptedServer,
    dialect: Dialect,
    entry: Entry,
    effort: str,
    expected: Dict[str, Any],
    tmp_path: Path,
) -> None:
    config = dialect.config(server.url)
    config["model_registry"] = {"cache_path": str(tmp_path / "models.json")}
    server.script(dialect.models([entry(dialect)]), dialect.whole())
    with LLMOrchestrator(config) as orchestrator:
        orchestrator.refresh_models()
        response = orchestrator.send_request("Hi", reasoning_effort=effort)

    assert reasoning_fields(server.requests[1].body) == expected
    assert len(response.attempts) == 1
    assert bool(response.warnings) is (expected in ({}, BUDGET))


# ------------------------------------------------------------------------------- M1: the source


def test_m1_no_model_name_stands_in_the_source() -> None:
    names = re.compile(
        r"\b(gpt-?\d|o[1-9](-mini|-pro)\b|claude-?\w*-?\d|gemini-?\d|sonnet|haiku|opus|-flash)", re.IGNORECASE
    )
    found: List[str] = []
    for file in sorted((ROOT / "llm_orchestrator").rglob("*.py")):
        lines = file.read_text(encoding="utf-8").splitlines()
        found += [f"{file.name}:{number}" for number, line in enumerate(lines, 1) if names.search(line)]
    assert found == []


# ------------------------------------------------------------------------------- M2


@pytest.mark.parametrize(
    ("call", "options", "known", "expected"),
    [
        ({"max_tokens": 50}, {"max_tokens": 70}, 64000, 50),
        ({}, {"max_tokens": 70}, 64000, 70),
        ({}, {}, 8192, 8192),
        ({}, {}, 64000, 16000),
        ({}, {}, None, 16000),
    ],
)
@anthropic
def test_m2_anthropic_is_always_told_a_limit(
    server: ScriptedServer,
    dialect: Dialect,
    call: Dict[str, Any],
    options: Dict[str, Any],
    known: Any,
    expected: int,
    tmp_path: Path,
    way: str,
) -> None:
    config = dialect.config(server.url, options=options)
    config["model_registry"] = {"cache_path": str(tmp_path / "models.json")}
    with LLMOrchestrator(config) as orchestrator:
        if known:
            server.script(dialect.models([{**dialect.model_entry(MODEL), "max_tokens": known}]))
            orchestrator.refresh_models()
        server.script(answer(dialect, way))
        ask(orchestrator, way, **call)

    assert server.requests[-1].body["max_tokens"] == expected


def test_m2_an_answer_that_was_cut_says_so(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(answer(dialect, way, finish="length"))

    assert ask(orchestrate(), way, max_tokens=3).finish_reason is FinishReason.LENGTH
