"""FC1, FC2, FC5, FC6, FC13: what a call may set, what hosts take of it, and what they refuse beside what."""

from __future__ import annotations

import logging
from typing import Any, List

import pytest

from llm_orchestrator import (
    ConfigurationError,
    InvalidRequestError,
    UnsupportedParameterError,
)
from tests.support.fixtures import Orchestrate
from tests.support.marks import chat, responses
from tests.support.money import answer
from tests.support.scripted_server import MODEL, Dialect, ScriptedServer
from tests.support.scripted_server.replies import json_reply
from tests.support.ways import ask


def fields_sent(dialect: Dialect, server: ScriptedServer, *names: str) -> List[List[str]]:
    """Which of these parameters each request held."""
    asked = [dialect.read_request(request.body, request.path) for request in server.requests]
    return [[name for name in names if request.get(name) is not None] for request in asked]


# ------------------------------------------------------------------------------- FC1: remembered with what stood beside


BOTH = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."


def test_fc1_a_rejection_beside_another_parameter_is_remembered_with_it(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    orchestrator = orchestrate()
    server.script(dialect.error(400, message=BOTH), *(answer(dialect, way) for _ in range(3)))

    both = ask(orchestrator, way, temperature=0.2, top_p=0.9)
    alone = ask(orchestrator, way, temperature=0.2)
    again = ask(orchestrator, way, temperature=0.2, top_p=0.9)

    sent = fields_sent(dialect, server, "temperature", "top_p")
    assert sent == [["temperature", "top_p"], ["top_p"], ["temperature"], ["top_p"]]
    assert alone.warnings == ()
    warning = f"temperature was left out: {MODEL} rejects it beside top_p."
    assert both.warnings == again.warnings == (warning,)


def test_fc1_a_condition_without_names_holds_for_what_stood_there(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    orchestrator = orchestrate()
    words = "`temperature` may only be set to 1 when thinking is enabled."
    server.script(dialect.error(400, message=words), *(answer(dialect, way) for _ in range(3)))

    ask(orchestrator, way, temperature=0.2, max_tokens=50)
    ask(orchestrator, way, temperature=0.2)
    ask(orchestrator, way, temperature=0.2, max_tokens=70, top_p=0.9)

    sent = [["temperature"], [], ["temperature"], []]
    assert fields_sent(dialect, server, "temperature") == sent


def test_fc1_what_a_model_never_takes_is_left_out_everywhere(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    orchestrator = orchestrate()
    server.script(
        dialect.error(400, message="`temperature` is deprecated for this model."),
        answer(dialect, way),
        answer(dialect, way),
    )

    ask(orchestrator, way, temperature=0.2, top_p=0.9)
    ask(orchestrator, way, temperature=0.2)

    assert fields_sent(dialect, server, "temperature") == [["temperature"], [], []]


# ------------------------------------------------------------------------------- FC2: words for "not taken"


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ("temperature", "`temperature` may only be set to 1 when thinking is enabled."),
        ("temperature", "invalid temperature: only 1 is allowed for this model"),
        ("temperature", "temperature is fixed at 1 for this model"),
        ("top_p", "`top_p` must be unset when thinking is enabled."),
        ("top_p", "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled"),
        ("temperature", "Unrecognized request argument supplied: temperature"),
        ("top_p", "top_p: Extra inputs are not permitted"),
        ("temperature", "The model does not accept 'temperature'."),
        ("temperature", "temperature must be 1"),
        ("temperature", "temperature should be 1.0 for this model"),
        ("temperature", "temperature must be equal to 1.0."),
        ("temperature", "Only temperature=1 is accepted"),
        ("top_k", "Unable to submit request because topK is not supported for this model"),
        ("top_p", "topP is not supported for this model"),
    ],
)
def test_fc2_a_parameter_that_may_not_be_there_is_left_out(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, parameter: str, words: str
) -> None:
    server.script(dialect.error(400, message=words), dialect.whole())
    response = orchestrate().send_request("Hi", **{parameter: 4 if parameter == "top_k" else 0.5})
    assert [attempt.error for attempt in response.attempts] == ["UnsupportedParameterError", None]


@pytest.mark.parametrize(
    "words",
    [
        "temperature: range: 0..1",
        "temperature must be 1 or less",
        "temperature should be 1 or less",
        "temperature must be 0-2",
        "temperature must be 0 to 2",
        "temperature must be between 0 and 2",
        "Invalid 'temperature': decimal above maximum value. Expected a value <= 2.",
        "temperature: Input should be less than or equal to 1",
    ],
)
def test_fc2_a_value_out_of_range_is_not_a_parameter_that_is_not_taken(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, words: str
) -> None:
    server.default = dialect.error(400, message=words)
    with pytest.raises(InvalidRequestError) as caught:
        orchestrate().send_request("Hi", temperature=9)
    assert type(caught.value) is InvalidRequestError and len(server.requests) == 1


@chat
def test_fc2_a_validators_place_names_the_parameter(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    detail = {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}
    server.script(json_reply({"detail": [detail]}, 422), answer(dialect, way))
    assert ask(orchestrate(), way, seed=7).warnings == (f"seed was left out: {MODEL} rejects it.",)


# ------------------------------------------------------------------------------- FC5: what we add can be taken away


ADDED = pytest.mark.parametrize(
    ("dialect", "field", "way"),
    [
        ("chat", "stream_options", "streamed"),
        ("chat", "stream_options", "async streamed"),
        ("responses", "store", "whole"),
        ("responses", "store", "async streamed"),
    ],
    indirect=["dialect"],
)


@ADDED
@pytest.mark.parametrize("policy", ["drop", "error"])
@pytest.mark.parametrize("status", [400, 422])
def test_fc5_a_field_that_we_add_and_a_host_refuses_is_left_out_from_then_on(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    field: str,
    way: str,
    policy: str,
    status: int,
) -> None:
    orchestrator = orchestrate(on_unsupported_parameter=policy)
    refusal = json_reply({"error": {"message": f"Unknown parameter: '{field}'."}}, status)
    server.script(refusal, answer(dialect, way), answer(dialect, way))

    first = ask(orchestrator, way)
    second = ask(orchestrator, way)

    assert [field in request.body for request in server.requests] == [True, False, False]
    assert first.warnings == second.warnings == (), "nobody asked for it"


@ADDED
def test_fc5_none_takes_away_what_we_add(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, field: str, way: str
) -> None:
    server.script(answer(dialect, way), answer(dialect, way))
    ask(orchestrate(), way, **{field: None})
    ask(orchestrate(options={field: None}), way)
    assert [field in request.body for request in server.requests] == [False, False]


@responses
def test_fc5_what_the_caller_asked_for_is_not_taken_away(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.default = dialect.error(400, message="Unknown parameter: 'store'.")
    with pytest.raises(UnsupportedParameterError, match="store"):
        ask(orchestrate(), way, store=True)
    assert len(server.requests) == 1


# ------------------------------------------------------------------------------- FC6: settings of a client


@pytest.mark.parametrize(
    ("name", "belongs"),
    [
        ("api_key", "entry"),
        ("base_url", "entry"),
        ("extra_body", "arguments"),
        ("extra_query", "base_url"),
        ("headers", "extra_headers"),
        ("num_retries", "max_retries"),
        ("ssl_verify", "http"),
        ("http_client", "Leave it out"),
    ],
)
def test_fc6_a_setting_of_a_client_is_refused_before_sending_and_never_shown(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    dialect: Dialect,
    caplog: pytest.LogCaptureFixture,
    name: str,
    belongs: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    for call in (orchestrate().send_request, orchestrate().send_streaming_request):
        with pytest.raises(InvalidRequestError, match=belongs) as caught:
            call("Hi", **{name: "sk-my-own-secret-key"})
        assert name in str(caught.value)
        assert "sk-my-own-secret-key" not in str(caught.value) + caplog.text
    assert server.requests == []


SPELLINGS = (
    *(
        "apiKey",
        "api-key",
        "API_KEY",
        "x-api-key",
        "XApiKey",
        "OPENAI_API_KEY",
        "Authorization",
        "key",
        "token",
    ),
    *(
        "auth",
        "access_token",
        "azure_ad_token",
        "azure_ad_token_provider",
        "aws_secret_access_key",
        "hf_token",
    ),
    *("aws_access_key_id", "aws_session_token", "vertex_credentials", "clientSecret", "password"),
    *("baseUrl", "Base-URL", "apiBase", "apiVersion", "drop_params", "httpClient", "extraBody", "numRetries"),
)


@pytest.mark.parametrize("name", SPELLINGS)
def test_fc6_a_setting_is_known_in_every_spelling_and_a_credential_by_its_words(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, name: str
) -> None:
    for call in (orchestrate().send_request, orchestrate().send_streaming_request):
        with pytest.raises(InvalidRequestError, match=f"'{name}' is a setting of a client") as caught:
            call("Hi", **{name: "sk-my-own-secret-key"})
        assert "sk-my-own-secret-key" not in str(caught.value)
    with pytest.raises(ConfigurationError, match=name) as refused:
        orchestrate(options={name: "sk-my-own-secret-key"})
    assert "sk-my-own-secret-key" not in str(refused.value)
    assert server.requests == []


@pytest.mark.parametrize(
    "name", ["prompt_cache_key", "pad_token", "stop_token_ids", "min_tokens", "safety_identifier", "metadata"]
)
def test_fc6_fields_of_a_body_that_sound_like_a_credential_are_sent(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, name: str
) -> None:
    server.default = dialect.whole()
    orchestrate().send_request("Hi", **{name: "x"})
    assert server.requests[0].body[name] == "x"


@pytest.mark.parametrize("name", ["system", "system_instruction", "systemInstruction"])
def test_fc6_a_system_option_beside_a_system_message_is_refused(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, name: str
) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    with pytest.raises(InvalidRequestError, match=name):
        ask(orchestrate(), way, turns, **{name: "Be long."})
    conversation = orchestrate().start_conversation(system="Be brief.")
    with pytest.raises(InvalidRequestError, match=name):
        conversation.send("Hi", **{name: "Be long."})
    assert server.requests == []


def test_fc6_a_foreign_name_is_sent_as_it_is_and_said(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(answer(dialect, way))
    (warning,) = ask(orchestrate(), way, max_new_tokens=5).warnings
    assert server.requests[0].body["max_new_tokens"] == 5
    assert warning.startswith("max_new_tokens is not a parameter") and warning.endswith("Use max_tokens.")


# ------------------------------------------------------------------------------- FC13: whole floats


def test_fc13_whole_floats_are_taken(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(answer(dialect, way))
    ask(orchestrate(options={"seed": 7.0, "top_k": "40.0"}), way, max_tokens=50.0, max_retries=2.0)
    asked = dialect.read_request(server.requests[0].body, server.requests[0].path)
    assert asked["max_tokens"] == 50 and type(asked["max_tokens"]) is int
    assert asked["top_k"] in (40, None) and type(asked["top_k"]) is not float


@pytest.mark.parametrize("value", [40.5, float("nan"), float("inf"), True, "40"])
def test_fc13_what_is_not_whole_is_refused(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, value: Any
) -> None:
    with pytest.raises(InvalidRequestError, match="max_tokens is"):
        orchestrate().send_request("Hi", max_tokens=value)
    assert server.requests == []
