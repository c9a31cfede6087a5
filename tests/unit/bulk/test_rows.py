"""Rows, keys, templates and fingerprints: what a row becomes before it is asked."""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any, Dict, List

import pytest

from llm_orchestrator import ConfigurationError, InvalidMessagesError, InvalidRequestError, LLMOrchestrator
from llm_orchestrator.bulk.fingerprint import Fingerprints
from llm_orchestrator.bulk.keys import Keys
from llm_orchestrator.bulk.messages import messages_function
from llm_orchestrator.bulk.rows import BadRow, Rows
from llm_orchestrator.testing import FakeProvider
from llm_orchestrator.types import LLMRequest, Message


def read(source: Any) -> List[Any]:
    rows = Rows(source)
    shown = [str(row.error) if isinstance(row, BadRow) else row for row in rows]
    rows.close()
    return shown


def file(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_bytes(content.encode("utf-8"))
    return path


# ---------------------------------------------------------------- files


def test_json_lines(tmp_path: Path) -> None:
    path = file(tmp_path, "a.jsonl", '\ufeff{"a": 1}\n\n{"a": "\u00e4"}\r\n')
    assert read(path) == read(str(path)) == [{"a": 1}, {"a": "ä"}]


def test_a_line_that_was_cut_is_a_row_with_its_error(tmp_path: Path) -> None:
    whole, cut = read(file(tmp_path, "a.jsonl", '{"a": 1}\n{"a": "cut in the mid'))
    assert whole == {"a": 1}
    assert cut.startswith(f"Line 2 of {tmp_path}") and "not valid JSON" in cut


def test_csv_rows_have_the_names_of_the_header(tmp_path: Path) -> None:
    assert read(file(tmp_path, "a.csv", '\ufeffid,text\r\n1,"two\nlines"\r\n')) == [
        {"id": "1", "text": "two\nlines"}
    ]


@pytest.mark.parametrize("arguments", [{"messages": "{txt}"}, {"messages": "{text}", "key": "ID"}], ids=str)
def test_a_column_that_a_csv_file_has_not_ends_the_run_before_it_begins(
    tmp_path: Path, arguments: Dict[str, str]
) -> None:
    (tmp_path / "rows.csv").write_text("id,text\n1,Hi\n")
    fake = FakeProvider("Hi")
    config = {"providers": {}, "active_provider": "fake", "active_model": "fake-model"}

    with LLMOrchestrator(config, providers={"fake": fake}) as orchestrator:
        with pytest.raises(InvalidRequestError, match=r"no column '(txt|ID)'. It has id, text"):
            orchestrator.map(tmp_path / "rows.csv", **arguments)

    assert fake.requests == []


def test_a_csv_row_with_too_few_or_too_many_cells_is_a_row_with_its_error(tmp_path: Path) -> None:
    few, many, fine = read(file(tmp_path, "a.csv", "id,text\n1\n2,a,b\n3,c\n"))
    assert "too few cells" in few and "too many cells" in many
    assert fine == {"id": "3", "text": "c"}


def test_a_csv_file_that_is_not_utf_8_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,text\n1,\xff\n")
    assert "Save it as CSV in UTF-8" in read(path)[-1]


def test_parquet_rows(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    parquet.write_table(arrow.table({"id": [1, 2], "text": ["a", None]}), path)
    assert read(path) == [{"id": 1, "text": "a"}, {"id": 2, "text": None}]


@pytest.mark.parametrize("name", ["a.txt", "missing.jsonl", "missing.csv"])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(ConfigurationError):
        Rows(tmp_path / name)


@pytest.mark.parametrize("source", [None, 1, {"a": 1}, b"bytes"])
def test_what_is_no_rows(source: Any) -> None:
    with pytest.raises(InvalidRequestError, match="Pass an iterable of rows"):
        Rows(source)


def test_rows_are_read_lazily_and_their_generator_is_closed() -> None:
    seen: List[Any] = []

    def rows() -> Any:
        try:
            for number in range(10):
                seen.append(number)
                yield number
        finally:
            seen.append("closed")

    read_rows = Rows(rows())
    assert seen == [] and read_rows.total is None
    next(read_rows)
    read_rows.close()
    assert seen == [0, "closed"]


# ---------------------------------------------------------------- templates


def test_a_template_is_filled() -> None:
    fill = messages_function("Classify {{x}}: {text} {more}")
    assert fill({"text": "a {b}", "more": ["ä", 1]}) == 'Classify {x}: a {b} ["ä", 1]'


@pytest.mark.parametrize("row", [{"other": 1}, {"text": None}, {}, ["text"], "text", 5])
def test_a_row_that_lacks_a_field_or_is_no_object(row: Any) -> None:
    with pytest.raises(InvalidMessagesError, match="text"):
        messages_function("{text}")(row)


@pytest.mark.parametrize("template", ["{", "{}", "{text!r}", "{text:>10}"])
def test_a_template_that_is_wrong_is_said_at_once(template: str) -> None:
    with pytest.raises(InvalidRequestError, match="{name}"):
        messages_function(template)


def test_what_a_function_raises_is_the_error_of_its_row() -> None:
    with pytest.raises(InvalidMessagesError, match="messages failed on this row: KeyError: 'x'"):
        messages_function(lambda row: row["x"])({})


# ---------------------------------------------------------------- keys


def test_a_key_is_the_position_a_field_or_a_function() -> None:
    assert Keys(None).of({"id": 5}, 3) == 3
    assert Keys("id").of({"id": 5}, 3) == 5
    assert Keys(lambda row: (row["id"], "x")).of({"id": 5}, 3) == (5, "x")


def test_keys_of_other_types_are_other_keys() -> None:
    keys = Keys("id")
    texts = [keys.text(key) for key in (1, "1", 1.5, ["1"], True)]
    assert len(set(texts)) == 5
    keys.close()


def test_the_second_row_of_a_key_is_refused() -> None:
    keys = Keys("id")
    keys.text("a")
    with pytest.raises(InvalidMessagesError, match='An earlier row has the key "a"'):
        keys.text("a")
    keys.close()


# ---------------------------------------------------------------- fingerprints


def fingerprint(text: str = "Hi", **fields: Any) -> bytes:
    request = LLMRequest("m", (Message("user", text),), **fields)
    return Fingerprints({"provider": "p", "model": "m"}, request).of(request)


def test_a_fingerprint_changes_with_all_that_decides_an_answer_and_with_nothing_else() -> None:
    same = fingerprint()
    assert same == fingerprint(tags={"a": "b"}, timeout=5.0) == fingerprint()
    others = [
        fingerprint("Ho"),
        fingerprint(temperature=0.0),
        fingerprint(max_tokens=5),
        fingerprint(response_format={"type": "json_object"}),
    ]
    assert len({same, *others}) == 5


@pytest.mark.parametrize("text", ["Hi", 'A "quote", a \\ and a\nline', "ü \x00 \u2028 \ud800"])
def test_a_fingerprint_stays_what_it_is_or_journals_would_be_worthless(text: str) -> None:
    written = [
        json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")
        for value in ([{"provider": "p", "model": "m"}, {}], {"role": "user", "content": text})
    ]
    assert fingerprint(text) == blake2b(b"".join(written), digest_size=16).digest()


def test_keys_are_kept_as_json() -> None:
    keys = Keys(None)
    assert [keys.text(key) for key in (7, -1, True, "7", 7.5)] == ["7", "-1", "true", '"7"', "7.5"]
