"""JSON that is still being written: after every piece the value that pydantic reads from the whole text so far."""

from __future__ import annotations

import json
import random
from typing import Any, List

import pytest
from pydantic_core import from_json

from llm_orchestrator.request import partial_json
from llm_orchestrator.request.partial_json import PartialJSON

NUMBERS = "0123456789+-.eE"
TEXTS = [
    '{"a": 12, "b": [1, 2.5, -3e10, {"c": null, "d": true, "e": "x \\" , ] } \\\\"}], "": {}, "f": [[], "z"]}',
    ' {"a":{"a":{"a":"\\u00e9\\ud83d\\ude00"}}} \n',
    '{"a": 1, "a": {"b": 2}, "c": "12"}',
    '[true, false, null, 1, "é,]", {"k": []}]',
    json.dumps({"x": {"y": [{"z": i, "w": "s" * i} for i in range(5)]}}, indent=1),
    "[]",
    "{}",
]


def as_pydantic_reads(text: str) -> Any:
    """The value by pydantic alone, from the text without a number at its end."""
    plain = text.replace("\\\\", "").replace('\\"', "")
    before = text.rstrip(NUMBERS)
    if plain.count('"') % 2 == 0 and text[len(before) : len(before) + 1] in tuple("-0123456789"):
        text = before
    try:
        return from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return None


def values_of(*pieces: str) -> List[Any]:
    reader = PartialJSON()
    return [reader.value for piece in pieces if reader.feed(piece)]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("longest", [1, 2, 7])
def test_after_every_piece_it_is_what_pydantic_reads(text: str, longest: int) -> None:
    draw = random.Random(text)
    for _ in range(10):
        reader, end, seen = PartialJSON(), 0, []
        while end < len(text):
            start, end = end, end + draw.randint(1, longest)
            reader.feed(text[start:end])
            assert repr(reader.value) == repr(as_pydantic_reads(text[:end])), text[:end]
            seen.append((reader.value, repr(reader.value)))
        assert reader.value == json.loads(text)
        assert [repr(value) for value, _ in seen] == [shown for _, shown in seen], "no value changes later"


def test_a_number_comes_once_something_follows_it() -> None:
    assert values_of('{"a": 1', "2", ".5", ', "b": -', "3 ", "}") == [{}, {"a": 12.5}, {"a": 12.5, "b": -3}]


def test_a_value_comes_when_it_has_changed() -> None:
    assert values_of("{", '"a"', ": ", '"x', "y", '"', " }") == [{}, {"a": "x"}, {"a": "xy"}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('```json\n{"a": "x"}\n```\n', {"a": "x"}),
        ('Here it is:\n```\n["x"]\n``` Done.', ["x"]),
        ('<think>{"no": 1}</think> {"a": "x"}', {"a": "x"}),
        ('<think>{"no": 1}</think>\n```json\n{"a": "x"}', {"a": "x"}),
        ('\ufeff {"a": "x"} and more {', {"a": "x"}),
        ('{"a": "x"}{"b": "y"}', {"a": "x"}),
        ('{"a": "x"}\n[1, 2]', {"a": "x"}),
    ],
)
def test_what_stands_around_the_json_does_not_matter(text: str, expected: Any) -> None:
    assert values_of(*text)[-1] == expected
    assert {type(value) for value in values_of(*text)} == {type(expected)}


@pytest.mark.parametrize("text", ["", "12", '"text"', "true", "A text.", "}", "Here: {", "<think>{"])
def test_what_is_no_dict_and_no_list_has_no_value(text: str) -> None:
    assert values_of(*text) == []


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ('{"a": 1, b: 2}', {"a": 1}),
        ('{"a": [1}, "b": 2}', {"a": []}),
        ('["a" {"b": 1}]', ["a"]),
        ("{ {", {}),
        ('{"a": trux, "b": 1}', {}),
        ('{"a": "\\x", "b": 1}', {"a": ""}),
    ],
)
def test_what_is_no_json_has_no_further_value(text: str, last: Any) -> None:
    assert values_of(*text)[-1] == last


def test_nesting_without_end_has_an_end() -> None:
    assert len(values_of(*"[" * 5000)) == 200


def test_work_grows_with_the_text_and_not_with_its_square(monkeypatch: pytest.MonkeyPatch) -> None:
    read: List[int] = []

    def counted(text: str, **options: Any) -> Any:
        read.append(len(text))
        return from_json(text, **options)

    monkeypatch.setattr(partial_json, "from_json", counted)
    text = json.dumps([{"name": f"Thing {number}", "price": number / 4} for number in range(1000)])

    assert values_of(*(text[at : at + 10] for at in range(0, len(text), 10)))[-1] == json.loads(text)

    assert sum(read) < 10 * len(text)
