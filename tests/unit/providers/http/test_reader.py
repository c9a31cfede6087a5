"""The reader of bytes: server-sent events however they are cut, and whole documents."""

from __future__ import annotations

import json
import time
import tracemalloc
from contextlib import suppress
from typing import Any, Dict, List, Sequence, Tuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.providers.http import reader as module
from llm_orchestrator.providers.http.reader import (
    MAX_BODY_BYTES,
    MAX_EVENT_BYTES,
    BodyReader,
    EventReader,
    read_document,
)

Outcome = Tuple[List[Dict[str, Any]], bool, bool]

MARK = b"\xef\xbb\xbf"
STREAM = (
    b": a comment\n"
    b"event: first\n"
    b"id: 7\n"
    b'data: {"text": "Gr\xc3\xbc\xc3\x9fe"}\n'
    b"\n"
    b"retry: 100\n"
    b"data:\n"
    b"\n"
    b'data:{"a":\n'
    b'data: "1"}\n'
    b"\n"
    b"data: [DONE]\n"
    b"\n"
)
EVENTS = [{"text": "Grüße"}, {"a": "1"}]
#: What makes a difference to a reader of events.
TOKENS = [
    b"data: ",
    b"data:",
    b'{"a": 1}',
    b"{",
    b"[DONE]",
    b"\n",
    b"\r",
    b"\r\n",
    b": c",
    b"\xef",
    MARK,
    b"\xff",
    b"x",
]
streams = st.one_of(st.binary(), st.lists(st.sampled_from(TOKENS), max_size=30).map(b"".join))


def outcome(chunks: Sequence[bytes]) -> Outcome:
    """The events that came, whether the stream said it is done, and whether it ended in a fault."""
    reader, events = EventReader(), []
    try:
        for chunk in chunks:
            events.extend(reader.feed(chunk))
        events.extend(reader.end())
    except InvalidResponseError:
        return events, reader.done, True
    return events, reader.done, False


def cut(stream: bytes, places: Sequence[int]) -> List[bytes]:
    ends = sorted({place % (len(stream) + 1) for place in places} | {len(stream)})
    return [stream[start:end] for start, end in zip([0, *ends], ends)]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("mark", [b"", MARK], ids=["", "with a byte-order mark"])
def test_line_ends_cuts_and_a_byte_order_mark_do_not_matter(newline: bytes, size: int, mark: bytes) -> None:
    stream = mark + STREAM.replace(b"\n", newline)
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert outcome(chunks) == (EVENTS, True, False)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(streams, st.lists(st.integers(0, 1000), max_size=8))
@example(b"\xefdata: {}\n\n", [1])
@example(b'data: {"a": 1}\n\ndata: {\n\n', [16])
@example(b'data: {"a": 1}\r\r\ndata: {}', [15, 16, 17])
def test_any_bytes_cut_anywhere_give_the_same_events_or_our_error(stream: bytes, places: List[int]) -> None:
    whole = outcome([stream])
    assert all(isinstance(event, dict) for event in whole[0])
    assert outcome(cut(stream, places)) == whole


def test_events_before_a_fault_come_first() -> None:
    assert outcome([b'data: {"a": 1}\n\ndata: <html>\n\n']) == ([{"a": 1}], False, True)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r"], ids=["in the line", "after the line", "in the line end"])
def test_the_blank_line_at_the_end_may_be_missing(end: bytes) -> None:
    assert outcome([b'data: {"a": 1}\n\n', b'data: {"b": 2}' + end])[0] == [{"a": 1}, {"b": 2}]
    assert outcome([b"data: [DONE]" + end]) == ([], True, False)


def test_an_event_that_was_cut_off_is_left_out() -> None:
    assert outcome([b'data: {"a": 1}\n\n', b'data: {"b": ']) == ([{"a": 1}], False, False)


def test_nothing_is_read_after_done() -> None:
    assert outcome([b'data: [DONE]\n\ndata: {"late": 1}\n\n', b"data: {\n\n"]) == ([], True, False)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"a": ' * 100_000 + b"1" + b"}" * 100_000, "not valid JSON"),
        (b"1" * 10_000, "not valid JSON|JSON object"),  # a number of more digits than newer Pythons read
        (b"[1]", "JSON object"),
        (b"null", "JSON object"),
        (b'"text"', "JSON object"),
    ],
    ids=["cut", "bad UTF-8", "deep list", "deep object", "long number", "list", "null", "text"],
)
def test_data_that_is_no_json_object_is_our_error(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidResponseError, match=reason) as event_error:
        list(EventReader().feed(b"data: " + data + b"\n\n"))
    with pytest.raises(InvalidResponseError, match=reason):
        read_document(data)
    assert len(str(event_error.value)) < 500, "the message shows the beginning only"


@pytest.mark.parametrize("beginning", [b'{"a": ', rb'{"text": "\ud83d", "a": '], ids=["", "half a character"])
@pytest.mark.parametrize("depth", [250, 980, 5000])
def test_nesting_is_bounded(beginning: bytes, depth: int) -> None:
    for opening, closing in ((b"[", b"]"), (b'{"a": ', b"}"), (b'[{"a": ', b"}]")):
        data = beginning + opening * depth + b"1" + closing * depth + b"}"
        with pytest.raises(InvalidResponseError):
            list(EventReader().feed(b"data: " + data + b"\n\n"))
        with pytest.raises(InvalidResponseError):
            read_document(data)


@pytest.mark.parametrize(
    "data",
    [rb'{"text": "\ud83d"}', b'{"a": ' + b"[" * 190 + b"]" * 190 + b"}", b'{"a": 1, "a": NaN}'],
    ids=["half a character", "deep", "a key twice, no number"],
)
def test_data_is_read_as_python_reads_it(data: bytes) -> None:
    assert repr(next(EventReader().feed(b"data: " + data + b"\n\n"))) == repr(json.loads(data))
    assert repr(read_document(data)) == repr(json.loads(data))


@pytest.mark.parametrize(
    "body",
    [b"", b"\n\n", b": only a comment\n\n", b"<!DOCTYPE html><html>", b"\xef"],
    ids=["empty", "blank lines", "a comment", "HTML", "half a mark"],
)
def test_a_body_without_events_is_our_error_and_is_shown(body: bytes) -> None:
    reader = EventReader()
    assert list(reader.feed(body)) == []
    with pytest.raises(InvalidResponseError) as caught:
        reader.end()
    assert repr(body.decode("utf-8", "replace")) in str(caught.value)


@pytest.mark.parametrize(
    ("start", "chunk"),
    [
        (b"data: ", b"x" * 1000),
        (b"data: ", b"x"),
        (b"", b"<" * 1000),
        (b"", b"data: " + b"x" * 1000 + b"\n"),
        (b"", b"data:\n" * 100),
    ],
    ids=["one line", "byte by byte", "no event at all", "lines of one event", "empty lines of one event"],
)
def test_an_event_without_end_is_our_error_in_bounded_memory(
    monkeypatch: pytest.MonkeyPatch, start: bytes, chunk: bytes
) -> None:
    limit = 5_000
    monkeypatch.setattr(module, "MAX_EVENT_BYTES", limit)
    reader = EventReader()
    list(reader.feed(start))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidResponseError, match=str(limit)):
            for _ in range(2 * limit):
                list(reader.feed(chunk))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * limit, "what came in all is 10,000 times the chunk"


def test_an_event_before_one_that_is_too_large_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EVENT_BYTES", 100)
    assert outcome([b'data: {"a": 1}\n\n' + b"x" * 101]) == ([{"a": 1}], False, True)


@pytest.mark.parametrize("pieces", [1, 2], ids=["in one piece", "with its last piece"])
def test_an_event_that_is_too_large_may_come_whole(monkeypatch: pytest.MonkeyPatch, pieces: int) -> None:
    monkeypatch.setattr(module, "MAX_EVENT_BYTES", 100)
    event = b'data: {"a": "' + b"x" * 150 + b'"}\n\n'
    size = len(event) // pieces
    assert outcome([event[:size], event[size:]]) == ([], False, True)


@pytest.mark.slow
def test_a_line_of_50_megabytes_is_our_error() -> None:
    reader, chunk = EventReader(), b"x" * 65536
    with pytest.raises(InvalidResponseError, match=str(MAX_EVENT_BYTES)):
        for _ in range(50 * 16):
            list(reader.feed(chunk))


def cpu_of(chunks: Sequence[bytes]) -> float:
    def once() -> float:
        started = time.process_time()
        outcome(chunks)
        return time.process_time() - started

    return min(once() for _ in range(3))


@pytest.mark.slow
@pytest.mark.parametrize("newline", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
@pytest.mark.parametrize("chunk", [b"x", b"data: x{}"], ids=["one long line", "lines of one event"])
def test_reading_takes_linear_time(newline: bytes, chunk: bytes) -> None:
    piece = chunk.replace(b"{}", newline)

    def ratio() -> float:
        short, long = (cpu_of([b"data: ", *[piece] * count]) for count in (5_000, 40_000))
        return long / short

    # A busy machine can spoil one measurement; quadratic time spoils every one.
    assert any(ratio() < 24 for _ in range(5)), "8 times the bytes; quadratic time would be 64 times"


def test_whole_documents() -> None:
    body = BodyReader()
    for chunk in (MARK, b'{"text": "Gr\xc3', b'\xbc\xc3\x9fe"}', None):
        assert not body.ended
        body.feed(chunk)
    assert body.ended
    assert body.document() == {"text": "Grüße"}


@pytest.mark.parametrize("body", [b"", b" \r\n"])
def test_an_empty_document_is_our_error(body: bytes) -> None:
    with pytest.raises(InvalidResponseError, match="empty reply"):
        read_document(body)


def test_a_document_without_end_is_our_error() -> None:
    body, chunk = BodyReader(), b" " * (1024 * 1024)
    with pytest.raises(InvalidResponseError, match=str(MAX_BODY_BYTES)):
        for _ in range(MAX_BODY_BYTES // len(chunk) + 1):
            body.feed(chunk)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.binary(),
        st.text().map(str.encode),
        st.recursive(st.none() | st.text(), st.lists).map(json.dumps).map(str.encode),
    )
)
def test_any_document_is_an_object_or_our_error(body: bytes) -> None:
    with suppress(InvalidResponseError):
        assert isinstance(read_document(body), dict)


def test_the_limits_leave_room_for_inline_images() -> None:
    assert module.MAX_EVENT_BYTES >= 30_000_000
