"""FF1 to FF15: what newcomers stumble over is refused in time, named, and said in words that help."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

import pytest
from pydantic import BaseModel

from llm_orchestrator import (
    ConfigurationError,
    InvalidMessagesError,
    InvalidRequestError,
    LLMOrchestrator,
    OutputParseError,
)
from llm_orchestrator.exceptions import ModelNotFoundError
from llm_orchestrator.providers.local_adapter import LocalAdapter
from llm_orchestrator.testing import FakeProvider, FakeReply
from llm_orchestrator.types import LLMRequest, Message
from tests.support.fixtures import Orchestrate
from tests.support.money import answer
from tests.support.scripted_server import Dialect, ScriptedServer
from tests.support.ways import ask


def faked(*script: Any, name: str = "fake", **settings: Any) -> LLMOrchestrator:
    config = {"active_provider": name, "active_model": "m", "providers": {}, **settings}
    return LLMOrchestrator(config, providers={name: FakeProvider(list(script) or ["Hi."])})


def entry(**settings: Any) -> Dict[str, Any]:
    return {
        "active_provider": "openai",
        "active_model": "m",
        "providers": {"openai": {"api_key": "a-key", **settings}},
    }


def test_ff1_a_provider_takes_the_name_it_is_given_under() -> None:
    response = faked("x", name="openai").send_request("Hi")
    assert (response.content, response.provider) == ("x", "openai")


@pytest.mark.parametrize(
    "call",
    [
        ("weather", {"city": "Rome"}),
        {"name": "weather", "arguments": {"city": "Rome"}},
        {"name": "weather", "arguments": '{"city": "Rome"}', "id": "call_1"},
        {"type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}},
    ],
)
@pytest.mark.parametrize("way", ["whole", "streamed", "async whole", "async streamed"])
def test_ff2_a_script_writes_tool_calls_as_it_likes(call: Any, way: str) -> None:
    response = ask(faked(FakeReply(tool_calls=[call])), way)
    (found,) = response.tool_calls
    assert (found.id, found.name, found.arguments) == ("call_1", "weather", {"city": "Rome"})


@pytest.mark.parametrize(
    "calls",
    [["weather"], ("weather", {"city": "Rome"}), [{"nam": "weather"}], [("weather",)], {"name": "w"}, 5],
)
def test_ff2_another_form_is_refused_with_the_right_ones(calls: Any) -> None:
    with pytest.raises(TypeError, match=r"is not a tool call\. Pass a list of ToolCall objects"):
        FakeReply(tool_calls=calls)


def test_ff2_tags_stand_in_the_requests_of_a_fake() -> None:
    provider = FakeProvider()
    config = {"active_provider": "fake", "active_model": "m"}
    orchestrator = LLMOrchestrator(config, providers={"fake": provider})
    orchestrator.send_request("Hi", tags={"customer": "acme"})
    assert provider.requests[0].tags == {"customer": "acme"}


PLACEHOLDERS = {
    "$OPENAI_API_KEY": r"\$\{OPENAI_API_KEY\}",
    "{{ MY_KEY }}": r"\$\{MY_KEY\}",
    "{{MY_KEY}}": r"\$\{MY_KEY\}",
    "$env:MY_KEY": r"\$\{MY_KEY\}",
    "env:MY_KEY": r"\$\{MY_KEY\}",
    "os.environ/MY_KEY": r"\$\{MY_KEY\}",
    "{MY_KEY}": r"\$\{MY_KEY\}",
    "%MY_KEY%": r"\$\{MY_KEY\}",
    "<your key>": r"\$\{NAME\}",
    "'sk-abc'": "quotes inside",
    '"sk-abc"': "quotes inside",
}


@pytest.mark.parametrize("written", PLACEHOLDERS)
@pytest.mark.parametrize("place", ["api_key", "base_url", "headers"])
def test_ff3_what_nothing_replaces_is_refused_with_the_right_form(written: str, place: str) -> None:
    value = {"X-Key": written} if place == "headers" else written
    with pytest.raises(ConfigurationError, match=f"providers.openai.{place}: .*{PLACEHOLDERS[written]}"):
        LLMOrchestrator(entry(**{place: value}))


@pytest.mark.parametrize("written", ["Bearer sk-abcdefgh", "bearer sk-abcdefgh"])
def test_ff3_a_key_is_written_without_its_scheme(written: str) -> None:
    with pytest.raises(ConfigurationError, match="begins with `Bearer`.*the key alone") as caught:
        LLMOrchestrator(entry(api_key=written))
    assert "sk-abcdefgh" not in str(caught.value)


FILES = {
    "providers:\n  openai:\n    api_key: k\nactive_provider: openai\nactive_model: 4.1\n": (
        'line 5: active_model: should be a string. Put it in quotes: "4.1"'
    ),
    "providers:\n  openai:\n    api_key: k\nactive_provider: openai\nactive_model: on\n": (
        "line 5: active_model: should be a string. Put it in quotes."
    ),
    "active_provider: openai\nactive_model: m\nproviders:\n  openai:\n    fallback_models: gpt-5\n": (
        r"line 5: providers.openai.fallback_models: should be a list. Put it in brackets: \[gpt-5\]"
    ),
    "active_provider: openai\nactive_model: m\nproviders:\n\topenai:\n\t\tapi_key: k\n": (
        "line 4, column 1: the line is indented with a tab. Use spaces"
    ),
    "active_provider: openai\nactive_model: m\nproviders: {openai: {api_key: k, timout: 3}}\n": (
        "line 3: providers.openai.timout: unknown key. Did you mean 'timeout'"
    ),
}


@pytest.mark.parametrize("text", FILES)
def test_ff5_a_mistake_in_a_file_is_named_by_line_key_and_right_form(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=FILES[text]):
        LLMOrchestrator(tmp_path / "config.yaml")


@pytest.mark.parametrize("content", [None, ""])
def test_ff6_a_missing_file_names_a_command_that_is_there(content: Any, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match="llm-orchestrator init"):
        LLMOrchestrator(file)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_retries": True}, "max_retries: is true or false"),
        ({"timeout": True}, "timeout: is true or false"),
        ({"max_retry_wait": False}, "max_retry_wait: is true or false"),
        ({"http": {"keep_alive": True}}, "keep_alive: is true or false"),
        ({"max_retries": 1001}, "max_retries: should be less than or equal to 1000"),
        ({"fallback_models": ["m"]}, "active_model: 'm' is also a fallback model"),
    ],
)
def test_ff7_numbers_and_fallbacks_that_cannot_be_meant_are_refused(
    settings: Dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        LLMOrchestrator(entry(**settings))


@pytest.mark.parametrize(
    "section",
    [{"stale_after_days": True}, {"rotate_mb": True}, {"discount": True}, {"budget": {"day": True}}],
)
def test_ff7_numbers_of_the_ledger_are_no_switches(section: Dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="is true or false"):
        LLMOrchestrator({**entry(), "cost_tracking": section})


class Address(BaseModel):
    city: str


class Person(BaseModel):
    name: str
    age: int
    address: Address


def test_ff8_an_output_that_does_not_fit_names_its_fields() -> None:
    orchestrator = faked('{"name": "Ada", "age": "old", "address": {}}')
    with pytest.raises(OutputParseError, match=r"age: .*integer.*; address\.city: Field required") as caught:
        orchestrator.send_request("Hi", response_format=Person)
    assert caught.value.response.content.startswith('{"name"')


def test_ff8_what_is_no_json_says_so() -> None:
    with pytest.raises(OutputParseError, match="Invalid JSON"):
        faked("Sure! Here it is.").send_request("Hi", response_format=Person)


def test_ff9_a_near_miss_warns_and_is_sent_as_asked(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    if dialect.name in ("anthropic", "gemini"):
        pytest.skip("has forms of its own for an effort")
    server.default = dialect.whole()
    response = orchestrate().send_request("Hi", reasoning_effort="hihg")
    assert any("'hihg' was sent as it is. Did you mean 'high'?" in text for text in response.warnings)
    assert "hihg" in str(server.requests[0].body)


@pytest.mark.parametrize("effort", ["high", "none", "xhigh", "a-word-of-tomorrow"])
def test_ff9_words_that_are_known_or_far_off_do_not_warn(effort: str) -> None:
    assert faked().send_request("Hi", reasoning_effort=effort).warnings == ()


@pytest.mark.parametrize("prompt", ["", "  \n\t"])
def test_ff12_an_empty_prompt_is_refused_before_anything_is_sent(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, prompt: str
) -> None:
    with pytest.raises(InvalidMessagesError, match="messages is empty"):
        ask(orchestrate(), way, prompt)
    with pytest.raises(InvalidMessagesError, match="messages is empty"):
        orchestrate().start_conversation("System.").send(prompt)
    assert server.requests == []


def test_ff12_an_empty_turn_beside_a_system_prompt_is_sent(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    """The system prompt may hold the whole task. Anthropic alone refuses such a turn, and so do we."""
    server.default = dialect.whole()
    turns = [{"role": "system", "content": "Write."}, {"role": "user", "content": ""}]
    if dialect.name == "anthropic":
        with pytest.raises(InvalidMessagesError, match=r"messages\[1\] is empty"):
            orchestrate().send_request(turns)
    else:
        orchestrate().send_request(turns)
    assert len(server.requests) == (0 if dialect.name == "anthropic" else 1)


@pytest.mark.parametrize("content", ["", " \n", [{"type": "text", "text": ""}]])
def test_ff12_messages_that_all_are_empty_are_sent_where_they_are_taken(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, content: Any
) -> None:
    """OpenAI and Gemini answer them, as recorded; who passes a list of messages may mean it."""
    turns = [{"role": "user", "content": content}]
    if dialect.name == "anthropic":
        with pytest.raises(InvalidMessagesError, match=r"messages\[0\] is empty"):
            ask(orchestrate(), way, turns)
    else:
        server.script(answer(dialect, way))
        assert ask(orchestrate(), way, turns).content
    assert len(server.requests) == (0 if dialect.name == "anthropic" else 1)


def test_ff12_a_question_of_an_image_alone_is_one(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = dialect.whole()
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    orchestrate().send_request([{"role": "user", "content": [picture]}])
    assert len(server.requests) == 1


@pytest.mark.parametrize("retries", [1001, 5000])
def test_ff7_a_call_has_no_more_retries_than_an_entry(retries: int) -> None:
    with pytest.raises(InvalidRequestError, match="at most 1000"):
        faked().send_request("Hi", max_retries=retries)


def test_ff13_the_local_provider_knows_one_name() -> None:
    adapter = LocalAdapter("local", model_path="models/smol.gguf")
    with pytest.raises(ModelNotFoundError, match="runs one model, 'smol'"):
        adapter.build_request(LLMRequest("gpt-5", (Message("user", "Hi"),)), stream=False)
    named = LocalAdapter("local", model_path="models/smol.gguf", configured_models=("mine",))
    for asked, name in ((adapter, "smol"), (named, "smol"), (named, "mine")):
        assert asked.build_request(LLMRequest(name, (Message("user", "Hi"),)), stream=False).body


def test_ff14_a_printed_answer_is_short() -> None:
    text = str(faked("word " * 5000).send_request("Hi"))
    assert len(text) <= 200 and text.startswith("'word word") and "fake/m, stop" in text
    assert "unknown" in text, "its cost"
