"""Prompt caching: what ``cache`` asks of each provider, and what the cached tokens save."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Dict, List

import pytest

from llm_orchestrator import ConfigurationError, InvalidMessagesError, InvalidRequestError
from llm_orchestrator.providers.openai_adapter import OpenAIAdapter
from llm_orchestrator.types import LLMRequest, Message
from tests.support.fixtures import Orchestrate
from tests.support.marks import anthropic, responses
from tests.support.money import Spend, answer, price
from tests.support.scripted_server import Dialect, ScriptedServer, Usage
from tests.support.scripted_server.replies import json_reply
from tests.support.scripted_server.wire_base import Answer
from tests.support.ways import ask

TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
OPENAI = pytest.mark.parametrize("dialect", ["chat", "responses"], indirect=True)


def cache_fields(body: Dict[str, Any]) -> Dict[str, Any]:
    return {name: value for name, value in body.items() if "cache" in name.lower()}


def conversation(*texts: str, system: str = "") -> List[Dict[str, str]]:
    """Turns of user and assistant in alternation, after a system message."""
    front = [{"role": "system", "content": system}] if system else []
    turns = [
        {"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(texts)
    ]
    return front + turns


@pytest.mark.parametrize("cache", ["auto", None])
def test_each_provider_is_asked_in_its_own_way(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, cache: Any
) -> None:
    response = ask(orchestrate(), way, cache=cache)

    fields = cache_fields(server.requests[0].body)
    if cache is None or dialect.name == "gemini":
        assert fields == {}
    elif dialect.name == "anthropic":
        assert fields == {"cache_control": {"type": "ephemeral"}}
    else:
        assert list(fields) == ["prompt_cache_key"] and len(fields["prompt_cache_key"]) == 32
    assert response.warnings == ()


#: What switches the cache off, where anything has to.
OFF = {"responses": {"prompt_cache_options": {"mode": "explicit"}}}


def test_off_says_where_it_cannot_be_turned_off(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    response = ask(orchestrate(), way, cache="off")

    assert cache_fields(server.requests[0].body) == OFF.get(dialect.name, {})
    expected = ["cache='off' was not sent"] if dialect.name in ("chat", "gemini") else []
    assert [warning.partition(":")[0] for warning in response.warnings] == expected


def test_the_entry_can_ask_for_it_and_a_call_not_to(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    orchestrator = orchestrate(options={"cache": "auto"})
    orchestrator.send_request("Hi")
    orchestrator.send_request("Hi", cache="off")

    first, second = (cache_fields(request.body) for request in server.requests)
    assert bool(first) is (dialect.name != "gemini")
    assert second == OFF.get(dialect.name, {})


def test_yaml_reads_off_as_false(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> None:
    response = orchestrate(options={"cache": False}).send_request("Hi")

    assert cache_fields(server.requests[0].body) == OFF.get(dialect.name, {})
    assert bool(response.warnings) is (dialect.name in ("chat", "gemini"))


@pytest.mark.parametrize("options", [{"cache": "yes"}, {"cache": True}, {"reasoning_effort": 5}])
def test_an_option_that_says_nothing_is_refused(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, options: Dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match=f"The option {next(iter(options))} is"):
        orchestrate(options=options)

    assert server.requests == []


def keys(orchestrate: Orchestrate, server: ScriptedServer, *calls: Dict[str, Any]) -> List[str]:
    with orchestrate() as orchestrator:
        for call in calls:
            orchestrator.send_request(**call, cache="auto")
    return [request.body["prompt_cache_key"] for request in server.requests]


@OPENAI
def test_prompts_that_begin_alike_have_the_same_key(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    found = keys(
        orchestrate,
        server,
        {"messages": conversation("A", system="Long.")},
        {"messages": conversation("B", system="Long.")},
        {"messages": conversation("A", "B", "C", system="Long.")},
    )
    assert len(set(found)) == 1


@OPENAI
def test_a_conversation_without_a_system_message_keeps_its_key(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    found = keys(
        orchestrate, server, {"messages": conversation("A")}, {"messages": conversation("A", "B", "C")}
    )
    assert len(set(found)) == 1


@OPENAI
def test_other_prompts_have_other_keys(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    found = keys(
        orchestrate,
        server,
        {"messages": conversation("A", system="One.")},
        {"messages": conversation("A", system="Two.")},
        {"messages": conversation("A", system="One."), "tools": [TOOL]},
        {"messages": conversation("B")},
    )
    assert len(set(found)) == 4


@OPENAI
def test_a_key_of_ones_own_counts(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> None:
    orchestrate().send_request("Hi", cache="auto", prompt_cache_key="mine")
    assert server.requests[0].body["prompt_cache_key"] == "mine"


def test_cached_tokens_are_seen_and_cost_less(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    writes = dialect.name != "gemini"  # Gemini tells nothing of what it writes
    server.script(
        answer(dialect, way, usage=Usage(2000, 10, cached=0, cache_write=1900 if writes else None)),
        answer(dialect, way, usage=Usage(2100, 10, cached=1900)),
    )
    orchestrator = spend(**price(dialect))

    first = ask(orchestrator, way, cache="auto")
    second = ask(orchestrator, way, cache="auto")

    assert second.usage.cached_tokens == 1900
    assert first.usage.cache_write_tokens == (1900 if writes else None)
    assert second.cost == (200 * Decimal(3) + 1900 * Decimal("0.3") + 10 * Decimal(15)) / 1_000_000
    assert second.cost_details is not None and second.cost_details.cache_read == Decimal("0.00057")


# ---------------------------------------------------------------- an hour, and marks of parts

HOUR = {
    "anthropic": {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
    "responses": {"prompt_cache_options": {"ttl": "12h"}},
}


def test_fc16_an_hour_is_asked_for_where_it_can_be(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    response = ask(orchestrate(), way, cache="1h")

    fields = cache_fields(server.requests[0].body)
    key = fields.pop("prompt_cache_key", None)
    assert fields == HOUR.get(dialect.name, {})
    assert (key is not None) is (dialect.provider == "openai")
    said = {"chat": "cache='1h' was sent as 'auto'", "gemini": "cache='1h' was not sent"}
    expected = [said[dialect.name]] if dialect.name in said else []
    assert [warning.partition(":")[0] for warning in response.warnings] == expected


MARKED = [
    {
        "role": "system",
        "content": [
            {"type": "text", "text": "Long.", "cache": "1h"},
            {"type": "text", "text": "Short."},
        ],
    },
    {"role": "user", "content": [{"type": "text", "text": "Hi", "cache": "auto"}]},
]


def marks(body: Any) -> List[Any]:
    """What stands in the parts of a request about the cache, in order."""
    if isinstance(body, dict):
        found = [value for name, value in body.items() if "cache" in name and name != "prompt_cache_key"]
        return found + [mark for value in body.values() for mark in marks(value)]
    return [mark for value in body for mark in marks(value)] if isinstance(body, list) else []


def test_fc16_marks_of_parts_are_written_in_the_providers_words(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    response = ask(orchestrate(), way, MARKED)

    body = server.requests[0].body
    expected = {
        "anthropic": [{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}],
        "responses": [{"mode": "explicit", "ttl": "12h"}, {"mode": "explicit"}],
    }
    assert sorted(map(str, marks(body))) == sorted(map(str, expected.get(dialect.name, [])))
    assert dialect.read_request(body, server.requests[0].path)["messages"][-1] == ("user", "Hi")
    assert response.warnings == ()
    assert MARKED[1]["content"][0]["cache"] == "auto", "the application's messages are its own"  # type: ignore[index]


def test_fc16_a_mark_that_says_nothing_is_refused(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    content = [{"type": "text", "text": "Hi", "cache": "5m"}]
    with pytest.raises(
        InvalidMessagesError, match=r"messages\[0\] has a part with cache: '5m'. Use auto or 1h"
    ):
        ask(orchestrate(), way, [{"role": "user", "content": content}])
    assert server.requests == []


@responses
@pytest.mark.parametrize(
    "asked", [{"cache": "1h"}, {"cache": "off"}, {"messages": MARKED}], ids=["an hour", "off", "marks"]
)
def test_fc16_a_model_that_takes_no_options_is_asked_without_them(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, asked: Any
) -> None:
    field = "prompt_cache_options" if "cache" in asked else "input[0].content[0].prompt_cache_breakpoint"
    message = f"Unknown parameter: '{field}'."
    server.script(dialect.error(400, "unknown_parameter", message, parameter=field))
    orchestrator = orchestrate()

    first, second = (ask(orchestrator, way, **asked) for _ in range(2))

    assert len(server.requests) == 3, "the second call knows it"
    assert [marks(request.body) for request in server.requests[1:]] == [[], []]
    for response in (first, second):
        assert [warning for warning in response.warnings if "rejects prompt_cache_options" in warning]
    assert [attempt.error for attempt in first.attempts] == ["UnsupportedParameterError", None]


@responses
def test_fc16_options_of_ones_own_are_merged_and_kept(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    orchestrate().send_request("Hi", cache="1h", prompt_cache_options={"mode": "explicit"})
    assert server.requests[0].body["prompt_cache_options"] == {"ttl": "12h", "mode": "explicit"}


def test_fc16_openais_chat_takes_options_and_no_longer_lifetime() -> None:
    """SDK: ``ttl`` of Chat's ``PromptCacheOptions`` is 30m alone."""
    adapter = OpenAIAdapter("openai", api_key="k", api="chat")
    sent = {}
    for cache in ("auto", "1h", "off"):
        wire = adapter.build_request(LLMRequest("m", (Message("user", "Hi"),), cache=cache), stream=False)
        fields = cache_fields(wire.body)
        sent[cache] = (bool(fields.pop("prompt_cache_key", None)), fields, len(wire.warnings))
    assert sent == {
        "auto": (True, {}, 0),
        "1h": (True, {}, 1),
        "off": (False, {"prompt_cache_options": {"mode": "explicit"}}, 0),
    }


# ---------------------------------------------------------------- why it was missed

MISSES = {
    "anthropic": [
        ({"diagnostics": {"cache_miss_reason": {"type": "tools_changed"}}}, "tools_changed"),
        ({"diagnostics": {"cache_miss_reason": None}}, None),
        ({"diagnostics": None}, None),
    ],
    "responses": [
        ({"prompt_cache_diagnostics": {"type": "cache_miss", "reason": "tools_changed"}}, "tools_changed"),
        ({"prompt_cache_diagnostics": {"type": "unavailable"}}, "unavailable"),
        ({"prompt_cache_diagnostics": {"type": "cache_hit"}}, None),
        ({"prompt_cache_diagnostics": "odd"}, None),
    ],
}


@pytest.mark.parametrize(
    ("dialect", "fields", "reason"),
    [(name, *case) for name, cases in MISSES.items() for case in cases],
    indirect=["dialect"],
)
def test_fc16_the_reason_of_a_miss_is_a_field(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, fields: Any, reason: Any
) -> None:
    answered = Answer(("Hi!",))
    document = {**dialect.document(answered), **fields}
    events = [with_fields(event, fields) for event in dialect.events(answered, complete=True)]
    server.script(dialect._stream_reply(events, "awkward") if "streamed" in way else json_reply(document))

    assert ask(orchestrate(), way).cache_miss_reason == reason


def with_fields(event: Any, fields: Dict[str, Any]) -> Any:
    """The event of a stream with the fields in the message that it begins, or the response that it ends."""
    place = {"message_start": "message", "response.completed": "response"}.get(event.get("type", ""))
    return event if place is None else {**event, place: {**event[place], **fields}}


# ---------------------------------------------------------------- system messages in their places


@anthropic
@pytest.mark.parametrize(
    "message",
    [
        "role 'system' is not supported on this model",
        'Unexpected role "system". Allowed roles are "user" or "assistant".',
        "messages.1.role: Input should be 'user' or 'assistant'",
    ],
)
def test_fc16_a_model_that_takes_system_messages_only_at_the_top_is_learned(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, message: str
) -> None:
    orchestrator = orchestrate(on_unsupported_parameter="error")
    messages = [{"role": "user", "content": "Hi"}, {"role": "system", "content": "Rhyme."}]
    server.script(dialect.error(400, "invalid_request_error", message))

    first, second = (ask(orchestrator, way, messages) for _ in range(2))

    refused, *sent = [request.body for request in server.requests]
    assert [turn["role"] for turn in refused["messages"]] == ["user", "system"] and "system" not in refused
    assert [(body["system"], [turn["role"] for turn in body["messages"]]) for body in sent] == [
        ("Rhyme.", ["user"])
    ] * 2
    for response in (first, second):
        assert ["moved to the front" in warning for warning in response.warnings] == [True]


@anthropic
def test_fc16_a_refusal_of_something_else_keeps_the_system_message(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    message = "role 'system' is not supported on this model"
    server.default = dialect.error(400, "invalid_request_error", message)
    with pytest.raises(InvalidRequestError):
        ask(orchestrate(), way, [{"role": "system", "content": "Rhyme."}, {"role": "user", "content": "Hi"}])
    assert [request.body["system"] for request in server.requests] == ["Rhyme."]
