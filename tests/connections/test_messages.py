"""Requests and replies without a socket: every cut of every reply, and bytes that are anything."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Dict, List, Tuple, Type

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_orchestrator.exceptions import (
    ConfigurationError,
    InvalidRequestError,
    InvalidResponseError,
    OrchestratorError,
    ProviderConnectionError,
)
from llm_orchestrator.providers.http.core import messages
from llm_orchestrator.providers.http.core.messages import ReplyParser, header_bytes, request_bytes
from llm_orchestrator.providers.http.core.origins import Origin
from llm_orchestrator.providers.http.core.settings import HttpSettings
from tests.connections.servers import FIN, KEEP
from tests.connections.test_wire import CASES, OK, Case

ORIGIN = Origin.of("https://api.test", HttpSettings(proxy=""))
SHORT = [case for case in CASES if len(case.sent) < 300 and case.end in {KEEP, FIN}]


def read(pieces: List[bytes], *, ends: bool, parser: Any = None) -> Tuple[int, bytes, bool]:
    """Status, body and whether the connection can be used again."""
    parser = parser or ReplyParser()
    parser.begin("POST")
    body = b""
    for piece in pieces:
        parser.feed(piece)
        body += b"".join(iter(parser.take, b""))
    if ends:
        parser.end(is_clean=True)
        body += b"".join(iter(parser.take, b""))
    if not parser.complete:
        raise ProviderConnectionError("unfinished")
    parser.finish()
    return parser.status, body, parser.is_reusable


def outcome(pieces: List[bytes], case: Case) -> Any:
    try:
        return read(pieces, ends=case.end == FIN)
    except (InvalidResponseError, ProviderConnectionError) as error:
        return type(error)


@pytest.mark.slow
@pytest.mark.parametrize("case", SHORT, ids=lambda case: case.name)
def test_cut_anywhere_it_is_the_same(case: Case) -> None:
    whole = outcome([case.sent], case)
    assert whole == (case.error or (case.status, case.body, case.reused))
    for at in range(1, len(case.sent)):
        assert outcome([case.sent[:at], case.sent[at:]], case) == whole
    assert outcome([case.sent[at : at + 1] for at in range(len(case.sent))], case) == whole


def test_one_parser_reads_many_replies() -> None:
    parser = ReplyParser()
    for case in [case for case in SHORT if case.reused and case.error is None]:
        for _ in range(3):
            assert read([case.sent], ends=False, parser=parser) == (case.status, case.body, True)


class _Reference:
    """The headers of the last head that is whole, as httptools takes it apart."""

    def __init__(self, sent: bytes) -> None:
        self.headers: Dict[str, List[str]] = {}
        self.is_whole = False
        self._parser = httptools.HttpResponseParser(self)
        with suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._parser.feed_data(sent)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.is_whole:
            self.headers.setdefault(name.decode().lower(), []).append(value.decode("latin-1").strip(" \t"))

    def on_headers_complete(self) -> None:
        if not self.is_whole:
            self.is_whole = self._parser.get_status_code() >= 200
            self.headers = self.headers if self.is_whole else {}


_LINES = st.sampled_from(
    [
        b"A: b",
        b"a:c \t",
        b"Set-Cookie: a=b:c",
        b"B:",
        b"C: \x80\xff",
        b"content-encoding: identity",
        b" folded",
        b"x",
        b"",
    ]
)
_ENDS = st.sampled_from([b"\r\n"] * 9 + [b"\n", b"\r"])
_STARTS = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n", b"\r\nHTTP/1.1 200\r\n", b"HTTP/1.1 103 E\r\nq: r\r\n\r\nHTTP/1.1 200 OK\r\n"]
)


@given(_STARTS, st.lists(st.tuples(_LINES, _ENDS), max_size=6), st.integers(0, 120))
def test_headers_are_those_that_the_parser_finds(
    start: bytes, lines: List[Tuple[bytes, bytes]], cut: int
) -> None:
    sent = start + b"".join(line + end for line, end in lines) + b"\r\n"
    reference, parser = _Reference(sent), ReplyParser()
    parser.begin("POST")
    with suppress(InvalidResponseError, ProviderConnectionError):
        parser.feed(sent[:cut])
        parser.feed(sent[cut:])
    assert parser.head_done <= reference.is_whole
    if parser.head_done:
        assert dict(parser.headers) == {name: ", ".join(values) for name, values in reference.headers.items()}
        assert len(parser.headers) == len(reference.headers)
        assert "A" in parser.headers or "a" not in reference.headers


@given(st.binary(max_size=300), st.integers(0, 40), st.sampled_from(SHORT))
def test_any_bytes_give_a_reply_or_an_error_of_ours(data: bytes, at: int, case: Case) -> None:
    for sent in (data, case.sent[:at] + data, case.sent[:at] + data[:3] + case.sent[at + len(data[:3]) :]):
        outcome([sent], case)


@given(st.binary(min_size=1, max_size=50))
def test_anything_behind_a_reply_is_noticed(left: bytes) -> None:
    status, body, reusable = read([OK + left], ends=False)
    assert (status, body) == (200, b"hello")
    assert not reusable or not left.strip(b"\r\n")
    parser = ReplyParser()
    assert read([OK], ends=False, parser=parser)[2]
    parser.feed(left)
    assert not parser.is_reusable


@pytest.mark.parametrize(
    "method", ["on_message_begin", "on_headers_complete", "on_body", "on_message_complete"]
)
@pytest.mark.parametrize("raised", [KeyboardInterrupt(), SystemExit(3), TimeoutError("an alarm")], ids=repr)
def test_what_a_signal_raises_while_a_reply_is_read_is_not_taken_for_a_broken_reply(
    monkeypatch: pytest.MonkeyPatch, method: str, raised: BaseException
) -> None:
    def interrupted(*arguments: object) -> None:
        raise raised

    monkeypatch.setattr(ReplyParser, method, interrupted)
    with pytest.raises(type(raised)) as caught:
        read([OK], ends=False)
    assert caught.value is raised


def test_headers_are_written_as_given() -> None:
    assert header_bytes({"X-Key": " a b ", "y": "\u00e9"}) == b"X-Key: a b\r\ny: \xe9\r\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [("x", "secret\r\nhost: b"), ("x", "secret\n"[:-1] + "\nb"), ("x", "secret\0"), ("x", "secret\u20ac"), ("x y", "1"), ("", "1"), ("x:", "1"),
     ("x\n", "1"), ("Host", "a"), ("content-length", "5"), ("Transfer-Encoding", "chunked"), ("Connection", "close"), ("Expect", "100-continue")],
)  # fmt: skip
def test_headers_that_cannot_be_sent(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        header_bytes({name: value})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "path", ["", "v1", "/a b", "/a\r\nhost: b", "/\u00e9", "http://elsewhere/", "/a\x7f", "/a\n"]
)
def test_paths_that_cannot_be_sent(path: str) -> None:
    with pytest.raises(InvalidRequestError, match="percent-encoded") as caught:
        request_bytes(ORIGIN, "POST", path, b"", b"")
    assert not caught.value.sent


def test_a_body_of_nothing_has_a_length() -> None:
    assert b"content-length: 0\r\n" in request_bytes(ORIGIN, "POST", "/", b"", b"")
    assert b"content-length" not in request_bytes(ORIGIN, "GET", "/", b"", None)


@pytest.mark.parametrize(
    ("packed", "error"),
    [(b"\x1f\x8b" + bytes(8), InvalidResponseError), (b"", None)],
)
def test_packed_body_of_nothing(packed: bytes, error: Type[OrchestratorError]) -> None:
    sent = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed) + packed
    if error:
        with pytest.raises(error):
            read([sent], ends=False)
    else:
        assert read([sent], ends=False) == (200, b"", True)


def test_members_without_end() -> None:
    import gzip

    data = gzip.compress(b"") * 5000
    with pytest.raises(InvalidResponseError, match="goes on after its end"):
        read(
            [b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(data) + data],
            ends=False,
        )


def test_steps_are_bounded() -> None:
    import gzip

    data = gzip.compress(bytes(10_000_000))
    parser = ReplyParser()
    parser.begin("POST")
    parser.feed(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(data) + data)
    sizes = [len(piece) for piece in iter(parser.take, b"")]
    assert sum(sizes) == 10_000_000 and max(sizes) <= 256 * 1024


def test_exact_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MAX_BODY_BYTES", 5)
    assert read([OK], ends=False)[1] == b"hello"
    with pytest.raises(InvalidResponseError, match="larger than 5 bytes"):
        read([OK.replace(b"5", b"6") + b"!"], ends=False)
    monkeypatch.setattr(messages, "MAX_ERROR_BODY_BYTES", 3)
    with pytest.raises(InvalidResponseError, match="larger than 3 bytes") as caught:
        read([OK.replace(b"200", b"503")], ends=False)
    assert caught.value.status_code == 503
