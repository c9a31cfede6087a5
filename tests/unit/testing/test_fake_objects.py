"""A fake answers with objects, with vectors, and by another script for certain models."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import Any, Dict, List

import pytest
from pydantic import BaseModel, Field

from llm_orchestrator import (
    ConfigurationError,
    EmbeddingRequest,
    FinishReason,
    InvalidResponseError,
    LLMOrchestrator,
    LLMRequest,
)
from llm_orchestrator.testing import FakeProvider, FakeReply, ScriptedOrchestrator
from tests.support.fakes import MODEL, play, warm  # noqa: F401 (warm is a fixture)
from tests.support.ways import ask


class Town(BaseModel):
    name: str
    founded: date = Field(alias="since")


@dataclass
class Plain:
    name: str


ROME = Town(name="Zürich", since=date(1200, 1, 2))
AS_TEXT = '{"name": "Zürich", "since": "1200-01-02"}'


@pytest.mark.parametrize(
    "entry",
    [
        ROME,
        FakeReply(ROME),
        {"name": "Zürich", "since": date(1200, 1, 2)},
        FakeReply({"name": "Zürich", "since": "1200-01-02"}),
        lambda request: ROME,
        lambda request: FakeReply(ROME),
    ],
    ids=["object", "in a reply", "dict", "dict in a reply", "by a function", "reply by a function"],
)
def test_an_object_is_the_json_that_a_model_would_write(entry: Any, way: str) -> None:
    scene = play(entry)
    response = ask(scene.orchestrator, way, response_format=Town)
    assert (response.content, response.parsed) == (AS_TEXT, ROME)
    assert ask(scene.orchestrator, way).content == AS_TEXT


@pytest.mark.parametrize("entry", [ROME, {"name": "Zürich"}, Plain("Zürich")])
def test_a_single_object_is_a_script(entry: Any) -> None:
    content = FakeProvider(entry).send_request(LLMRequest("m", ())).content
    assert json.loads(content)["name"] == "Zürich"


def test_an_object_is_streamed_in_pieces() -> None:
    scene = play({"names": ["Rome", "Bern", "Oslo"]})
    pieces = list(scene.orchestrator.send_streaming_request("Hi"))
    assert len(pieces) == 4 and json.loads("".join(pieces)) == {"names": ["Rome", "Bern", "Oslo"]}


@pytest.mark.parametrize(
    ("given", "content"),
    [([1, 2], '{"value": [1, 2]}'), ({"a": 1}, '{"value": {"a": 1}}'), ({"value": 3}, '{"value": 3}')],
)
def test_a_value_is_wrapped_where_the_schema_wraps_it(given: Any, content: str, way: str) -> None:
    schema: Dict[str, Any] = {"type": "object", "properties": {"value": {}}, "required": ["value"]}
    wrapped = {"type": "json_schema", "json_schema": {"name": "wrapped", "schema": schema}}
    scene = play(FakeReply(given))
    assert ask(scene.orchestrator, way, response_format=wrapped).content == content
    assert json.loads(ask(scene.orchestrator, way).content) == given


def test_the_arguments_of_a_tool_call_may_be_an_object(way: str) -> None:
    scene = play(FakeReply(tool_calls=[("visit", ROME), ("clock", {"zone": "UTC"}), ("broken", "{")]))
    visit, clock, broken = ask(scene.orchestrator, way).tool_calls
    assert (visit.name, visit.arguments) == ("visit", {"name": "Zürich", "since": "1200-01-02"})
    assert (clock.raw_arguments, broken.raw_arguments, broken.arguments) == ('{"zone": "UTC"}', "{", None)


@pytest.mark.parametrize("fields", [{"text": {"a": object()}}, {"tool_calls": [("a", {"b": object()})]}])
def test_what_is_not_json_is_refused_at_once(fields: Any) -> None:
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        FakeReply(**fields)


@pytest.mark.parametrize("entry", [Town, RuntimeError, 5, None])
def test_a_class_is_not_an_answer(entry: Any) -> None:
    with pytest.raises(ConfigurationError, match="Entry 1 of the script is"):
        FakeProvider([entry])


def test_a_function_has_to_return_an_answer(way: str) -> None:
    with pytest.raises(ConfigurationError, match="returned None"):
        ask(play(lambda request: None).orchestrator, way)


def test_models_may_have_scripts_of_their_own(way: str) -> None:
    scene = play("One.", "Two.", "Three.")
    scene.provider.answers("Big one.", "Big two.", model="big")
    asked = [
        ask(scene.orchestrator, way, model=model).content for model in (MODEL, "big", MODEL, "big", "big")
    ]
    assert asked == ["One.", "Big one.", "Two.", "Big two.", "Big two."]
    scene.provider.answers("Anew.")
    assert ask(scene.orchestrator, way).content == "Anew."
    assert ask(scene.orchestrator, way, model="big").content == "Big two."
    assert ask(scene.orchestrator, way, model="small").content == "Anew."


def test_the_scripted_orchestrator_has_scripts_per_model(
    scripted_orchestrator: ScriptedOrchestrator, way: str
) -> None:
    scripted_orchestrator.answers({"name": "Rome"}, model="small")
    assert ask(scripted_orchestrator, way, model="small").content == '{"name": "Rome"}'
    assert ask(scripted_orchestrator, way).content == "This is a scripted answer."


def test_recorded_requests_have_their_tags(scripted_orchestrator: ScriptedOrchestrator, way: str) -> None:
    ask(scripted_orchestrator, way, tags={"customer": "acme"})
    scripted_orchestrator.embed("text", tags={"customer": "b"})
    scripted_orchestrator.start_conversation(tags={"customer": "c"}).send("Hi")
    assert [request.tags["customer"] for request in scripted_orchestrator.requests] == ["acme", "b", "c"]


# ---------------------------------------------------------------------------------------- vectors

VECTORS: List[List[float]] = [[1.0, 0.0], [0.0, 1.0]]


def embedding_scene(*script: Any) -> Any:
    return play(*script, embedding_model="vectors-1", max_retries=0)


def test_vectors_may_be_scripted() -> None:
    scene = embedding_scene(FakeReply(vectors=VECTORS), "Hello.")
    assert scene.orchestrator.embed(["a", "b"]).vectors == VECTORS
    assert scene.orchestrator.send_request("Hi").content == "Hello."
    assert len(scene.orchestrator.embed("c").vectors[0]) == 8, "the script has no more of them"


def test_vectors_may_be_scripted_for_their_model_alone() -> None:
    scene = embedding_scene("Hello.")
    scene.provider.answers(FakeReply(vectors=VECTORS), model="vectors-1")
    orchestrator: LLMOrchestrator = scene.orchestrator
    assert orchestrator.embed(["a", "b"]).vectors == orchestrator.embed(["c", "d"]).vectors == VECTORS
    assert orchestrator.send_request("Hi").content == "Hello."
    assert [type(request) is EmbeddingRequest for request in scene.provider.requests] == [True, True, False]


def test_vectors_of_another_number_are_an_error_as_with_a_provider() -> None:
    with pytest.raises(InvalidResponseError):
        embedding_scene(FakeReply(vectors=VECTORS)).orchestrator.embed(["a", "b", "c"])


def test_vectors_are_not_an_answer(way: str) -> None:
    with pytest.raises(ConfigurationError, match="has vectors where an answer is asked for"):
        ask(embedding_scene(FakeReply(vectors=VECTORS)).orchestrator, way)


def test_its_models_make_vectors(scripted_orchestrator: ScriptedOrchestrator) -> None:
    scripted_orchestrator.refresh_models()
    assert scripted_orchestrator.get_available_models(kind="embedding") == ["fake-model"]
    assert scripted_orchestrator.get_available_models() == ["fake-model"]


def test_a_finish_reason_may_be_a_word() -> None:
    assert FakeReply("x", finish_reason="length") == FakeReply("x", finish_reason=FinishReason.LENGTH)
    with pytest.raises(TypeError, match="finish_reason is 'lenght'. Use one of stop, length"):
        FakeReply("x", finish_reason="lenght")


def test_a_function_of_the_embedding_model_gives_vectors_and_others_are_not_asked() -> None:
    scene = play(lambda request: request.messages[-1].content.upper())

    def by_length(request: Any) -> FakeReply:
        return FakeReply(vectors=[[float(len(text))] for text in request.texts])

    scene.provider.answers(by_length, model="vectors")
    assert scene.orchestrator.embed(["a", "abc"], model="vectors").vectors == [[1.0], [3.0]]
    assert len(scene.orchestrator.embed("a", model="other").vectors[0]) > 1
