"""Prompt caching: what ``cache`` asks of each provider, and what the cached tokens save."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Dict, List

import pytest

from llm_orchestrator import ConfigurationError
from tests.support.fixtures import Orchestrate
from tests.support.money import Spend, answer, price
from tests.support.scripted_server import Dialect, ScriptedServer, Usage
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


def test_off_says_where_it_cannot_be_turned_off(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    response = ask(orchestrate(), way, cache="off")

    assert cache_fields(server.requests[0].body) == {}
    expected = [] if dialect.name == "anthropic" else ["cache='off' was not sent"]
    assert [warning.partition(":")[0] for warning in response.warnings] == expected


def test_the_entry_can_ask_for_it_and_a_call_not_to(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    orchestrator = orchestrate(options={"cache": "auto"})
    orchestrator.send_request("Hi")
    orchestrator.send_request("Hi", cache="off")

    first, second = (cache_fields(request.body) for request in server.requests)
    assert bool(first) is (dialect.name != "gemini")
    assert second == {}


def test_yaml_reads_off_as_false(orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect) -> None:
    response = orchestrate(options={"cache": False}).send_request("Hi")

    assert cache_fields(server.requests[0].body) == {}
    assert bool(response.warnings) is (dialect.name != "anthropic")


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
