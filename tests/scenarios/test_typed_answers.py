"""X6: an answer is a value of whatever type pydantic can check; one that is no object is wrapped on the wire."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import json
import pickle
from typing import Annotated, Any, Callable, Dict, List, Literal, Mapping, NamedTuple, Optional, Union

import pytest
from pydantic import BaseModel, Field, TypeAdapter
from typing_extensions import TypedDict

from llm_orchestrator import InvalidRequestError, LLMOrchestrator, LLMResponse, OutputParseError
from tests.support.fixtures import Orchestrate
from tests.support.marks import STREAMED, chat, streamed
from tests.support.money import answer
from tests.support.scripted_server import Dialect, ScriptedServer
from tests.support.scripted_server.replies import Reply
from tests.support.ways import ask


class City(BaseModel):
    name: str
    people: int = Field(ge=0)


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Label(TypedDict):
    name: str


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


class Case(NamedTuple):
    """A type, an answer as the model writes it, its value, and whether it is wrapped."""

    given: Any
    written: Any
    value: Any
    is_wrapped: bool


ROME = {"name": "Rome", "people": 5}
CASES: Mapping[str, Case] = {
    "a class": Case(City, ROME, City(**ROME), False),
    "a dataclass": Case(Point, {"x": 1, "y": 2}, Point(1, 2), False),
    "a TypedDict": Case(Label, {"name": "spam"}, {"name": "spam"}, False),
    "a list": Case(List[City], [ROME], [City(**ROME)], True),
    "a Literal": Case(Literal["yes", "no"], "yes", "yes", True),
    "an Enum": Case(Mood, "good", Mood.GOOD, True),
    "a Union": Case(Union[City, Point], {"x": 1, "y": 2}, Point(1, 2), True),
    "an Optional": Case(Optional[City], None, None, True),
    "Annotated": Case(Annotated[int, Field(ge=3)], 4, 4, True),
    "a number": Case(float, 1.5, 1.5, True),
    "a text": Case(str, "Rome", "Rome", True),
}
EACH_CASE = pytest.mark.parametrize("case", list(CASES.values()), ids=list(CASES))


def text_of(case: Case) -> str:
    return json.dumps({"value": case.written} if case.is_wrapped else case.written)


def says(dialect: Dialect, way: str, text: str) -> Reply:
    half = len(text) // 2
    return answer(
        dialect, way, **({"pieces": [text[:half], text[half:]]} if way in STREAMED else {"text": text})
    )


@EACH_CASE
def test_x6_the_answer_is_a_value_of_the_type(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, case: Case
) -> None:
    server.script(says(dialect, way, text_of(case)))

    response = ask(orchestrate(), way, response_format=case.given)

    assert response.parsed == case.value and type(response.parsed) is type(case.value)
    assert response.content == text_of(case), "it keeps the text as it came"
    schema = dialect.read_wishes(server.requests[0].body).output
    assert schema is not None and schema["type"] == "object"
    assert (list(schema["properties"]) == ["value"]) is case.is_wrapped


def test_x6_what_a_model_does_not_wrap_is_read_as_well(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(says(dialect, way, "```json\n[1, 2]\n```"))

    assert ask(orchestrate(), way, response_format=List[int]).parsed == [1, 2]


def test_x6_an_answer_that_does_not_fit_is_asked_for_again(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(says(dialect, way, '{"value": [1, "many"]}'), says(dialect, way, '{"value": [1, 2]}'))

    response = _last(orchestrate(), way, response_format=List[int], reask=1)

    assert response.parsed == [1, 2]
    told = dialect.read_request(server.requests[1].body, server.requests[1].path)["messages"][-1][1]
    assert "value.1: Input should be a valid integer" in told


def _last(orchestrator: LLMOrchestrator, way: str, **arguments: Any) -> LLMResponse[Any]:
    if way == "streamed":
        return orchestrator.send_streaming_request("Hi", **arguments).final_response()
    if way == "async streamed":

        async def read() -> LLMResponse[Any]:
            return await orchestrator.asend_streaming_request("Hi", **arguments).final_response()

        return asyncio.run(read())
    return ask(orchestrator, way, **arguments)


def test_x6_the_error_names_the_type_and_what_is_wrong(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(says(dialect, way, '{"value": "perhaps"}'))

    with pytest.raises(OutputParseError, match=r"not a valid Literal\['yes', 'no'\]: value: Input should be"):
        ask(orchestrate(), way, response_format=Literal["yes", "no"])


@streamed
def test_x6_what_grows_is_the_value_itself(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    text = '{"value": [{"name": "Rome", "people": 5}]}'
    server.script(dialect.stream([text[:23], text[23:30], text[30:]]))
    orchestrator = orchestrate()

    async def main() -> List[Any]:
        if way == "streamed":
            return list(orchestrator.send_streaming_request("Hi", response_format=List[City]).partial())
        stream = orchestrator.asend_streaming_request("Hi", response_format=List[City])
        return [value async for value in stream.partial()]

    values = asyncio.run(main())

    assert [{"name": "Rome"}] in values and all(isinstance(value, list) for value in values)
    assert values[-1] == [City(name="Rome", people=5)]


def test_x6_rows_and_conversations_are_typed_too(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(*[dialect.whole('{"value": "good"}')] * 3)
    orchestrator = orchestrate()

    results = list(orchestrator.map(["a", "b"], response_format=Mood))
    spoken = orchestrator.start_conversation().send("c", response_format=Mood)

    assert [result.parsed for result in results] == [Mood.GOOD, Mood.GOOD] and spoken.parsed is Mood.GOOD


@chat
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Callable[[], int], "has no JSON schema"),
        (5, "response_format is a int. Pass a pydantic class, another type that pydantic can check"),
        ([City], "response_format is a list"),
        (json.dumps, "response_format is a function"),
    ],
)
def test_x6_what_is_no_type_is_refused(
    orchestrate: Orchestrate, server: ScriptedServer, way: str, given: Any, expected: str
) -> None:
    with pytest.raises((InvalidRequestError, TypeError), match=expected):
        ask(orchestrate(), way, response_format=given)
    assert server.requests == []


@chat
def test_x6_a_typed_answer_is_pickled_and_read_by_pydantic(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(dialect.whole(json.dumps(ROME)))
    response = orchestrate().send_request("Hi", response_format=City)

    assert pickle.loads(pickle.dumps(response)) == response
    written: Dict[str, Any] = TypeAdapter(LLMResponse[City]).dump_python(response, mode="json")
    assert written["parsed"] == ROME
    assert LLMResponse[City]("", "m", "p").parsed is None


# ---------------------------------------------------------------- words


def test_ff9_a_near_miss_of_a_choice_warns_and_is_sent(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    def clock() -> str:
        """Tell the time."""
        return "noon"

    response = ask(orchestrate(), way, tools=[clock], tool_choice="requierd")

    assert "tool_choice 'requierd' was sent as it is. Did you mean 'required'?" in response.warnings
    assert "requierd" in json.dumps(server.requests[0].body)
