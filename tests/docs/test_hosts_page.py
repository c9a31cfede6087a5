"""The page of hosts, line by line: each entry runs against a server that behaves as the page says of its host."""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional
from urllib.parse import urlsplit

import pytest
import yaml
from pydantic import BaseModel

from llm_orchestrator import (
    ConfigurationError,
    ContextLengthError,
    InvalidRequestError,
    LLMOrchestrator,
    LLMResponse,
    OutputParseError,
)
from llm_orchestrator.providers.openai.think_tags import ThinkTags
from tests.support.configs import ROOT
from tests.support.scripted_server import ScriptedServer
from tests.support.scripted_server.connection import Request
from tests.support.scripted_server.replies import Reply, json_reply
from tests.support.scripted_server.wire_base import TRANSPORT
from tests.support.ways import ask

PAGE = (ROOT / "docs" / "hosts.md").read_text(encoding="utf-8")
ENTRIES: Mapping[str, Dict[str, Any]] = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])[
    "providers"
]
COUNTS = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
CITY = '{"name": "Oslo"}'


class City(BaseModel):
    name: str


Host = Callable[[Request], Reply]
Ask = Callable[..., LLMResponse]


def completion(
    request: Request,
    text: Optional[str] = "Hi",
    *,
    usage: Optional[Dict[str, Any]] = COUNTS,
    stream_usage: bool = True,
    last: Optional[Dict[str, Any]] = None,
    **message: Any,
) -> Reply:
    """What a host answers, whole or as a stream; ``last`` is added to the last chunk with a choice."""
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    frame = {"id": "c1", "model": "m", "created": 1}
    if not request.body.get("stream"):
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text, **message},
            "finish_reason": finish,
        }
        return json_reply({**frame, "object": "chat.completion", "choices": [choice], "usage": usage})
    frame["object"] = "chat.completion.chunk"
    half = len(text or "") // 2
    deltas: List[Dict[str, Any]] = [{"role": "assistant", **message}, {"content": (text or "")[:half]}]
    deltas.append({"content": (text or "")[half:]})
    events: List[Any] = [
        {**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    events.append({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}], **(last or {})})
    if stream_usage:
        events.append({**frame, "choices": [], "usage": usage})
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    return Reply(200, {"content-type": "text/event-stream"}, body.encode())


def refusal(status: int, body: Any) -> Reply:
    return json_reply(body, status)


def wants(request: Request) -> Optional[str]:
    """The form in which structured output is asked for."""
    return (request.body.get("response_format") or {}).get("type")


@pytest.fixture
def made() -> Iterator[List[LLMOrchestrator]]:
    orchestrators: List[LLMOrchestrator] = []
    yield orchestrators
    for orchestrator in orchestrators:
        orchestrator.close()


@pytest.fixture
def ask_host(server: ScriptedServer, made: List[LLMOrchestrator], way: str) -> Ask:
    """Asks a host of the page by its entry; ``compat`` replaces what stands there."""

    def run(
        name: str, host: Host, prompt: str = "Hi", compat: Any = None, url: str = "", **arguments: Any
    ) -> LLMResponse:
        server.default = host
        entry = {**ENTRIES[name], "max_retries": 0, "transport": TRANSPORT}
        entry["base_url"] = url or server.url + urlsplit(entry["base_url"]).path
        if "api_key" in entry:
            entry["api_key"] = "sk-not-a-real-key"
        if compat is not None:
            entry["compat"] = compat
        made.append(
            LLMOrchestrator({"active_provider": name, "active_model": "m", "providers": {name: entry}})
        )
        return ask(made[-1], way, prompt, **arguments)

    return run


def test_every_host_of_the_page_has_a_line_and_a_test() -> None:
    lines = re.findall(r"^\| (?!host|key)(\w+(?: \w+)?) \|", PAGE, re.MULTILINE)
    names = [line.lower().replace(" ", "") for line in lines]
    assert [name.partition("-")[0] for name in ENTRIES] == names
    tested = [name for name in globals() if name.startswith("test_")]
    assert all(any(name in test for test in tested) for name in names)


# ------------------------------------------------------------------------------- the hosts


def ollama(request: Request) -> Reply:
    if not request.path.startswith("/v1/"):
        return Reply(404, {"content-type": "text/plain"}, b"404 page not found")
    assert "authorization" not in request.headers or TRANSPORT == "sdk"
    return completion(request, reasoning="Let me see.")


def test_ollama_is_read_with_its_reasoning(ask_host: Ask) -> None:
    response = ask_host("ollama", ollama)
    assert (response.content, response.reasoning) == ("Hi", "Let me see.")


def test_ollama_without_its_path_says_which_address_was_asked(ask_host: Ask, server: ScriptedServer) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"{server.url}/chat/completions")) as caught:
        ask_host("ollama", ollama, url=server.url)
    assert "base_url" in str(caught.value) and "/v1" in str(caught.value)


def thinking_aloud(request: Request) -> Reply:
    tokens = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."
    if "LONG" in json.dumps(request.body["messages"]):
        return refusal(400, {"object": "error", "message": tokens, "type": "BadRequestError", "code": 400})
    return completion(request, f"<think>\nOslo it is.\n</think>\n\n{CITY}")


@pytest.mark.parametrize("name", ["vllm", "lmstudio", "together"])
def test_vllm_and_others_think_in_the_text(ask_host: Ask, name: str) -> None:
    response = ask_host(name, thinking_aloud)
    assert (response.content, response.reasoning) == (CITY, "\nOslo it is.\n")


def test_vllm_without_the_setting_shows_the_tags_but_reads_the_json(ask_host: Ask) -> None:
    response = ask_host("vllm", thinking_aloud, compat={}, response_format=City)
    assert response.content.startswith("<think>") and response.reasoning is None
    assert response.parsed == City(name="Oslo")


def test_vllm_says_that_a_prompt_is_too_long(ask_host: Ask) -> None:
    with pytest.raises(ContextLengthError):
        ask_host("vllm", thinking_aloud, "LONG")


def lmstudio(request: Request) -> Reply:
    if wants(request) == "json_object":
        return refusal(400, {"error": "'response_format.type' must be 'json_schema' or 'text'"})
    return completion(request, CITY)


def test_lmstudio_takes_classes_and_its_errors_are_read(ask_host: Ask) -> None:
    assert ask_host("lmstudio", lmstudio, response_format=City).parsed == City(name="Oslo")
    with pytest.raises(InvalidRequestError, match="must be 'json_schema' or 'text'"):
        ask_host("lmstudio", lmstudio, response_format={"type": "json_object"})


def test_openrouter_says_what_it_charges(ask_host: Ask) -> None:
    response = ask_host("openrouter", lambda request: completion(request, usage={**COUNTS, "cost": 0.00042}))
    assert response.cost is None
    assert response.cost_details is not None and str(response.cost_details.reported_cost) == "0.00042"


def groq(request: Request) -> Reply:
    if wants(request) == "json_schema":
        return refusal(
            400, {"error": {"message": "This model does not support response format `json_schema`."}}
        )
    if wants(request) == "json_object":
        assert '"name"' in request.body["messages"][0]["content"], "the schema stands in the prompt"
    return completion(request, CITY, stream_usage=False, last={"x_groq": {"id": "r", "usage": COUNTS}})


def test_groq_is_given_the_schema_in_the_prompt_and_its_usage_is_read(ask_host: Ask) -> None:
    response = ask_host("groq", groq, response_format=City)
    assert response.parsed == City(name="Oslo")
    assert response.tokens_used == {"prompt": 10, "completion": 5, "total": 15}
    with pytest.raises(InvalidRequestError):
        ask_host("groq", groq, compat={}, response_format=City)


def mistral(request: Request) -> Reply:
    if "stream_options" in request.body:
        fault = {
            "type": "extra_forbidden",
            "loc": ["body", "stream_options"],
            "msg": "Extra inputs are not permitted",
        }
        return refusal(
            422, {"object": "error", "message": {"detail": [fault]}, "type": "invalid_request_error"}
        )
    return completion(request)


def test_mistral_is_not_asked_for_usage(ask_host: Ask, server: ScriptedServer) -> None:
    response = ask_host("mistral", mistral)
    assert response.tokens_used["total"] == 15 and len(server.requests) == 1


def test_mistral_without_the_setting_costs_one_request(
    ask_host: Ask, server: ScriptedServer, made: List[LLMOrchestrator], way: str
) -> None:
    assert ask_host("mistral", mistral, compat={}).tokens_used["total"] == 15
    before = len(server.requests)
    assert before == (2 if "streamed" in way else 1)
    assert ask(made[-1], way).warnings == ()
    assert len(server.requests) == before + 1, "what was learned is not asked again"


def deepseek(request: Request) -> Reply:
    if wants(request) is not None:
        return refusal(400, {"error": {"message": "This response_format type is unavailable now"}})
    usage = {**COUNTS, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6}
    if not request.body.get("tools"):
        return completion(request, usage=usage, reasoning_content="Hm.")
    call = {
        "index": 0,
        "id": "t",
        "type": "function",
        "function": {"name": "structured_output", "arguments": CITY},
    }
    return completion(request, None, usage=usage, tool_calls=[call])


def test_deepseek_answers_by_a_tool_and_its_cache_is_read(ask_host: Ask) -> None:
    response = ask_host("deepseek", deepseek, response_format=City)
    assert (response.parsed, response.content, response.tool_calls) == (City(name="Oslo"), CITY, ())
    assert (response.finish_reason, response.usage.cached_tokens) == ("stop", 4)
    with pytest.raises(InvalidRequestError):
        ask_host("deepseek", deepseek, compat={}, response_format=City)


def xai(request: Request) -> Reply:
    if "presence_penalty" in request.body:
        words = "Model m does not support parameter presencePenalty."
        return refusal(400, {"code": "Client specified an invalid argument", "error": words})
    details = {"completion_tokens_details": {"reasoning_tokens": 7}}
    return completion(request, usage={**COUNTS, "total_tokens": 22, **details})


def test_xai_counts_reasoning_beside_the_answer_and_takes_no_penalties(ask_host: Ask) -> None:
    response = ask_host("xai", xai, presence_penalty=0.5)
    assert response.tokens_used == {"prompt": 10, "completion": 12, "total": 22}
    assert response.usage.reasoning_tokens == 7
    assert response.warnings == ("presence_penalty was left out: m rejects it.",)


def together(request: Request) -> Reply:
    words = "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 5000 `inputs` tokens"
    return refusal(422, {"error": {"message": words, "type": "invalid_request_error", "code": None}})


def test_together_says_that_a_prompt_is_too_long(ask_host: Ask) -> None:
    with pytest.raises(ContextLengthError):
        ask_host("together", together)


def azure(request: Request) -> Reply:
    if "max_tokens" in request.body:
        words = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
        return refusal(
            400, {"error": {"message": words, "code": "unsupported_parameter", "param": "max_tokens"}}
        )
    assert request.body["max_completion_tokens"] == 50
    return completion(request)


def test_azure_gets_the_name_it_knows(ask_host: Ask) -> None:
    assert ask_host("azure-foundry", azure, max_tokens=50).content == "Hi"
    with pytest.raises(InvalidRequestError):
        ask_host("azure-foundry", azure, compat={}, max_tokens=50)


def test_a_schema_that_the_answer_does_not_fit_is_still_an_error(ask_host: Ask) -> None:
    with pytest.raises(OutputParseError):
        ask_host("groq", lambda request: completion(request, '{"town": "Oslo"}'), response_format=City)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(
    ("text", "content", "reasoning"),
    [
        ("<think>a<b</think>\n\nHi </think> there", "Hi </think> there", "a<b"),
        ("  <thinking>a</thinking>b", "b", "a"),
        ("<think>never closed", "", "never closed"),
        ("<thi", "<thi", None),
        ("<think>", "", None),
        ("no tags <think>x</think>", "no tags <think>x</think>", None),
        ("<think></think>x", "x", None),
    ],
)
def test_think_tags_are_found_however_a_stream_is_cut(
    text: str, content: str, reasoning: Optional[str], size: int
) -> None:
    streamed, whole = ThinkTags(), ThinkTags()
    pieces = [streamed.feed(text[start : start + size]) for start in range(0, len(text), size)]
    pieces.append(streamed.end())
    assert "".join(piece.text for piece in pieces) == content
    assert ("".join(piece.reasoning for piece in pieces) or None) == reasoning
    assert [whole.feed(text).text + whole.end().text] == [content]


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{CITY}\n```",
        f"```\n{CITY}```",
        f"Here it is:\n```json\n{CITY}\n```\nDone.",
        f"<think>Is it {{}}?</think>\n```JSON\r\n{CITY}\r\n```",
        f"I think.</think>{CITY}",
        f"\ufeff{CITY}",
    ],
)
def test_json_in_a_fence_or_behind_reasoning_is_read(ask_host: Ask, text: str) -> None:
    response = ask_host("groq", lambda request: completion(request, text), response_format=City)
    assert (response.parsed, response.content) == (City(name="Oslo"), text)


@pytest.mark.parametrize("text", ["", "No.", "```json\n{\n```", f"```\n{CITY}\n```\n```\n{CITY}\n```"])
def test_what_holds_no_json_is_still_an_error(ask_host: Ask, text: str) -> None:
    with pytest.raises(OutputParseError):
        ask_host("groq", lambda request: completion(request, text), response_format=City)


@pytest.mark.parametrize("adapter", ["anthropic", "gemini", "vertex"])
def test_compat_of_an_entry_that_does_not_speak_the_protocol_is_refused(adapter: str) -> None:
    entry = {"adapter": adapter, "api_key": "x" * 20, "compat": {"think_tags": True}}
    config = {"active_provider": "host", "active_model": "m", "providers": {"host": entry}}
    with pytest.raises(
        ConfigurationError, match="providers.host.compat: .*Remove it, or set `adapter: openai`"
    ):
        LLMOrchestrator(config)


def test_a_mistyped_key_of_compat_is_suggested_from_its_own_keys() -> None:
    entry = {"adapter": "openai", "base_url": "http://host/v1", "compat": {"think_tag": True}}
    config = {"active_provider": "host", "active_model": "m", "providers": {"host": entry}}
    with pytest.raises(ConfigurationError, match="Did you mean 'think_tags'"):
        LLMOrchestrator(config)


def test_the_output_tool_stands_beside_tools_of_the_call_and_leaves_no_trace_in_a_conversation(
    server: ScriptedServer,
) -> None:
    def clock() -> str:
        """What time it is."""
        return "noon"

    server.default = deepseek
    entry = {**ENTRIES["deepseek"], "base_url": server.url + "/v1", "api_key": "sk-not-a-real-key"}
    config = {
        "active_provider": "d",
        "active_model": "m",
        "providers": {"d": {**entry, "transport": TRANSPORT}},
    }
    with LLMOrchestrator(config) as orchestrator:
        conversation = orchestrator.start_conversation()
        conversation.send("One?", tools=[clock], response_format=City)
        assert conversation.send("Two?", response_format=City).parsed == City(name="Oslo")

    first, second = (request.body for request in server.requests)
    assert [tool["function"]["name"] for tool in first["tools"]] == ["clock", "structured_output"]
    assert first["tool_choice"] == "required"
    assert second["messages"][1] == {"role": "assistant", "content": CITY}
