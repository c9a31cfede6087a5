"""Gemini through google-generativeai, the deprecated SDK, against the scripted server: what works, what cannot."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest

from llm_orchestrator import (
    AuthenticationError,
    ConfigurationError,
    FinishReason,
    InvalidRequestError,
    InvalidResponseError,
    LLMOrchestrator,
    ModelNotFoundError,
    OverloadedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    StreamInterruptedError,
)
from llm_orchestrator.providers.gemini_legacy.adapter import GeminiLegacyAdapter
from llm_orchestrator.providers.gemini_legacy.schema import legacy_schema
from tests.support.configs import ROOT
from tests.support.scripted_server import (
    DIALECTS,
    KEY,
    MODEL,
    Call,
    Reply,
    Reset,
    ScriptedServer,
    Stall,
    Usage,
    refusing_url,
)
from tests.support.scripted_server.replies import broken_json, html, json_reply, redirect
from tests.support.ways import ask

GEMINI = DIALECTS["gemini"]

#: The SDK sends enumerations by number.
STRING, INTEGER = 1, 3
HI = [{"role": "user", "content": "Hi"}]

Orchestrate = Callable[..., LLMOrchestrator]


@pytest.fixture(scope="module", autouse=True)
def sdk(vendor_sdks: None) -> None:
    """Import the SDK once, and pay for its first call: neither belongs to a single test."""
    importlib.import_module("google.ai.generativelanguage_v1beta")
    with pytest.raises(ProviderConnectionError), refusing_url() as url:
        configured(url).send_request("Hi")


def configured(url: str, **entry: Any) -> LLMOrchestrator:
    settings = {"adapter": "gemini-legacy", "api_key": KEY, "base_url": url, "max_retries": 0, **entry}
    return LLMOrchestrator(
        {"active_provider": "gemini", "active_model": MODEL, "providers": {"gemini": settings}}
    )


@pytest.fixture
def legacy(server: ScriptedServer, tmp_path: Any) -> Iterator[Orchestrate]:
    """Makes orchestrators on the old SDK."""
    made: List[LLMOrchestrator] = []

    def make(url: Optional[str] = None, **entry: Any) -> LLMOrchestrator:
        made.append(configured(url or server.url, **entry))
        return made[-1]

    yield make
    for orchestrator in made:
        orchestrator.close()


def array(stream: Reply) -> Reply:
    """A stream as the old SDK asks for it: one JSON array instead of server-sent events."""
    lines = stream.content().decode().splitlines()
    events = [line[len("data: ") :] for line in lines if line.startswith("data: ")]
    pieces = [("[" if number == 0 else ",\r\n") + event for number, event in enumerate(events)]
    chunks = tuple(piece.encode() for piece in [*pieces, "]"])
    return Reply(headers={"content-type": "application/json; charset=UTF-8"}, chunks=chunks)


def answer(way: str, text: str = "Hello, world.", **keywords: Any) -> Reply:
    if "streamed" not in way:
        return GEMINI.whole(text, **keywords)
    middle = len(text) // 2
    return array(GEMINI.stream([piece for piece in (text[:middle], text[middle:]) if piece], **keywords))


# ---------------------------------------------------------------- what works


def test_an_answer(legacy: Orchestrate, server: ScriptedServer, way: str) -> None:
    usage = Usage(prompt=1000, completion=200, cached=100)
    server.script(answer(way, "Grüße, 世界 🌍!", usage=usage, model="gemini-2.5-flash", finish="length"))
    orchestrator = legacy(headers={"x-team": "blue"})

    response = ask(orchestrator, way, "Hi", temperature=0.25, max_tokens=50, stop=["x"], top_k=3)

    assert (response.content, response.finish_reason) == ("Grüße, 世界 🌍!", FinishReason.LENGTH)
    assert (response.model, response.requested_model) == ("gemini-2.5-flash", MODEL)
    assert response.tokens_used == {"prompt": 1000, "completion": 200, "total": 1200}
    assert response.usage.cached_tokens == 100
    assert response.cost is not None and response.warnings == ()
    (request,) = server.requests
    method = "streamGenerateContent" if "streamed" in way else "generateContent"
    assert request.path == f"/v1beta/models/{MODEL}:{method}"
    assert (request.headers["x-goog-api-key"], request.headers["x-team"]) == (KEY, "blue")
    settings = request.body["generationConfig"]
    assert settings == {"temperature": 0.25, "maxOutputTokens": 50, "stopSequences": ["x"], "topK": 3}


def test_tokens_are_counted(legacy: Orchestrate, server: ScriptedServer) -> None:
    server.script(json_reply({"totalTokens": 7}))
    assert legacy().count_tokens([{"role": "system", "content": "Be brief."}, *HI], temperature=0.5) == 7
    (request,) = server.requests
    assert request.path.partition("?")[0].endswith(f"/models/{MODEL}:countTokens")
    assert "Be brief." in json.dumps(request.body["generateContentRequest"])


def test_texts_become_vectors(legacy: Orchestrate, server: ScriptedServer) -> None:
    response = legacy().embed(["a cat", "a dog"], model="asked", dimensions=4)
    assert [len(vector) for vector in response.vectors] == [4, 4]
    (request,) = server.requests
    assert request.path.partition("?")[0].endswith("/models/asked:batchEmbedContents")
    assert [each["content"]["parts"] for each in request.body["requests"]] == [
        [{"text": "a cat"}],
        [{"text": "a dog"}],
    ]


def test_thoughts_are_counted_by_what_is_missing_to_the_total(
    legacy: Orchestrate, server: ScriptedServer, way: str
) -> None:
    server.script(answer(way, usage=Usage(prompt=10, completion=25, reasoning=20)))

    response = ask(legacy(), way)

    assert response.tokens_used == {"prompt": 10, "completion": 25, "total": 35}
    assert response.usage.reasoning_tokens == 20


def test_tools_there_and_back(legacy: Orchestrate, server: ScriptedServer, way: str) -> None:
    def clock(zone: str, hours: Optional[int] = None) -> str:
        """Tell the time."""
        return "noon"

    server.script(
        answer(
            way, "", tool_calls=[Call("clock", {"zone": "Europe/Zürich", "hours": 2})], finish="tool_calls"
        ),
        answer(way),
    )
    orchestrator = legacy()
    history: List[Any] = [{"role": "user", "content": "When?"}]

    asked = ask(orchestrator, way, history, tools=[clock])
    (call,) = asked.tool_calls
    history += [asked.message, call.result("noon")]
    response = ask(orchestrator, way, history, tools=[clock])

    assert (call.name, call.arguments) == ("clock", {"zone": "Europe/Zürich", "hours": 2})
    assert response.content == "Hello, world."
    (function,) = server.requests[0].body["tools"][0]["functionDeclarations"]
    assert function["parameters"]["properties"]["zone"]["type"] == STRING
    assert function["parameters"]["properties"]["hours"] == {"type": INTEGER, "nullable": True}
    turns = server.requests[1].body["contents"]
    assert [turn["role"] for turn in turns] == ["user", "model", "user"]
    assert turns[2]["parts"][0]["functionResponse"]["name"] == "clock"


def test_structured_output(legacy: Orchestrate, server: ScriptedServer, way: str) -> None:
    from pydantic import BaseModel

    class City(BaseModel):
        name: str
        inhabitants: Optional[int] = None

    server.script(answer(way, '{"name": "Rome"}'))

    response = ask(legacy(), way, response_format=City)

    assert response.parsed == City(name="Rome")
    schema = server.requests[0].body["generationConfig"]["responseSchema"]
    assert schema["properties"]["inhabitants"] == {"type": INTEGER, "nullable": True}
    assert schema["required"] == ["name"]


def test_a_blocked_prompt_is_a_refusal(legacy: Orchestrate, server: ScriptedServer, way: str) -> None:
    server.script(answer(way, "", refusal="SAFETY"))

    response = ask(legacy(), way)

    assert response.finish_reason is FinishReason.CONTENT_FILTER and response.refusal


def test_listing_and_validation(legacy: Orchestrate, server: ScriptedServer) -> None:
    orchestrator = legacy()
    server.script(
        GEMINI.models(["chat-one", "chat-two"]), GEMINI.model("chat-one"), GEMINI.failure("model_not_found")
    )
    orchestrator.refresh_models()

    assert orchestrator.get_available_models() == ["chat-one", "chat-two"]
    assert orchestrator.validate_model("chat-one") is True
    assert orchestrator.validate_model("missing") is False
    assert [request.path for request in server.requests] == [
        "/v1beta/models",
        "/v1beta/models/chat-one",
        "/v1beta/models/missing",
    ]


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("bad_key", AuthenticationError),
        ("rate_limit", RateLimitError),
        ("model_not_found", ModelNotFoundError),
        ("overloaded", OverloadedError),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True], ids=["alone", "in an array"])
def test_refusals(
    legacy: Orchestrate, server: ScriptedServer, way: str, kind: str, expected: type, wrapped: bool
) -> None:
    refusal = GEMINI.failure(kind)
    server.default = refusal.but(body=b"[" + refusal.content() + b"]") if wrapped else refusal

    with pytest.raises(ProviderError) as caught:
        ask(legacy(), way)

    assert type(caught.value) is expected
    assert len(server.requests) == 1


def test_a_401_is_sent_once(legacy: Orchestrate, server: ScriptedServer, way: str) -> None:
    """The SDK's own HTTP session would repeat it."""
    server.default = json_reply({"error": {"code": 401, "message": f"Bad key {KEY}"}}, 401)

    with pytest.raises(AuthenticationError) as caught:
        ask(legacy(), way)

    assert len(server.requests) == 1
    assert KEY not in str(caught.value) + repr(vars(caught.value)) + repr(caught.value.__cause__)


def test_a_redirect_is_not_followed(legacy: Orchestrate, server: ScriptedServer, way: str) -> None:
    server.script(redirect(server.url + "/elsewhere"))

    with pytest.raises(ProviderError):
        ask(legacy(), way)

    assert len(server.requests) == 1


@pytest.mark.parametrize("reply", [html(), broken_json()], ids=["an HTML page", "broken JSON"])
def test_unreadable_answers(legacy: Orchestrate, server: ScriptedServer, way: str, reply: Reply) -> None:
    server.default = reply

    with pytest.raises(InvalidResponseError):
        ask(legacy(), way)


@pytest.mark.parametrize("way", ["streamed", "async streamed"])
@pytest.mark.parametrize("how", ["no finish reason", "reset", "unfinished array"])
def test_a_stream_that_breaks_off_is_no_answer(
    legacy: Orchestrate, server: ScriptedServer, way: str, how: str
) -> None:
    cut = array(GEMINI.stream(["Once ", "upon"], complete=False))
    assert isinstance(cut.chunks, tuple)
    server.script(
        {
            "no finish reason": cut,
            "reset": cut.but(chunks=cut.chunks[:-1], fault=Reset(), pause=0.01),
            "unfinished array": cut.but(chunks=cut.chunks[:-1]),
        }[how]
    )

    with pytest.raises(StreamInterruptedError) as caught:
        ask(legacy(), way)

    assert caught.value.partial_text.startswith("Once ")


@pytest.mark.real_clock
def test_silence_is_a_timeout(legacy: Orchestrate, server: ScriptedServer, way: str) -> None:
    server.script(answer(way).but(fault=Stall(after=0)))

    with pytest.raises(ProviderTimeoutError):
        ask(legacy(timeout=0.2, connect_timeout=0.2), way)


def test_nobody_listens(legacy: Orchestrate, way: str) -> None:
    with refusing_url() as url, pytest.raises(ProviderConnectionError):
        ask(legacy(url), way)


def test_leaving_a_stream_releases_its_connection(legacy: Orchestrate, server: ScriptedServer) -> None:
    server.script(array(GEMINI.stream(["a", "b", "c"])).but(fault=Stall(after=2)))
    with legacy().send_streaming_request("Hi") as stream:
        assert next(stream) == "a"

    assert server.wait_for_connections(0)


# ---------------------------------------------------------------- what cannot be


def test_what_has_no_field_is_left_out_with_a_warning(
    legacy: Orchestrate, server: ScriptedServer, way: str
) -> None:
    server.script(answer(way), answer(way))

    response = ask(legacy(), way, seed=1, reasoning_effort="low")

    assert len(response.warnings) == 2 and "reasoning_effort was not sent" in str(response.warnings)
    assert "generationConfig" not in server.requests[0].body
    with pytest.raises(InvalidRequestError, match="does not take seed"):
        ask(legacy(on_unsupported_parameter="error"), way, seed=1)


def test_a_field_that_the_sdk_does_not_know_is_an_error(
    legacy: Orchestrate, server: ScriptedServer, way: str
) -> None:
    with pytest.raises(InvalidRequestError, match="serviceTier") as caught:
        ask(legacy(), way, serviceTier="flex")

    assert server.requests == [] and caught.value.attempts == ()


def test_a_finish_reason_younger_than_the_sdk_is_unknown(legacy: Orchestrate, server: ScriptedServer) -> None:
    document = GEMINI.whole().json()
    document["candidates"][0]["finishReason"] = "MODEL_ARMOR"
    server.script(json_reply(document))

    assert legacy().send_request("Hi").finish_reason is FinishReason.OTHER


@pytest.mark.slow
def test_many_threads_share_an_entry(
    legacy: Orchestrate, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.default = answer("whole").but(delay=0.02)
    orchestrator = legacy()
    with ThreadPoolExecutor(24) as threads:
        answers = list(threads.map(lambda _: orchestrator.send_request("Hi").content, range(96)))

    assert answers == ["Hello, world."] * 96
    assert not [record for record in caplog.records if record.name.startswith("urllib3")]


def test_two_entries_keep_their_own_keys(server: ScriptedServer) -> None:
    """The SDK's ``configure()`` would be one for the whole process."""
    adapters = [GeminiLegacyAdapter(key, api_key=f"key-{key}-1", base_url=server.url) for key in "ab"]
    for adapter in (*adapters, adapters[0]):
        adapter.validate_model("scripted-1")

    assert [request.api_key for request in server.requests] == ["key-a-1", "key-b-1", "key-a-1"]


def test_a_missing_key_and_a_missing_sdk_say_what_to_do(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    settings = {"adapter": "gemini-legacy"}
    with pytest.raises(ConfigurationError, match="GEMINI_API_KEY"):
        LLMOrchestrator({"active_provider": "g", "active_model": "m", "providers": {"g": settings}})
    monkeypatch.setitem(sys.modules, "google.ai.generativelanguage_v1beta", None)
    with pytest.raises(ConfigurationError, match=r'pip install "llm-orchestrator\[gemini-legacy\]"'):
        GeminiLegacyAdapter("g", api_key=KEY, base_url=server.url).validate_model("m")


@pytest.mark.slow
def test_it_is_used_only_where_the_configuration_says_so() -> None:
    """Importing the adapters of google-genai loads nothing of the old SDK."""
    program = (
        "import sys, llm_orchestrator.providers.gemini_adapter\n"
        "assert not {'google.ai', 'google.generativeai', 'grpc'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


# ---------------------------------------------------------------- schemas


def written(schema: Dict[str, Any]) -> Any:
    warnings: List[str] = []
    return legacy_schema(schema, "here", warnings), warnings


def test_a_schema_in_the_old_words() -> None:
    schema = {
        "title": "City",
        "type": "object",
        "$defs": {"Place": {"type": "object", "properties": {"x": {"type": "number"}}}},
        "properties": {
            "place": {"$ref": "#/$defs/Place", "description": "Where."},
            "kind": {"enum": ["town", "city"]},
            "only": {"const": "one"},
            "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "either": {"type": ["integer", "null"]},
            "many": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3},
        },
        "required": ["place"],
        "additionalProperties": False,
    }
    result, warnings = written(schema)
    assert warnings == []
    assert result == {
        "type": "OBJECT",
        "properties": {
            "place": {"type": "OBJECT", "properties": {"x": {"type": "NUMBER"}}, "description": "Where."},
            "kind": {"type": "STRING", "format": "enum", "enum": ["town", "city"]},
            "only": {"type": "STRING", "format": "enum", "enum": ["one"]},
            "maybe": {"type": "STRING", "nullable": True},
            "either": {"type": "INTEGER", "nullable": True},
            "many": {"type": "ARRAY", "items": {"type": "BOOLEAN"}, "maxItems": 3},
        },
        "required": ["place"],
    }


@pytest.mark.parametrize(
    ("schema", "lost"),
    [
        ({"type": "integer", "minimum": 1}, "minimum"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "anyOf"),
        ({"type": ["string", "integer"]}, "type"),
        ({"enum": [1, 2]}, "enum"),
        ({"$ref": "#/$defs/N", "$defs": {"N": {"properties": {"next": {"$ref": "#/$defs/N"}}}}}, "recursion"),
    ],
)
def test_what_a_schema_loses_is_said(schema: Dict[str, Any], lost: str) -> None:
    _, warnings = written(schema)
    assert warnings == [f"here: {lost} was not sent: google-generativeai cannot express it."]


def test_every_written_schema_is_one_the_sdk_takes() -> None:
    from google.ai import generativelanguage_v1beta as api
    from google.protobuf import json_format

    schema = json.loads(
        '{"type": ["object", "null"], "properties": {"a": {"enum": ["x"]}}, "minProperties": 1}'
    )
    json_format.ParseDict(written(schema)[0], api.Schema.pb(api.Schema()))
