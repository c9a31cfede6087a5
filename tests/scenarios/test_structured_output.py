"""M7 and M8: schemas with definitions, unions and recursion, and output that was cut or does not fit."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Callable,
    Dict,
    Generic,
    List,
    Literal,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
    Type,
    TypeVar,
    Union,
)

import pytest
from pydantic import BaseModel, Field, RootModel

from llm_orchestrator import InvalidRequestError, OutputParseError, OutputTruncatedError
from tests.support.fixtures import Orchestrate
from tests.support.money import Spend, answer, price, rows
from tests.support.scripted_server import Call, Dialect, ScriptedServer
from tests.support.scripted_server.wire_base import Json
from tests.support.ways import ask

Item = TypeVar("Item")


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Leaf(BaseModel):
    name: str = Field(min_length=1, description="What it is called.")
    mood: Mood


class Tree(BaseModel):
    """Definitions, and one of them with words beside its reference."""

    top: Leaf = Field(description="The one at the top.")
    rest: List[Leaf]


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    age: Optional[int] = None


class Pet(BaseModel):
    animal: Union[Cat, Dog]


class Marked(BaseModel):
    animal: Union[Cat, Dog] = Field(discriminator="kind")


class Folder(BaseModel):
    """Recursive, and its recursive field may be left out."""

    name: str
    folders: List[Folder] = []


class Chain(BaseModel):
    """Recursive, and its recursive field is required."""

    value: int
    after: List[Chain]


class Left(BaseModel):
    right: Optional[Right] = None


class Right(BaseModel):
    left: Optional[Left] = None


class Page(BaseModel, Generic[Item]):
    entries: List[Item]


class Free(BaseModel):
    scores: Dict[str, int]


class Patterned(BaseModel):
    """Free keys again, of which pydantic tells only what they look like."""

    scores: Dict[Annotated[str, Field(pattern="^[a-z]$")], int]


class Anything(BaseModel):
    value: Any


class Pair(BaseModel):
    pair: Tuple[int, str]


class Many(RootModel[List[Leaf]]):
    """No object, but a list."""


class Case(NamedTuple):
    """A class, an instance as the model writes it, and who refuses its schema as output or as tool."""

    model: Type[BaseModel]
    value: Json
    refused: Tuple[str, ...] = ()
    warned: Tuple[str, ...] = ()
    no_tool: bool = False


OPENAI = ("chat", "responses")
LEAF = {"name": "a", "mood": "good"}
CASES: Mapping[str, Case] = {
    "definitions": Case(Tree, {"top": LEAF, "rest": [LEAF]}),
    "a union": Case(Pet, {"animal": {"kind": "dog", "age": None}}),
    "a union with a mark": Case(Marked, {"animal": {"kind": "cat", "lives": 9}}),
    "recursion": Case(Folder, {"name": "a", "folders": [{"name": "b", "folders": []}]}, ("anthropic",)),
    "required recursion": Case(Chain, {"value": 1, "after": []}, ("anthropic",), ("gemini",)),
    "two that hold each other": Case(Left, {"right": {"left": None}}, ("anthropic",)),
    "a generic class": Case(Page[int], {"entries": [1]}, no_tool=True),
    "free keys": Case(Free, {"scores": {"a": 1}}, ("anthropic",), OPENAI),
    "free keys of a pattern": Case(Patterned, {"scores": {"a": 1}}, ("anthropic",), OPENAI),
    "any value": Case(Anything, {"value": 1}, ("anthropic",), OPENAI),
    "a tuple": Case(Pair, {"pair": [1, "a"]}, (), OPENAI),
    "a list at the root": Case(Many, [LEAF], no_tool=True),  # type: ignore[arg-type]
}
EACH_CASE = pytest.mark.parametrize("case", list(CASES.values()), ids=list(CASES))

# ---------------------------------------------------------------- what the providers document


def schemas_in(schema: Any) -> List[Json]:
    """A schema and all schemas inside it."""
    found: List[Json] = [schema] if isinstance(schema, dict) else []
    for key, value in schema.items() if isinstance(schema, dict) else ():
        if key in ("properties", "$defs"):
            found += [inner for child in value.values() for inner in schemas_in(child)]
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            found += [inner for child in value for inner in schemas_in(child)]
        elif key in ("items", "additionalProperties"):
            found += schemas_in(value)
    return found


def check_references(schema: Json) -> None:
    """Every reference leads somewhere."""
    for inner in schemas_in(schema):
        if "$ref" in inner:
            assert inner["$ref"].rpartition("/")[2] in schema["$defs"]


def check_openai(schema: Json, strict: bool) -> None:
    """An object at the root; in strict mode closed objects, all properties required, references alone."""
    assert schema["type"] == "object"
    for inner in schemas_in(schema) if strict else ():
        assert "$ref" not in inner or set(inner) == {"$ref"}
        assert "default" not in inner and "oneOf" not in inner and "allOf" not in inner
        if inner.get("type") == "object":
            assert inner["additionalProperties"] is False
            assert inner["required"] == list(inner["properties"])


def check_anthropic(schema: Json, strict: bool) -> None:
    """Structured output: closed objects, no limits on values, each value with a type."""
    for inner in schemas_in(schema) if strict else ():
        assert not {"minLength", "minimum", "maximum", "maxItems", "default", "discriminator"} & set(inner)
        assert {"$ref", "type", "anyOf", "enum", "const"} & set(inner)
        if inner.get("type") == "object":
            assert inner["additionalProperties"] is False


def check_gemini(schema: Json, strict: bool) -> None:
    """Nothing beside a reference, and nothing the API has no keyword for."""
    for inner in schemas_in(schema):
        assert "$ref" not in inner or all(key.startswith("$") for key in inner)
        assert not {"const", "allOf"} & set(inner)


CHECKS: Mapping[str, Callable[[Json, bool], None]] = {
    "chat": check_openai,
    "responses": check_openai,
    "anthropic": check_anthropic,
    "gemini": check_gemini,
}


def is_strict(dialect: Dialect, body: Any) -> bool:
    if dialect.name == "chat":
        return bool(body["response_format"]["json_schema"]["strict"])
    if dialect.name == "responses":
        return bool(body["text"]["format"]["strict"])
    return True


# ---------------------------------------------------------------- M7


def says(dialect: Dialect, way: str, text: str, **keywords: Any) -> Any:
    """An answer of this text, in two pieces where it is streamed."""
    half = len(text) // 2
    content = {"pieces": [text[:half], text[half:]]} if "streamed" in way else {"text": text}
    return answer(dialect, way, **content, **keywords)


@EACH_CASE
def test_m7_output_of_a_class_is_its_instance_or_an_error_before_the_request(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, case: Case
) -> None:
    server.script(says(dialect, way, json.dumps(case.value)))
    orchestrator = orchestrate()
    if dialect.name in case.refused:
        with pytest.raises(InvalidRequestError):
            ask(orchestrator, way, response_format=case.model)
        assert server.requests == []
        server.reset()
        return

    response = ask(orchestrator, way, response_format=case.model)

    assert response.parsed == case.model.model_validate(case.value)
    assert type(response.parsed) is case.model
    (request,) = server.requests
    schema = dialect.read_wishes(request.body).output
    assert schema is not None
    check_references(schema)
    CHECKS[dialect.name](schema, is_strict(dialect, request.body))
    assert bool(response.warnings) is (dialect.name in case.warned)


@EACH_CASE
def test_m7_a_class_is_a_tool_or_an_error_before_the_request(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, case: Case
) -> None:
    orchestrator = orchestrate()
    if case.no_tool:
        with pytest.raises(InvalidRequestError):
            orchestrator.send_request("Hi", tools=[case.model])
        assert server.requests == []
        return
    server.script(dialect.whole("", tool_calls=[Call(case.model.__name__, case.value)]))

    response = orchestrator.send_request("Hi", tools=[case.model])

    (call,) = response.tool_calls
    assert case.model.model_validate(call.arguments) == case.model.model_validate(case.value)
    (schema,) = dialect.read_wishes(server.requests[0].body).tools.values()
    assert schema["type"] == "object", "no provider takes anything else for the parameters of a tool"
    check_references(schema)
    CHECKS[dialect.name](schema, False)


def test_m7_a_dict_whose_root_is_a_reference_is_a_tool(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    function = {"name": "Folder", "parameters": Folder.model_json_schema()}
    assert "$ref" in function["parameters"]

    orchestrate().send_request("Hi", tools=[{"type": "function", "function": function}])

    schema = dialect.read_wishes(server.requests[0].body).tools["Folder"]
    assert schema["type"] == "object" and list(schema["properties"]) == ["name", "folders"]
    check_references(schema)


@pytest.mark.parametrize("dialect", OPENAI, indirect=True)
def test_m7_the_name_of_a_schema_is_one_that_the_provider_takes(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.whole('{"entries": [1]}'))

    orchestrate().send_request("Hi", response_format=Page[int])

    assert '"name": "Page_int_"' in json.dumps(server.requests[0].body)


# ---------------------------------------------------------------- M8


def test_m8_half_an_object_is_an_error_with_the_text_that_was_paid_for(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, path: Path
) -> None:
    server.script(says(dialect, way, '{"name": "a", "mo', finish="length"))
    orchestrator = spend(entry={"fallback_models": ["never"], "max_retries": 2}, **price(dialect))

    with pytest.raises(OutputTruncatedError) as caught:
        ask(orchestrator, way, response_format=Leaf)

    response = caught.value.response
    assert (response.content, response.parsed) == ('{"name": "a", "mo', None)
    assert response.cost == orchestrator.get_session_cost() > 0
    assert (
        len(server.requests) == len(caught.value.attempts) == 1
    ), "neither retried nor given to another model"
    assert [(row["status"], row["total_tokens"]) for row in rows(path)] == [("ok", "18")]


def test_m8_a_whole_object_that_was_cut_is_no_instance(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(says(dialect, way, json.dumps(LEAF), finish="length"))

    with pytest.raises(OutputTruncatedError):
        ask(orchestrate(), way, response_format=Leaf)


@pytest.mark.parametrize(
    "text", ['{"name": "a", "mood": "odd"}', "A leaf.", '{"name": "a", "mood": "good"', "[]"]
)
def test_m8_output_that_does_not_fit_is_an_error_with_its_text(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, text: str
) -> None:
    server.script(says(dialect, way, text))

    with pytest.raises(OutputParseError) as caught:
        ask(orchestrate(max_retries=2, fallback_models=["never"]), way, response_format=Leaf)

    assert caught.value.response.content == text
    assert len(server.requests) == 1


def test_m8_a_refusal_is_an_answer_without_an_instance(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(answer(dialect, way, refusal="I will not."))

    response = ask(orchestrate(), way, response_format=Leaf)

    assert response.parsed is None and response.refusal
