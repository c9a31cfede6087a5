"""The small translations that adapters share."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Optional

import pytest

from llm_orchestrator.exceptions import InvalidMessagesError, InvalidRequestError
from llm_orchestrator.providers.reading import (
    InlineData,
    as_count,
    as_list,
    as_mapping,
    as_mappings,
    as_text,
    as_text_or_none,
    parse_data_url,
)
from llm_orchestrator.types import (
    Message,
    ToolCall,
    arguments_text,
    checked,
    parse_arguments,
    parts_of,
    tool_call,
)
from llm_orchestrator.utils.json import merged, without_none

TEXT = {"type": "text", "text": "Hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


ODD_VALUES = [None, True, 0, 1.5, "", "text", [], ["a"], {}, {"a": 1}, -1]


@pytest.mark.parametrize(
    ("read", "kept", "otherwise"),
    [
        (as_mapping, [{}, {"a": 1}], {}),
        (as_list, [[], ["a"]], []),
        (as_mappings, [], []),
        (as_text, ["", "text"], ""),
        (as_text_or_none, ["text"], None),
        (as_count, [0], None),
    ],
)
def test_a_value_of_the_wrong_type_counts_as_missing(read: Any, kept: Any, otherwise: Any) -> None:
    for value in ODD_VALUES:
        is_kept = any(value is not True and value == each for each in kept)
        result = read(value)
        assert result == (value if is_kept else otherwise) and type(result) is not bool, value


def test_an_object_need_not_be_a_dict() -> None:
    frozen = MappingProxyType({"a": 1})
    assert as_mapping(frozen) is frozen
    assert as_mappings([frozen, 1, {"b": 2}, None, "text"]) == [frozen, {"b": 2}]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("data:image/png;base64,AAAA", InlineData("image/png", "AAAA")),
        ("data:text/plain;charset=utf-8;base64,QUJD", InlineData("text/plain", "QUJD")),
        ("data:;base64,AAAA", InlineData("", "AAAA")),
        ("data:image/png;base64,AA\nAA", InlineData("image/png", "AA\nAA")),
        ("data:text/plain,hello", None),
        ("https://example.com/data:image/png;base64,AAAA", None),
        ("", None),
    ],
)
def test_data_urls(url: str, expected: Optional[InlineData]) -> None:
    assert parse_data_url(url) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, []), ("", []), ("Hi", [TEXT]), ([], []), ([TEXT, IMAGE], [TEXT, IMAGE]), ((TEXT,), [TEXT])],
)
def test_the_parts_of_a_message(content: Any, expected: Any) -> None:
    assert parts_of(Message("user", content), 0) == expected


@pytest.mark.parametrize("part", ["Hi", 7, None, {}, {"type": None}, {"text": "Hi"}])
def test_a_part_without_a_type_is_refused_by_the_messages_index(part: Any) -> None:
    with pytest.raises(InvalidMessagesError, match=r"messages\[3\]") as caught:
        parts_of(Message("user", [TEXT, part]), 3)
    assert caught.value.index == 3


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ('{"a": {"b": [1]}}', {"a": {"b": [1]}}),
        ("", {}),
        (" \n", {}),
        ("{", None),
        ("[1]", None),
        ("null", None),
        ("[" * 100_000, None),
    ],
    ids=["object", "nothing", "blank", "cut", "list", "null", "deep"],
)
def test_arguments_of_a_tool_call(raw: str, expected: Any) -> None:
    assert parse_arguments(raw) == expected
    assert tool_call("call-1", "clock", raw) == ToolCall("call-1", "clock", expected, raw)


@pytest.mark.parametrize(
    ("given", "expected"), [(None, "{}"), ({}, "{}"), ({"zone": "Zürich"}, '{"zone": "Zürich"}')]
)
def test_arguments_as_text(given: Any, expected: str) -> None:
    assert arguments_text(given) == expected


@pytest.mark.parametrize(
    ("stop", "expected"),
    [("END", ("END",)), (["A", "B"], ("A", "B")), (("A",), ("A",)), ([], None)],
)
def test_the_texts_that_end_an_answer(stop: Any, expected: Any) -> None:
    assert checked("stop", stop) == expected


@pytest.mark.parametrize("stop", [7, "", [""], ["A", None], {"a": 1}])
def test_stop_is_a_text_or_a_list_of_texts(stop: Any) -> None:
    with pytest.raises(InvalidRequestError, match="stop"):
        checked("stop", stop)


def test_what_was_not_told_is_left_out() -> None:
    assert without_none({"a": None, "b": 0, "c": "", "d": False}) == {"b": 0, "c": "", "d": False}


@pytest.mark.parametrize(
    ("base", "changes", "expected"),
    [
        ({}, {}, {}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"b": 1, "c": 1}}, {"a": {"c": {"d": 2}}}, {"a": {"b": 1, "c": {"d": 2}}}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_merging(base: Any, changes: Any, expected: Any) -> None:
    frozen = MappingProxyType(base), MappingProxyType(changes)
    before = repr(frozen)
    assert merged(*frozen) == expected
    assert repr(frozen) == before, "neither argument is changed"
