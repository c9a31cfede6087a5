"""The scripted server speaks what the real SDKs read: their own typed calls run against it."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import pytest

from tests.support.scripted_server import (
    DIALECTS,
    KEY,
    SIGNATURE,
    Call,
    Dialect,
    ScriptedServer,
    Usage,
)

#: The SDKs build their types at the first use of each, which takes them more CPU than a unit test may use.
pytestmark = pytest.mark.slow

QUESTION = "How many ducks?"
TEXT = 'Zwölf Enten 🦆\nund "eine" Gans.'
PIECES = ("Zwölf", " Enten 🦆\n", 'und "eine" Gans.')
USAGE = Usage(prompt=1110, completion=43, cached=1000, reasoning=13)
CUTS = ("recorded", "awkward", "byte")
WEATHER = Call("weather", {"city": "Köln"}, id="call_1")
CLOCK = Call("clock", id="call_2")


class Seen(NamedTuple):
    """What an SDK made of an answer."""

    text: str
    finish: Optional[str]
    prompt: Optional[int]
    completion: Optional[int]
    calls: List[Tuple[str, Any]]


class Sdk:
    """One vendor SDK, used as its own documentation does; a subclass for each dialect."""

    client: Any

    def whole(self) -> Seen: ...  # type: ignore[empty-body]

    def events(self) -> Iterator[Any]: ...  # type: ignore[empty-body]

    def text_of(self, event: Any) -> str: ...  # type: ignore[empty-body]

    def text(self) -> str:
        return "".join(map(self.text_of, self.events()))

    def model_names(self) -> List[str]:
        return [model.id for model in self.client.models.list()]

    def close(self) -> None:
        self.client.close()


class ChatSdk(Sdk):
    def __init__(self, url: str) -> None:
        import openai

        self.client = openai.OpenAI(api_key=KEY, base_url=url + "/v1", max_retries=0, timeout=5)

    def create(self, **keywords: Any) -> Any:
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
        return self.client.chat.completions.create(
            model="duck-1", messages=messages, temperature=0.2, max_completion_tokens=99, **keywords
        )

    def whole(self) -> Seen:
        answer = self.create()
        message = answer.choices[0].message
        calls = [
            (call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []
        ]
        usage = answer.usage
        finish = answer.choices[0].finish_reason
        return Seen(message.content or "", finish, usage.prompt_tokens, usage.completion_tokens, calls)

    def events(self) -> Iterator[Any]:
        yield from self.create(stream=True, stream_options={"include_usage": True})

    def text_of(self, event: Any) -> str:
        return "".join(choice.delta.content or "" for choice in event.choices)


class ResponsesSdk(ChatSdk):
    def create(self, **keywords: Any) -> Any:
        return self.client.responses.create(
            model="duck-1",
            instructions="Be brief.",
            input=QUESTION,
            temperature=0.2,
            max_output_tokens=99,
            **keywords,
        )

    def whole(self) -> Seen:
        answer = self.create()
        calls = [
            (item.name, json.loads(item.arguments)) for item in answer.output if item.type == "function_call"
        ]
        usage = answer.usage
        return Seen(answer.output_text, answer.status, usage.input_tokens, usage.output_tokens, calls)

    def events(self) -> Iterator[Any]:
        yield from self.create(stream=True)

    def text_of(self, event: Any) -> str:
        return event.delta if event.type == "response.output_text.delta" else ""


class AnthropicSdk(Sdk):
    def __init__(self, url: str) -> None:
        import anthropic

        self.client = anthropic.Anthropic(api_key=KEY, base_url=url, max_retries=0, timeout=5)

    def create(self, **keywords: Any) -> Any:
        return self.client.messages.create(
            model="duck-1",
            system="Be brief.",
            messages=[{"role": "user", "content": QUESTION}],
            max_tokens=99,
            extra_body={"temperature": 0.2},
            **keywords,
        )

    def whole(self) -> Seen:
        answer = self.create()
        text = "".join(block.text for block in answer.content if block.type == "text")
        calls = [(block.name, block.input) for block in answer.content if block.type == "tool_use"]
        usage = answer.usage
        prompt = usage.input_tokens + (usage.cache_read_input_tokens or 0)
        return Seen(text, answer.stop_reason, prompt, usage.output_tokens, calls)

    def events(self) -> Iterator[Any]:
        yield from self.create(stream=True)

    def text_of(self, event: Any) -> str:
        is_text = event.type == "content_block_delta" and event.delta.type == "text_delta"
        return event.delta.text if is_text else ""


class GeminiSdk(Sdk):
    def __init__(self, url: str) -> None:
        from google import genai
        from google.genai import types

        options = types.HttpOptions(base_url=url, api_version="v1beta", timeout=5000)
        self.client = genai.Client(api_key=KEY, vertexai=False, http_options=options)
        self.config = types.GenerateContentConfig(
            system_instruction="Be brief.", temperature=0.2, max_output_tokens=99
        )

    def whole(self) -> Seen:
        answer = self.client.models.generate_content(model="duck-1", contents=QUESTION, config=self.config)
        candidate = answer.candidates[0]
        parts = candidate.content.parts
        text = "".join(part.text or "" for part in parts if not part.thought)
        calls = [
            (part.function_call.name, part.function_call.args or {}) for part in parts if part.function_call
        ]
        usage = answer.usage_metadata
        completion = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
        return Seen(text, candidate.finish_reason.value, usage.prompt_token_count, completion, calls)

    def events(self) -> Iterator[Any]:
        models = self.client.models
        yield from models.generate_content_stream(model="duck-1", contents=QUESTION, config=self.config)

    def text_of(self, event: Any) -> str:
        parts = event.candidates[0].content.parts if event.candidates else []
        return "".join(part.text or "" for part in parts or [] if not part.thought)

    def model_names(self) -> List[str]:
        return [model.name.replace("models/", "") for model in self.client.models.list()]


SDKS: Dict[str, Callable[[str], Sdk]] = {
    "chat": ChatSdk,
    "responses": ResponsesSdk,
    "anthropic": AnthropicSdk,
    "gemini": GeminiSdk,
}
FINISHES = {"chat": "stop", "responses": "completed", "anthropic": "end_turn", "gemini": "STOP"}


@pytest.fixture
def sdk(server: ScriptedServer, dialect: Dialect) -> Iterator[Sdk]:
    sdk = SDKS[dialect.name](server.url)
    yield sdk
    sdk.close()


def status_of(error: BaseException) -> Optional[int]:
    return getattr(error, "status_code", None) or getattr(error, "code", None)


# answers


def test_a_whole_answer_is_read_by_the_sdk(server: ScriptedServer, dialect: Dialect, sdk: Sdk) -> None:
    server.script(dialect.whole(TEXT, usage=USAGE, reasoning="Counting."))
    assert sdk.whole() == Seen(TEXT, FINISHES[dialect.name], 1110, 43, [])


def test_the_request_is_read_back(server: ScriptedServer, dialect: Dialect, sdk: Sdk) -> None:
    sdk.whole()
    sdk.text()
    for request, stream in zip(server.requests, (False, True)):
        assert request.method == "POST" and request.path == dialect.path("duck-1", stream)
        assert request.api_key == KEY
        asked = dialect.read_request(request.body, request.path)
        assert asked["model"] == "duck-1" and asked["stream"] is stream
        assert (asked["system"], asked["messages"]) == ("Be brief.", [("user", QUESTION)])
        assert (asked["temperature"], asked["max_tokens"], asked["stop"]) == (0.2, 99, None)


def test_tool_calls_are_read_by_the_sdk(server: ScriptedServer, dialect: Dialect, sdk: Sdk) -> None:
    server.script(dialect.whole("", tool_calls=[WEATHER, CLOCK]))
    assert sdk.whole().calls == [("weather", {"city": "Köln"}), ("clock", {})]


@pytest.mark.parametrize("cut", CUTS)
def test_a_stream_is_read_by_the_sdk(server: ScriptedServer, dialect: Dialect, sdk: Sdk, cut: str) -> None:
    server.script(dialect.stream(PIECES, usage=USAGE, reasoning="Counting.", cut=cut))
    assert [text for text in map(sdk.text_of, sdk.events()) if text] == list(PIECES)


def test_cutting_changes_the_pieces_and_not_the_stream(dialect: Dialect) -> None:
    recorded, awkward, byte = (dialect.stream(["Köln"], cut=cut).pieces() for cut in CUTS)
    assert len({len(b"".join(pieces)) for pieces in (recorded, awkward, byte)}) == 1
    assert (b"\r\n" in b"".join(recorded)) is (dialect.name == "gemini")
    assert len(recorded) < len(awkward) < len(byte)
    assert any(piece.endswith(b"\xc3") for piece in awkward), "no cut inside a character"
    end_of_event = b"\r\n\r\n" if dialect.newline == "\r\n" else b"\n\n"
    assert all(piece.endswith(end_of_event) for piece in recorded)
    assert not any(piece.endswith(end_of_event) and len(piece) > 2 for piece in awkward)


def test_noise_surrounds_the_same_events(dialect: Dialect) -> None:
    def data(content: bytes) -> List[str]:
        lines = content.decode().splitlines()
        return [line.partition(":")[2].strip()[:9] for line in lines if line.startswith("data:")]

    plain, noisy = dialect.stream(PIECES).content(), dialect.stream(PIECES, noisy=True).content()
    assert noisy.startswith(b"\xef\xbb\xbf: a comment") and b"event:" not in noisy
    assert (b"\r\n" in noisy) is not (b"\r\n" in plain)
    assert data(noisy) == data(plain)


def test_final_message_helpers_put_streams_together(server: ScriptedServer) -> None:
    sdk = AnthropicSdk(server.url)
    server.script(
        DIALECTS["anthropic"].stream(PIECES, usage=USAGE, reasoning="Hm.", tool_calls=[WEATHER, CLOCK])
    )
    request = {"model": "duck-1", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}
    with sdk.client.messages.stream(**request) as stream:
        final = stream.get_final_message()
    sdk.close()
    thinking, text, weather, clock = final.content
    assert (thinking.thinking, thinking.signature, text.text) == ("Hm.", SIGNATURE, TEXT)
    assert (weather.input, clock.input, final.stop_reason) == ({"city": "Köln"}, {}, "tool_use")
    assert (final.usage.input_tokens, final.usage.output_tokens) == (110, 43)


def test_responses_events_agree_with_the_final_response(server: ScriptedServer) -> None:
    sdk = ResponsesSdk(server.url)
    server.script(DIALECTS["responses"].stream(PIECES, usage=USAGE, reasoning="Hm.", tool_calls=[WEATHER]))
    events = list(sdk.events())
    sdk.close()
    final = events[-1].response
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call"]
    assert [event.item for event in events if event.type == "response.output_item.done"] == final.output
    arguments = [e.delta for e in events if e.type == "response.function_call_arguments.delta"]
    assert json.loads("".join(arguments)) == {"city": "Köln"}
    assert (final.output_text, final.usage.total_tokens) == (TEXT, 1153)


# errors


@pytest.mark.parametrize("stream", [False, True])
def test_errors_raise_the_sdks_status_errors(
    server: ScriptedServer, dialect: Dialect, sdk: Sdk, stream: bool
) -> None:
    for kind, (status, _, message) in dialect.failures.items():
        server.script(dialect.failure(kind))
        with pytest.raises(Exception) as caught:
            list(sdk.events()) if stream else sdk.whole()
        assert status_of(caught.value) == status, kind
        assert message in str(caught.value)


# listings


def test_listings_are_read_by_the_sdk(server: ScriptedServer, dialect: Dialect, sdk: Sdk) -> None:
    assert sdk.model_names()[:2] == ["scripted-1", "scripted-1-mini"]
    server.script(dialect.models(["duck-1", dialect.model_entry("duck-2")]))
    assert sdk.model_names() == ["duck-1", "duck-2"]


# without a script
