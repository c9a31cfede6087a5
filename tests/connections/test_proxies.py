"""Proxies: which one, how it is asked, and what must not be told."""

from __future__ import annotations

import socket
import threading
from base64 import b64encode
from contextlib import suppress
from typing import Any, Callable, List, Optional

import pytest

from llm_orchestrator.exceptions import ConfigurationError, ProviderConnectionError
from llm_orchestrator.providers.http.core.origins import Origin, is_excluded, proxy_url
from llm_orchestrator.providers.http.core.settings import HttpSettings
from tests.connections.servers import Peer, RawServer

pytestmark = pytest.mark.slow

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
CREDENTIALS = b64encode(b"user:pass word")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def answering(peer: Peer) -> None:
    for _ in peer.requests():
        peer.send(OK)


def tunnel_to(
    port: int, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n"
) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        if peer.request() is None:
            return
        peer.send(answer, each=7)
        with socket.create_connection(("127.0.0.1", port)) as far:
            back = threading.Thread(target=_copy, args=(far, peer.sock))
            back.start()
            _copy(peer.sock, far)
            back.join()

    return script


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while True:
            data = source.recv(65536)
            if not data:
                break
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy() -> Any:
    servers: List[RawServer] = []

    def start(script: Callable[[Peer], None]) -> RawServer:
        servers.append(RawServer(script))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.mark.slow
class TestTalking:
    def test_through_a_proxy(self, serve: Any, call: Any, proxy: Any, security: str) -> None:
        server = serve(answering)
        middle = proxy(tunnel_to(server.port)) if security == "tls" else proxy(answering)
        caller = call(server, proxy=f"http://user:pass%20word@127.0.0.1:{middle.port}")
        assert [caller.ask(b"{}") for _ in range(3)] == [b"hello"] * 3
        assert len(middle.peers) == 1
        asked = middle.requests[0]
        assert b"proxy-authorization: Basic " + CREDENTIALS + b"\r\n" in asked
        if security == "tls":
            target = b"127.0.0.1:%d" % server.port
            assert asked.startswith(b"CONNECT %s HTTP/1.1\r\nhost: %s\r\n" % (target, target))
            assert b"sk-sentinel" not in asked
            assert (
                all(b"proxy-auth" not in request for request in server.requests) and len(server.requests) == 3
            )
        else:
            assert asked.startswith(b"POST http://127.0.0.1:%d/v1 HTTP/1.1\r\nhost: 127.0.0.1:" % server.port)
            assert not server.requests

    @pytest.mark.parametrize(
        ("status", "error", "words"),
        [
            (b"407 Authentication Required", ConfigurationError, "other credentials"),
            (b"403 Forbidden", ConfigurationError, "refuses with status 403"),
            (b"502 Bad Gateway", ProviderConnectionError, "answered with status 502"),
        ],
    )
    def test_refusals(self, status: bytes, error: Any, words: str, call: Any, proxy: Any) -> None:
        middle = proxy(tunnel_to(1, b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\n\r\nno"))
        caller = call(
            "https://api.example.test/v1",
            proxy=f"http://user:secret-word@127.0.0.1:{middle.port}",
            ca_bundle=None,
        )
        with pytest.raises(error, match=words) as caught:
            caller.ask()
        assert "secret-word" not in repr(caught.value) and f"127.0.0.1:{middle.port}" in str(caught.value)
        assert getattr(caught.value, "sent", False) is False

    def test_407_for_plain_http(self, call: Any, proxy: Any) -> None:
        middle = proxy(lambda peer: (peer.request(), peer.send(OK.replace(b"200 OK", b"407 No")))[0])
        with pytest.raises(ConfigurationError, match="other credentials"):
            call("http://api.example.test", proxy=f"http://127.0.0.1:{middle.port}").ask()

    @pytest.mark.parametrize(
        "answer", [b"", b"HTTP/1.1 200", b"rubbish\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000]
    )
    def test_nonsense(self, answer: bytes, call: Any, proxy: Any) -> None:
        def script(peer: Peer) -> None:
            peer.request()
            peer.send(answer)
            peer.end("FIN")

        middle = proxy(script)
        with pytest.raises(
            Exception, match=r"closed during the proxy's answer|does not answer in HTTP|reset"
        ) as caught:
            call("https://api.example.test", proxy=f"127.0.0.1:{middle.port}", ca_bundle=None).ask()
        assert caught.value.sent is False and not caught.value.may_be_billed

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_refused_connection_names_the_proxy(self, call: Any, scheme: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as place:
            port = place.getsockname()[1]
        with pytest.raises(
            ProviderConnectionError, match=f"the proxy 127.0.0.1:{port} cannot be reached: Connection refused"
        ) as caught:
            proxy = f"http://user:secret-word@127.0.0.1:{port}"
            call(f"{scheme}://api.example.test", proxy=proxy, ca_bundle=None).ask()
        assert "secret-word" not in repr(caught.value) and not caught.value.may_be_billed


@pytest.mark.parametrize(
    ("environment", "url", "found"),
    [
        ({}, "https://a.test", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://a.test", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://a.test", None),
        ({"https_proxy": "http://q:2", "HTTPS_PROXY": "http://p:1"}, "https://a.test", "http://q:2"),
        ({"ALL_PROXY": "p:1"}, "http://a.test", "p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "http://a.test", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, "http://a.test", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a.test"}, "https://a.test", None),
        ({"HTTPS_PROXY": "http://p:1", "no_proxy": "b.test"}, "https://a.test", "http://p:1"),
        ({"ALL_PROXY": "socks5://p:1"}, "https://a.test", "socks5://p:1"),
    ],
)
def test_choice(environment: Any, url: str, found: Optional[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_url(url, HttpSettings()) == found
    assert proxy_url(url, HttpSettings(proxy="")) is None
    assert proxy_url(url, HttpSettings(proxy="http://mine:9")) == "http://mine:9"


@pytest.mark.parametrize(
    ("excluded", "host", "port", "expected"),
    [
        ("", "a.test", 443, False),
        ("*", "a.test", 443, True),
        ("A.Test", "a.test", 443, True),
        ("a.test.", "a.test", 443, True),
        (".a.test", "a.test", 443, True),
        (".a.test", "x.a.test", 443, True),
        ("a.test", "x.y.a.test", 443, True),
        ("*.a.test", "x.a.test", 443, True),
        ("a.test", "xa.test", 443, False),
        ("b.test, a.test", "a.test", 443, True),
        ("b.test a.test", "a.test", 443, True),
        ("a.test:443", "a.test", 443, True),
        ("a.test:80", "a.test", 443, False),
        ("10.0.0.1", "10.0.0.1", 80, True),
        ("10.0.0.1:80", "10.0.0.1", 81, False),
        ("10.0.0.0/8", "10.9.8.7", 80, True),
        ("10.0.0.0/8", "11.9.8.7", 80, False),
        ("10.9.8.7/8", "10.0.0.1", 80, True),
        ("::1", "::1", 80, True),
        ("[::1]", "0:0:0:0:0:0:0:1", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("[::1]:81", "::1", 80, False),
        ("fd00::/8", "fd12::1", 80, True),
        ("fd00::/8", "10.0.0.1", 80, False),
        (",,", "a.test", 80, False),
        (".", "a.test", 80, False),
    ],
)
def test_no_proxy(excluded: str, host: str, port: int, expected: bool) -> None:
    assert is_excluded(host, port, excluded) is expected


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("socks5://user:secret-word@p:1", r"HTTPS_PROXY names a socks proxy.*transport: sdk"),
        ("https://p:1", "HTTPS_PROXY must begin with http://"),
        ("ftp://p:1", "HTTPS_PROXY must begin with http://"),
        ("http://", "HTTPS_PROXY is not a possible address"),
        ("http://user:secret-word@p:port", "HTTPS_PROXY is not a possible address"),
        ("http://p:99999", "HTTPS_PROXY is not a possible address"),
        ("http://[::1", "HTTPS_PROXY is not a possible address"),
    ],
)
def test_proxies_that_cannot_be_used(proxy: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ConfigurationError, match=words) as caught:
        Origin.of("https://a.test", HttpSettings())
    assert "secret-word" not in str(caught.value)
    with pytest.raises(ConfigurationError, match=words.replace("HTTPS_PROXY", r"http\.proxy")):
        Origin.of("https://a.test", HttpSettings(proxy=proxy))


def test_passwords_are_not_shown() -> None:
    settings = HttpSettings(proxy="http://user:secret-word@p:1")
    origin = Origin.of("https://a.test", settings)
    assert "secret-word" not in repr(settings) + repr(origin)
    assert b64encode(b"user:secret-word").decode() not in repr(origin)


@pytest.mark.parametrize(
    ("url", "address", "authority"),
    [
        ("https://api.test/v1", ("api.test", 443), "api.test"),
        ("http://API.test:8080", ("api.test", 8080), "api.test:8080"),
        ("https://[::1]:8443/x", ("::1", 8443), "[::1]:8443"),
        ("http://b\u00fccher.test", ("xn--bcher-kva.test", 80), "xn--bcher-kva.test"),
        ("http://user:pw@host_name.test.", ("host_name.test.", 80), "host_name.test."),
        ("https://10.0.0.1:443", ("10.0.0.1", 443), "10.0.0.1"),
    ],
)
def test_origins(url: str, address: Any, authority: str) -> None:
    origin = Origin.of(url, HttpSettings())
    assert (origin.address, origin.authority) == (address, authority)


@pytest.mark.parametrize(
    "url",
    [
        "https://", "https:///v1", "https://ex ample.com", "http://[::1", "http://[nonsense]", "http://a..b", "http://-" + "a" * 64,
        "http://a.test:x", "http://a.test:70000", "http://a.test:0", "http://a\tb", "http://a\r\nhost: b", "ftp://a.test", "a.test",
        "http://" + ".".join(["a" * 60] * 5), "http://a%00b", "http://\ud800.test",
    ],
)  # fmt: skip
def test_hosts_that_are_impossible(url: str) -> None:
    """The standard library removes tabs and line breaks, so what is left of them must at least be a host."""
    if "\t" in url:
        assert Origin.of(url, HttpSettings()).host == "ab"
        return
    with pytest.raises(ConfigurationError, match="base_url"):
        Origin.of(url, HttpSettings())
