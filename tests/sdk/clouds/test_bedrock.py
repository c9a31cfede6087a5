"""Claude on Bedrock: signed with what AWS's own chain finds, and read from its binary streams."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from llm_orchestrator import (
    AuthenticationError,
    ConfigurationError,
    FinishReason,
    InvalidRequestError,
    InvalidResponseError,
    OverloadedError,
    PermissionDeniedError,
    ProviderTimeoutError,
    RateLimitError,
    StreamInterruptedError,
)
from llm_orchestrator.providers.clouds.bedrock import BedrockAdapter
from llm_orchestrator.types import LLMRequest, Message
from tests.sdk.clouds.aws import event_stream, exception, message, signature_of, signed_again
from tests.sdk.clouds.conftest import Orchestrate
from tests.support.scripted_server import DIALECTS, Call, Reply, Request, ScriptedServer, Stall, Usage
from tests.support.scripted_server.replies import json_reply
from tests.support.ways import ask

pytestmark = pytest.mark.slow  # boto3 reads files of its own for every client

CLAUDE = DIALECTS["anthropic"]
MODEL = "global.anthropic.claude-haiku-4-5-20251001-v1:0"
SERVED = "claude-haiku-4-5-20251001"
ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@pytest.fixture
def aws_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials where AWS's chain looks first."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)


def answer(way: str, **keywords: Any) -> Reply:
    if "streamed" not in way:
        return CLAUDE.whole("Hello, world.", **keywords)
    return event_stream(CLAUDE.stream(["Hello, ", "world."], **keywords))


def test_a_call_is_signed_and_answered(
    cloud: Orchestrate, server: ScriptedServer, way: str, aws_keys: None
) -> None:
    server.script(answer(way, model=SERVED, usage=Usage(prompt=1000, completion=200)))
    orchestrator = cloud(
        "bedrock", MODEL, base_url=server.url, region="eu-central-1", headers={"x-team": "blue"}
    )

    response = ask(orchestrator, way, "Hi", temperature=0.5, max_tokens=50)

    assert (response.content, response.finish_reason) == ("Hello, world.", FinishReason.STOP)
    assert (response.model, response.requested_model) == (SERVED, MODEL)
    (request,) = server.requests
    method = "invoke-with-response-stream" if "streamed" in way else "invoke"
    assert request.path == f"/model/{MODEL}/{method}"
    assert "model" not in request.body and "stream" not in request.body
    assert request.body["anthropic_version"] == "bedrock-2023-05-31", "the same on every SDK generation"
    assert (request.body["temperature"], request.body["max_tokens"]) == (0.5, 50)
    signed = signature_of(request)
    assert signed["Credential"].startswith(f"{ACCESS_KEY}/")
    assert signed["Credential"].endswith("/eu-central-1/bedrock/aws4_request")
    assert "x-team" in signed["SignedHeaders"]
    path = f"/model/{quote(MODEL, safe=':')}/{method}"
    assert signed["Signature"] == signed_again(request, path, ACCESS_KEY, SECRET_KEY, "eu-central-1")


def test_global_routes_have_the_prices_of_anthropic(
    cloud: Orchestrate, server: ScriptedServer, way: str, aws_keys: None
) -> None:
    usage = Usage(prompt=1000, completion=200)
    server.script(*[answer(way, model=SERVED, usage=usage)] * 2)
    orchestrator = cloud("bedrock", MODEL, base_url=server.url, region="us-east-1")

    costs = [ask(orchestrator, way, model=model).cost for model in (MODEL, MODEL.replace("global.", "us."))]

    assert costs[0] == Decimal("0.002"), "1000 tokens at 1 dollar and 200 at 5 dollars a million"
    assert costs[1] is None, "other routes cost more, by a rate that the table does not know"


def test_a_bearer_key_takes_the_place_of_a_signature(
    cloud_by_key: Orchestrate, server: ScriptedServer, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script(answer(way), answer(way))
    ask(cloud_by_key("bedrock", base_url=server.url, region="us-east-1", api_key="bedrock-key-1"), way)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-key-2")
    ask(cloud_by_key("bedrock", base_url=server.url, region="us-east-1"), way)

    assert [request.api_key for request in server.requests] == ["bedrock-key-1", "bedrock-key-2"]


def test_tokens_are_not_counted_there(cloud: Orchestrate, server: ScriptedServer, aws_keys: None) -> None:
    orchestrator = cloud("bedrock", base_url=server.url, region="us-east-1")
    with pytest.raises(InvalidRequestError, match="not offered for Claude on Bedrock"):
        orchestrator.count_tokens("Hi")
    assert server.requests == []


def test_texts_have_no_vectors_there(cloud: Orchestrate, server: ScriptedServer, aws_keys: None) -> None:
    orchestrator = cloud("bedrock", base_url=server.url, region="us-east-1")
    with pytest.raises(InvalidRequestError, match="cannot embed texts"):
        orchestrator.embed("Hi", model="asked")
    assert server.requests == []


def test_tools_travel_both_ways(cloud: Orchestrate, server: ScriptedServer, way: str, aws_keys: None) -> None:
    calls = [Call("clock", {"zone": "Europe/Zürich"})]
    whole = CLAUDE.whole("", tool_calls=calls, finish="tool_calls")
    streamed = event_stream(CLAUDE.stream([], tool_calls=calls, finish="tool_calls"))
    server.script(streamed if "streamed" in way else whole)
    tool = {"type": "function", "function": {"name": "clock", "parameters": {}}}

    response = ask(cloud("bedrock", base_url=server.url, region="us-east-1"), way, tools=[tool])

    assert [(call.name, call.arguments) for call in response.tool_calls] == [("clock", calls[0].arguments)]
    assert server.requests[0].body["tools"][0]["name"] == "clock"


def test_without_credentials_it_says_what_to_do(cloud: Orchestrate, server: ScriptedServer, way: str) -> None:
    region = "eu-west-3"  # the SDK remembers the credentials of each region
    orchestrator = cloud("bedrock", base_url=server.url, region=region, max_retries=2)

    with pytest.raises(AuthenticationError, match="aws configure") as caught:
        ask(orchestrator, way)

    assert server.requests == [] and caught.value.attempts == ()


def test_a_region_is_needed() -> None:
    with pytest.raises(ConfigurationError, match=r"providers.mine.region is missing"):
        BedrockAdapter("mine")


def test_the_address_follows_from_the_region() -> None:
    adapter = BedrockAdapter("mine", region="eu-central-1", api_key="bedrock-key-1")
    assert adapter.client_arguments()["base_url"] == "https://bedrock-runtime.eu-central-1.amazonaws.com"


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ConfigurationError, match=r'pip install "llm-orchestrator\[bedrock\]"'):
        BedrockAdapter("mine", region="us-east-1").client_arguments()


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (403, "AccessDeniedException", PermissionDeniedError),
        (403, "UnrecognizedClientException:http://internal.amazon.com/", AuthenticationError),
        (429, "ThrottlingException", RateLimitError),
        (503, "ServiceUnavailableException", OverloadedError),
    ],
)
def test_refusals(
    cloud: Orchestrate,
    server: ScriptedServer,
    way: str,
    aws_keys: None,
    status: int,
    kind: str,
    expected: type,
) -> None:
    headers = {"x-amzn-errortype": kind, "content-type": "application/json"}
    server.script(Reply(status, headers, b'{"message": "Not now."}'))

    with pytest.raises(expected, match="Not now"):
        ask(cloud("bedrock", base_url=server.url, region="us-east-1"), way)


@pytest.mark.parametrize("way", ["streamed", "async streamed"])
def test_an_exception_in_a_stream(
    cloud: Orchestrate, server: ScriptedServer, way: str, aws_keys: None
) -> None:
    cut = CLAUDE.stream(["Once ", "upon"], complete=False)
    server.script(
        event_stream(cut, exception("modelStreamErrorException", "It stumbled.")),
        event_stream(Reply(chunks=()), exception("throttlingException", "Too many.")),
    )
    orchestrator = cloud("bedrock", base_url=server.url, region="us-east-1")

    with pytest.raises(StreamInterruptedError) as caught:
        ask(orchestrator, way)
    assert caught.value.partial_text == "Once upon"
    with pytest.raises(RateLimitError, match="Too many"):
        ask(orchestrator, way)


@pytest.mark.parametrize("way", ["streamed", "async streamed"])
def test_a_damaged_stream_is_no_answer(
    cloud: Orchestrate, server: ScriptedServer, way: str, aws_keys: None
) -> None:
    damaged = event_stream(CLAUDE.stream(["Hello"]))
    content = bytearray(damaged.content())
    content[40] ^= 1
    server.script(damaged.but(chunks=(bytes(content),)))

    with pytest.raises(InvalidResponseError, match="damaged"):
        ask(cloud("bedrock", base_url=server.url, region="us-east-1"), way)


@pytest.mark.parametrize("way", ["streamed", "async streamed"])
@pytest.mark.parametrize("payload", [[], 1, "x", {"bytes": 5}, {"bytes": "%%%"}, {"bytes": "aGVsbG8="}])
def test_a_message_of_another_form_is_no_answer(
    cloud: Orchestrate, server: ScriptedServer, way: str, aws_keys: None, payload: Any
) -> None:
    beginning = CLAUDE.stream(["Once"], complete=False)
    server.script(event_stream(beginning, message({":message-type": "event"}, payload)))

    with pytest.raises(StreamInterruptedError) as caught:
        ask(cloud("bedrock", base_url=server.url, region="us-east-1"), way)

    assert isinstance(caught.value.__cause__, InvalidResponseError)


@pytest.mark.real_clock
@pytest.mark.parametrize("way", ["streamed", "async streamed"])
def test_silence_in_a_stream_is_a_timeout(
    cloud: Orchestrate, server: ScriptedServer, way: str, aws_keys: None
) -> None:
    beginning = event_stream(CLAUDE.stream(["Once"], complete=False)).but(piece_size=None)
    server.script(beginning.but(fault=Stall(after=1)))

    with pytest.raises(StreamInterruptedError) as caught:
        ask(cloud("bedrock", base_url=server.url, region="us-east-1", timeout=0.3, connect_timeout=0.3), way)

    assert isinstance(caught.value.__cause__, ProviderTimeoutError)


@pytest.mark.parametrize("way", ["streamed", "async streamed"])
def test_a_stream_cut_short_is_no_answer(
    cloud: Orchestrate, server: ScriptedServer, way: str, aws_keys: None
) -> None:
    server.script(event_stream(CLAUDE.stream(["Once", " upon"], complete=False)))

    with pytest.raises(StreamInterruptedError):
        ask(cloud("bedrock", base_url=server.url, region="us-east-1"), way)


def test_the_listing_is_the_configuration(cloud: Orchestrate, server: ScriptedServer, aws_keys: None) -> None:
    orchestrator = cloud("bedrock", base_url=server.url, region="us-east-1", models=["global.a", "eu.b"])
    orchestrator.refresh_models()

    assert orchestrator.get_available_models() == ["eu.b", "global.a"]
    known = orchestrator.registry.known("mine", "eu.b")
    assert known is not None and known.capabilities == {"source": "configuration"}
    with pytest.raises(ConfigurationError, match="Call the model to find out"):
        orchestrator.validate_model("eu.b")
    assert server.requests == []


def test_without_configured_names_it_says_so() -> None:
    adapter = BedrockAdapter("mine", region="us-east-1")
    with pytest.raises(
        ConfigurationError, match=r"does not list its models. Name them in providers.mine.models"
    ):
        adapter.get_available_models()


def test_a_server_that_repeats_what_was_sent(
    cloud: Orchestrate, server: ScriptedServer, way: str, aws_keys: None, caplog: pytest.LogCaptureFixture
) -> None:
    seen = []

    def repeat(request: Request) -> Reply:
        seen.append(signature_of(request)["Signature"])
        return json_reply({"message": f"You sent {request.headers['authorization']}"}, 403)

    server.default = repeat
    with pytest.raises(PermissionDeniedError) as caught:
        ask(cloud("bedrock", base_url=server.url, region="us-east-1"), way)

    shown = str(caught.value) + repr(vars(caught.value)) + str(caught.value.__cause__) + caplog.text
    assert seen and seen[0] not in shown


def test_the_body_is_that_of_anthropic_but_for_the_version() -> None:
    request = LLMRequest("m", (Message("user", "Hi"),))
    wire = BedrockAdapter("mine", region="us-east-1", api_version="bedrock-2027-01-01").build_request(
        request, stream=True
    )
    assert wire.body is not None
    assert (wire.body["anthropic_version"], dict(wire.headers)) == ("bedrock-2027-01-01", {})


def test_getting_ready_finds_the_credentials(
    cloud: Orchestrate, server: ScriptedServer, aws_keys: None, caplog: pytest.LogCaptureFixture
) -> None:
    server.script(Reply(403), answer("whole", model=SERVED))
    orchestrator = cloud("bedrock", MODEL, base_url=server.url, region="eu-central-1")

    orchestrator.warm_up().join()
    orchestrator.send_request("Hi")

    assert [request.method for request in server.requests] == ["GET", "POST"], "nobody is asked for a model"
    assert len({request.connection for request in server.requests}) == 1
    assert not caplog.records
