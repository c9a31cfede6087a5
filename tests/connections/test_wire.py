"""What a server may send, and what comes of it: the same table for sync and async, plain and with TLS."""

from __future__ import annotations

import gzip
import threading
import zlib
from contextlib import suppress
from typing import Any, Callable, List, NamedTuple, Optional, Type

import pytest

from llm_orchestrator.exceptions import (
    ConfigurationError,
    InvalidResponseError,
    OrchestratorError,
    ProviderConnectionError,
    ProviderTimeoutError,
)
from tests.connections.callers import Caller
from tests.connections.servers import CUT, FIN, KEEP, RST, Peer

pytestmark = pytest.mark.slow

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


def reply(status: str = "200 OK", *headers: str, body: bytes = b"", version: str = "1.1") -> bytes:
    return "\r\n".join([f"HTTP/{version} {status}", *headers, "", ""]).encode("latin-1") + body


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end


class Case(NamedTuple):
    name: str
    sent: bytes
    end: str = KEEP
    status: int = 200
    body: bytes = b"hello"
    error: Optional[Type[OrchestratorError]] = None
    words: str = ""
    reused: bool = True


def packed(name: str, encoding: str, data: bytes, **more: Any) -> Case:
    return Case(
        name,
        reply("200 OK", f"content-encoding: {encoding}", f"content-length: {len(data)}", body=data),
        **more,
    )


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


LOST = {"error": ProviderConnectionError, "words": "Try again"}
BROKEN = {"error": InvalidResponseError, "words": "cannot be read"}
GZIP = gzip.compress(b"hello", mtime=0)
CASES = [
    Case("length", OK),
    Case("chunked", reply("200 OK", "transfer-encoding: chunked", body=chunked(b"he", b"llo"))),
    Case("chunk extension and trailer", reply("200 OK", "Transfer-Encoding: Chunked", body=b"5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n")),
    Case("no reason", reply("200", "content-length: 5", body=b"hello")),
    Case("empty", reply("200 OK", "content-length: 0"), body=b""),
    Case("empty chunked", reply("200 OK", "transfer-encoding: chunked", body=chunked()), body=b""),
    Case("204", reply("204 No Content"), status=204, body=b""),
    Case("304 with a length", reply("304 Not Modified", "content-length: 5"), status=304, body=b""),
    Case("redirect", reply("302 Found", "location: http://elsewhere", "content-length: 5", body=b"hello"), status=302),
    Case("error status", reply("500 No", "content-length: 5", body=b"hello"), status=500),
    Case("100", reply("100 Continue") + OK),
    Case("103", reply("103 Early Hints", "link: </a>") + OK),
    Case("several interim replies", reply("102 Processing") * 50 + OK),
    Case("upgrade offered", reply("200 OK", "upgrade: h2c", "connection: upgrade", "content-length: 5", body=b"hello")),
    Case("blank lines before", b"\r\n\r\n" + OK),
    Case("connection: close", reply("200 OK", "connection: close", "content-length: 5", body=b"hello"), reused=False),
    Case("HTTP/1.0", reply("200 OK", "content-length: 5", body=b"hello", version="1.0"), reused=False),
    Case("HTTP/1.0 keep-alive", reply("200 OK", "connection: keep-alive", "content-length: 5", body=b"hello", version="1.0")),
    Case("until the end", reply("200 OK", body=b"hello"), FIN, reused=False),
    Case("HTTP/1.0 until the end", reply("200 OK", body=b"hello", version="1.0"), FIN, reused=False),
    Case("length, then FIN", OK, FIN, reused=False),
    Case("length, then RST", OK, RST, reused=False),
    Case("chunks of one byte", reply("200 OK", "transfer-encoding: chunked", body=chunked(*[b"%c" % byte for byte in b"hello"]))),
    packed("gzip", "gzip", GZIP),
    packed("x-gzip", "X-GZip", GZIP),
    packed("gzip of two members", "gzip", gzip.compress(b"he") + gzip.compress(b"llo")),
    packed("gzip with zeros behind", "gzip", GZIP + bytes(100)),
    packed("deflate", "deflate", zlib.compress(b"hello")),
    packed("raw deflate", "deflate", raw_deflate(b"hello")),
    packed("identity", "identity", b"hello"),
    packed("empty gzip", "gzip", b"", body=b""),
    Case("gzip in chunks", reply("200 OK", "content-encoding: gzip", "transfer-encoding: chunked", body=chunked(GZIP[:3], GZIP[3:]))),
    packed("gzip cut", "gzip", GZIP[:-3], **BROKEN),
    packed("gzip broken", "gzip", b"\x1f\x8b nonsense, not gzip", **BROKEN),
    packed("gzip with rubbish behind", "gzip", GZIP + b"rubbish", **BROKEN),
    packed("deflate with rubbish behind", "deflate", zlib.compress(b"hello") + b"rubbish", **BROKEN),
    packed("deflate of one byte", "deflate", b"\x78", **BROKEN),
    packed("unknown encoding", "br", b"hello", error=InvalidResponseError, words="content-encoding 'br'"),
    packed("two encodings", "gzip, gzip", gzip.compress(GZIP), **BROKEN),
    Case("nothing, FIN", b"", FIN, **LOST),
    Case("nothing, RST", b"", RST, **LOST),
    Case("half a head, FIN", OK[:20], FIN, **LOST),
    Case("half a head, RST", OK[:20], RST, **LOST),
    Case("half a body, FIN", OK[:-2], FIN, **LOST),
    Case("half a body, RST", OK[:-2], RST, **LOST),
    Case("half a chunk, FIN", reply("200 OK", "transfer-encoding: chunked", body=b"5\r\nhel"), FIN, **LOST),
    Case("no last chunk, FIN", reply("200 OK", "transfer-encoding: chunked", body=b"5\r\nhello\r\n"), FIN, **LOST),
    Case("only interim, FIN", reply("100 Continue"), FIN, **LOST),
    Case("until the end, RST", reply("200 OK", body=b"hello"), RST, **LOST),
    Case("length and chunked", reply("200 OK", "content-length: 5", "transfer-encoding: chunked", body=chunked(b"hello")), **BROKEN),
    Case("two lengths", reply("200 OK", "content-length: 5", "content-length: 6", body=b"hello"), **BROKEN),
    Case("a length that is none", reply("200 OK", "content-length: -5", body=b"hello"), **BROKEN),
    Case("a length beyond all", reply("200 OK", "content-length: 99999999999999999999", body=b"hello"), **BROKEN),
    Case("coded before chunked", reply("200 OK", "transfer-encoding: gzip, chunked", body=chunked(GZIP)), **BROKEN),
    Case("coded, not chunked", reply("200 OK", "transfer-encoding: gzip", body=GZIP), FIN, **BROKEN),
    Case("bare line feeds", b"HTTP/1.1 200 OK\ncontent-length: 5\n\nhello", **BROKEN),
    Case("folded header", reply("200 OK", "x: a\r\n b", "content-length: 5", body=b"hello"), **BROKEN),
    Case("blank in a name", reply("200 OK", "bad name: a", "content-length: 5", body=b"hello"), **BROKEN),
    Case("not HTTP", b"<html>nope</html>", **BROKEN),
    Case("another protocol", b"SSH-2.0-OpenSSH_9.9\r\n", **BROKEN),
    Case("HTTP/2.0", reply("200 OK", "content-length: 5", body=b"hello", version="2.0"), error=InvalidResponseError, words="HTTP/2.0"),
    Case("101", reply("101 Switching Protocols", "upgrade: websocket", "connection: upgrade"), error=InvalidResponseError, words="101"),
    Case("plain 101", reply("101 Switching Protocols") + OK, error=InvalidResponseError, words="101"),
    Case("storm of interim replies", reply("100 Continue") * 5000 + OK, error=InvalidResponseError, words="interim"),
    Case("endless header", b"HTTP/1.1 200 OK\r\nx: " + b"a" * 1_000_000, error=InvalidResponseError, words="head is larger"),
    Case("many headers", reply("200 OK", *["x: " + "a" * 50] * 5000, "content-length: 5", body=b"hello"), error=InvalidResponseError, words="head is larger"),
    Case("endless trailer", reply("200 OK", "transfer-encoding: chunked", body=b"5\r\nhello\r\n0\r\nx: " + b"a" * 1_000_000), error=InvalidResponseError, words="trailer"),
    Case("endless chunk extension", reply("200 OK", "transfer-encoding: chunked", body=b"5;" + b"a" * 1_000_000), error=InvalidResponseError, words="chunk"),
]  # fmt: skip


def script_of(case: Case, **sending: Any) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        for _ in peer.requests():
            peer.send(case.sent, **sending)
            if case.end != KEEP:
                peer.end(case.end)
                return

    return script


def check(case: Case, caller: Caller, server: Any) -> None:
    if case.error is not None:
        with pytest.raises(case.error, match=case.words) as caught:
            caller.ask()
        check_error(caught.value)
        caller.settle()
        assert caller.idle == 0
    else:
        answer = caller.open()
        assert (answer.status, answer.read()) == (case.status, case.body)
        if case.end != KEEP:  # or the second request would be faster than the end
            assert server.peers[0].closed_by_client.wait(20)
            caller.settle()
        assert caller.ask() == case.body
        assert len(server.peers) == (1 if case.reused else 2)


def check_error(error: BaseException) -> None:
    """It is one of ours, in two sentences, without the key, and tells that the request was sent."""
    assert "sk-sentinel" not in repr(error) and str(error).count(". ") >= 1 and str(error).endswith(".")
    assert isinstance(error, ConfigurationError) or (error.sent and error.may_be_billed)  # type: ignore[attr-defined]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_table(case: Case, serve: Any, call: Any) -> None:
    server = serve(script_of(case))
    check(case, call(server), server)
    assert call(server).idle == 0


@pytest.mark.parametrize("case", [case for case in CASES if len(case.sent) < 300], ids=lambda case: case.name)
def test_table_byte_by_byte(case: Case, serve: Any, call: Any) -> None:
    server = serve(script_of(case, each=1, pause=0))
    check(case, call(server), server)


def test_cut_at_every_position(serve: Any, call: Any) -> None:
    sent = reply("103 Early Hints") + reply(
        "200 OK",
        "content-encoding: gzip",
        "transfer-encoding: chunked",
        body=chunked(GZIP[:7], GZIP[7:], end=b"0\r\nx: y\r\n\r\n"),
    )

    def script(peer: Peer) -> None:
        for position, _ in enumerate(peer.requests(), 1):
            peer.send(sent, cut=position, pause=0.001)

    server = serve(script)
    caller = call(server)
    assert [caller.ask() for _ in range(1, len(sent))] == [b"hello"] * (len(sent) - 1)
    assert len(server.peers) == 1


def test_half_closed_tls_is_a_cut_where_the_end_is_the_length(serve: Any, call: Any, security: str) -> None:
    case = Case("", reply("200 OK", body=b"hello"), CUT, reused=False)
    server = serve(script_of(case))
    caller = call(server)
    if security == "tls":
        with pytest.raises(ProviderConnectionError, match="in the middle of the reply"):
            caller.ask()
    else:
        check(case, caller, server)


@pytest.mark.parametrize(
    ("sent", "end"),
    [
        (reply("200 OK", "transfer-encoding: chunked", body=chunked(b"hello", end=b"zz\r\n")), KEEP),
        (reply("200 OK", "transfer-encoding: chunked", body=chunked(b"hello", end=b"")), FIN),
        (reply("200 OK", "content-length: 9", body=b"hello"), FIN),
        (
            reply(
                "200 OK",
                "transfer-encoding: chunked",
                "content-encoding: gzip",
                body=chunked(GZIP, end=b"zz\r\n"),
            ),
            KEEP,
        ),
    ],
    ids=["broken framing", "no end", "shorter than announced", "packed"],
)
def test_what_came_before_the_reply_broke_off_is_handed_out_first(
    sent: bytes, end: str, serve: Any, call: Any
) -> None:
    server = serve(script_of(Case("", sent, end)))
    caller = call(server)
    answer = caller.open()
    pieces: List[bytes] = []
    with pytest.raises(ProviderConnectionError, match="Try again") as caught:
        pieces.extend(answer.pieces())
    assert b"".join(pieces) == b"hello"
    check_error(caught.value)
    caller.settle()
    assert caller.idle == 0


def test_head_has_no_body(serve: Any, call: Any) -> None:
    server = serve(script_of(Case("", reply("200 OK", "content-length: 5"))))
    caller = call(server)
    assert [caller.ask(None, method="HEAD") for _ in range(2)] == [b"", b""]


def test_request_is_one_write_with_what_is_configured_and_nothing_else(serve: Any, call: Any) -> None:
    server = serve(script_of(Case("", OK)))
    caller = call(server)
    caller.ask(b'{"a": 1}', path="/v1/chat?x=y%20z")
    caller.ask(None, path="/v1/models")
    host = f"host: 127.0.0.1:{server.port}"
    own = ["authorization: Bearer sk-sentinel", "content-type: application/json"]
    first = [
        "POST /v1/chat?x=y%20z HTTP/1.1",
        host,
        "accept-encoding: gzip, deflate",
        *own,
        "content-length: 8",
    ]
    second = ["GET /v1/models HTTP/1.1", host, "accept-encoding: gzip, deflate", *own]
    assert server.requests == [
        "\r\n".join([*first, "", '{"a": 1}']).encode(),
        "\r\n".join([*second, "", ""]).encode(),
    ]


def test_cookies_and_redirects_change_nothing(serve: Any, call: Any) -> None:
    cookie = reply("302 Found", "set-cookie: a=b", "location: /elsewhere", "content-length: 0")
    server = serve(script_of(Case("", cookie)))
    caller = call(server)
    assert [caller.open().status for _ in range(3)] == [302] * 3
    assert len(set(server.requests)) == 1


def test_headers_are_a_mapping(serve: Any, call: Any) -> None:
    server = serve(script_of(Case("", reply("200 OK", "X-Id: 7", "Via: a", "via: b", "content-length: 0"))))
    headers = call(server).open().headers
    assert dict(headers) == {"x-id": "7", "via": "a, b", "content-length": "0"} and len(headers) == 3
    assert (headers["X-ID"], headers.get("none"), "VIA" in headers, "none" in headers) == (
        "7",
        None,
        True,
        False,
    )
    assert "7" not in repr(headers)


@pytest.mark.parametrize("status", [200, 413, 503])
def test_early_reply_while_the_request_is_sent(status: int, serve: Any, call: Any) -> None:
    """The server reads a little of 12 MB, answers, and leaves, with all of the rest unread."""
    done = threading.Event()

    def script(peer: Peer) -> None:
        peer.sock.recv(10_000)
        peer.send(reply(f"{status} Too Large", "content-length: 5", body=b"hello"))
        assert done.wait(20)
        peer.wait_until_left()

    server = serve(script)
    caller = call(server)
    answers = [caller.open(bytes(12_000_000)) for _ in range(3)]
    assert [(answer.status, answer.read()) for answer in answers] == [(status, b"hello")] * 3
    done.set()
    assert len(server.peers) == 3 and caller.idle == 0


def test_early_reply_and_reset(serve: Any, call: Any) -> None:
    def script(peer: Peer) -> None:
        peer.sock.recv(10_000)
        peer.send(reply("413 Too Large", "content-length: 5", body=b"hello"))
        peer.end(FIN)  # with unread bytes, so a reset follows

    caller = call(serve(script))
    for _ in range(10):
        answer = caller.open(bytes(12_000_000))
        assert answer.status == 413
        with suppress(ProviderConnectionError):  # the status is there; its explanation may be lost
            assert answer.read() == b"hello"


def test_reply_after_an_interim_one_while_the_request_is_sent(serve: Any, call: Any) -> None:
    def script(peer: Peer) -> None:
        peer.read_some()
        for _ in range(3):
            peer.send(reply("100 Continue"))
        peer.request()
        peer.send(OK)

    server = serve(script)
    assert call(server).ask(bytes(5_000_000)) == b"hello"
    assert len(server.requests) == 1


def test_large_request_and_large_reply(serve: Any, call: Any) -> None:
    def script(peer: Peer) -> None:
        for request in peer.requests():
            body = request.partition(b"\r\n\r\n")[2]
            peer.send(reply("200 OK", f"content-length: {len(body)}", body=body[::-1]))

    body = bytes(range(256)) * 20_000
    caller = call(serve(script))
    assert [caller.ask(body) == body[::-1] for _ in range(3)] == [True] * 3


def test_both_sides_send_at_once(serve: Any, call: Any) -> None:
    """A server that answers while it reads must not be left waiting, nor leave the caller so."""
    size = 8_000_000

    def script(peer: Peer) -> None:
        peer.send(reply("200 OK", f"content-length: {size}", body=bytes(size)))
        peer.wait_until_left()

    def fragile(peer: Peer) -> None:
        peer.sock.recv(1000)
        script(peer)

    assert len(call(serve(fragile)).ask(bytes(size))) == size


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("status", [200, 400])
def test_bomb(encoding: str, status: int, serve: Any, call: Any) -> None:
    import tracemalloc

    packer = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    bomb = b"".join(packer.compress(bytes(1_000_000)) for _ in range(600)) + packer.flush()
    sent = reply(f"{status} X", f"content-encoding: {encoding}", f"content-length: {len(bomb)}", body=bomb)
    caller = call(serve(script_of(Case("", sent))))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidResponseError, match="times its size|larger than") as caught:
            caller.ask()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024 * 1024 and caught.value.status_code == status


def test_limit_of_a_plain_body(serve: Any, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from llm_orchestrator.providers.http.core import messages

    monkeypatch.setattr(messages, "MAX_BODY_BYTES", 1_000_000)
    for length in (2_000_000, 10**15):
        sent = reply("200 OK", f"content-length: {length}", body=bytes(2_000_000))
        with pytest.raises(InvalidResponseError, match="larger than 1000000 bytes"):
            call(serve(script_of(Case("", sent)))).ask()


def test_stale_connections_are_not_used(serve: Any, call: Any) -> None:
    """A server that closes idle connections: each call is answered, and none is sent twice."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        peer.end((FIN, RST, CUT)[peer.number % 3])

    server = serve(script)
    caller = call(server)
    for number in range(9):
        assert caller.ask(b"%d" % number) == b"hello"
        assert server.peers[-1].closed_by_client.wait(10)
        caller.settle()
    assert len(server.requests) == len(server.peers) == 9


def test_request_that_may_have_been_read_is_not_sent_again(serve: Any, call: Any) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        if peer.request() is not None:
            peer.end((FIN, RST)[peer.number % 2])

    server = serve(script)
    caller = call(server)
    for _ in range(4):
        assert caller.ask() == b"hello"
        with pytest.raises(ProviderConnectionError) as caught:
            caller.ask()
        assert not isinstance(caught.value, ProviderTimeoutError) and caught.value.may_be_billed
    assert len(server.requests) == 8


def test_request_that_cannot_have_been_read_is_sent_again(serve: Any, call: Any) -> None:
    """Kept connections break while 12 MB are sent, of which the server read a few bytes."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        if peer.number == 0:
            peer.sock.recv(100)
            peer.end(RST)
        else:
            for _ in peer.requests():
                peer.send(OK)

    server = serve(script)
    caller = call(server)
    assert caller.ask() == b"hello"
    assert caller.ask(bytes(12_000_000)) == b"hello"
    assert len(server.requests) == 2 and len(server.peers) == 2


def test_keep_alive_is_judged(serve: Any, call: Any) -> None:
    server = serve(script_of(Case("", OK)))
    caller = call(server, keep_alive=0.0)
    assert [caller.ask() for _ in range(3)] == [b"hello"] * 3
    assert len(server.peers) == 3
    server = serve(
        script_of(
            Case("", reply("200 OK", "Keep-Alive: timeout=1, max=9", "content-length: 5", body=b"hello"))
        )
    )
    caller = call(server)
    assert [caller.ask() for _ in range(2)] == [b"hello"] * 2
    assert len(server.peers) == 2
