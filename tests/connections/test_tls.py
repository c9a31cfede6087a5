"""TLS: who is trusted, what is refused, what must not be lost."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict

import pytest

from llm_orchestrator.exceptions import ConfigurationError, ProviderConnectionError
from llm_orchestrator.providers.http.core import settings as settings_module
from llm_orchestrator.providers.http.core.settings import HttpSettings, tls_settings
from tests.connections.certificates import Authority
from tests.connections.servers import Peer

pytestmark = pytest.mark.slow

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


@pytest.fixture
def security() -> str:
    return "tls"


def answering(peer: Peer) -> None:
    for _ in peer.requests():
        peer.send(OK)


@pytest.mark.parametrize(
    ("certificate", "words"),
    [({"host": "127.0.0.2"}, "127.0.0.1"), ({"age": 30}, "expired")],
    ids=["wrong host", "expired"],
)
def test_bad_certificates(
    certificate: Dict[str, Any], words: str, authority: Authority, serve: Any, call: Any
) -> None:
    server = serve(answering, authority.issue("bad", **certificate))
    with pytest.raises(ConfigurationError, match=f"not trusted: .*{words}.*checked against ca_bundle"):
        call(server).ask()
    assert not server.requests


def test_unknown_authority(
    serve: Any, call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    server = serve(answering)
    other = Authority(tmp_path)
    with pytest.raises(ConfigurationError, match="checked against ca_bundle"):
        call(server, ca_bundle=str(other.file)).ask()
    monkeypatch.setenv("SSL_CERT_FILE", str(other.file))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    with pytest.raises(ConfigurationError, match="checked against SSL_CERT_FILE"):
        call(server, ca_bundle=None).ask()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    assert call(server, ca_bundle=None).ask() == b"hello"
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ConfigurationError, match="the operating system's certificates"):
        call(server, ca_bundle=None).ask()
    assert call(server, ca_bundle=None, verify=False).ask() == b"hello"


def test_server_that_speaks_no_tls(caller_class: Any) -> None:
    from tests.connections.servers import RawServer

    def script(peer: Peer) -> None:
        peer.sock.recv(100)
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.wait_until_left()

    server = RawServer(script)
    caller = caller_class(server.url.replace("http:", "https:"), verify=False)
    with pytest.raises(ProviderConnectionError, match="TLS") as caught:
        caller.ask()
    assert not caught.value.sent
    caller.close()
    server.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions(version: ssl.TLSVersion, serve: Any, call: Any) -> None:
    caller = call(serve(answering, minimum_version=version, maximum_version=version))
    assert [caller.ask(bytes(1_000_000)) for _ in range(3)] == [b"hello"] * 3


def test_client_certificate(serve: Any, call: Any, authority: Authority, tmp_path: Path) -> None:
    def checking(peer: Peer) -> None:
        assert isinstance(peer.sock, ssl.SSLSocket) and peer.sock.getpeercert()
        answering(peer)

    server = serve(checking, verify_mode=ssl.CERT_REQUIRED)
    server._context.load_verify_locations(authority.file)
    mine = authority.issue("client")
    assert call(server, client_cert=str(mine)).ask() == b"hello"
    key, _, certificate = mine.read_text().partition("-----BEGIN CERTIFICATE")
    (tmp_path / "key.pem").write_text(key)
    (tmp_path / "cert.pem").write_text("-----BEGIN CERTIFICATE" + certificate)
    both = {"client_cert": str(tmp_path / "cert.pem"), "client_key": str(tmp_path / "key.pem")}
    assert call(server, **both).ask() == b"hello"
    with pytest.raises(ProviderConnectionError, match="TLS|reset|closed|pipe"):
        call(server).ask()


def test_late_ticket_leaves_the_connection_usable(serve: Any, call: Any) -> None:
    """What TLS says for itself between two replies is no reply; it may come in a segment of its own."""
    tickets = 4
    server = serve(answering, num_tickets=tickets)
    caller = call(server)
    assert [caller.ask() for _ in range(5)] == [b"hello"] * 5
    assert len(server.peers) <= 2


def test_keys_that_are_changed(authority: Authority, caller_class: Any) -> None:
    """TLS 1.3: a server changes its keys between two replies, and asks for new ones of the client."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("only the program openssl changes keys when it is told to")
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    certificate = str(authority.issue("changing"))
    command = [openssl, "s_server", "-accept", f"127.0.0.1:{port}", "-cert", certificate, "-key", certificate]
    server = subprocess.Popen(
        [*command, "-tls1_3", "-crlf"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert server.stdin is not None and server.stdout is not None
    caller = None
    try:
        for line in server.stdout:
            if line.startswith(b"ACCEPT"):
                break
        caller = caller_class(f"https://127.0.0.1:{port}", ca_bundle=str(authority.file))
        for number in range(3):
            answering_thread = threading.Thread(target=answer_by_hand, args=(server, number))
            answering_thread.start()
            assert caller.ask(b'{"ask": %d}\n' % number).strip() == b"hello %d" % number
            answering_thread.join(20)
        assert caller.idle == 1
    finally:
        if caller is not None:
            caller.close()
        server.kill()
        server.communicate()


def answer_by_hand(server: Any, number: int) -> None:
    """Read the request as the program prints it, have it change the keys, and type the reply."""
    for line in server.stdout:
        if b'{"ask": %d}' % number in line:
            break
    server.stdin.write(b"K\n")
    server.stdin.flush()
    time.sleep(0.1)  # a command is one only at the beginning of what was typed
    server.stdin.write(b"HTTP/1.1 200 OK\ncontent-length: 9\n\nhello %d\n" % number)
    server.stdin.flush()


def test_reply_in_many_records(serve: Any, call: Any) -> None:
    body = bytes(range(256)) * 4000

    def script(peer: Peer) -> None:
        for _ in peer.requests():
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body, each=701, pause=0)

    assert call(serve(script)).ask() == body


def test_session_ends_before_the_connection(serve: Any, call: Any) -> None:
    """close_notify, while the TCP connection stays: nothing more will come."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK[:-2])
        peer.sock.settimeout(0)
        with suppress(OSError):
            peer.sock.unwrap()  # type: ignore[attr-defined]
        peer.sock.settimeout(20)
        raw = socket.socket(fileno=peer.sock.detach())
        peer.sock = raw
        peer.wait_until_left()

    with pytest.raises(ProviderConnectionError, match="in the middle"):
        call(serve(script)).ask()


def test_alpn_and_name(serve: Any, call: Any, authority: Authority) -> None:
    seen = []

    def script(peer: Peer) -> None:
        seen.append(peer.sock.selected_alpn_protocol())  # type: ignore[attr-defined]
        answering(peer)

    server = serve(script, authority.issue("localhost", host="localhost"))
    server._context.set_alpn_protocols(["h2", "http/1.1"])
    assert call(server.url.replace("127.0.0.1", "localhost")).ask() == b"hello"
    assert seen == ["http/1.1"]


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "ca_bundle", "client_cert"])
@pytest.mark.parametrize("kind", ["missing", "rubbish"])
def test_files_that_cannot_be_used(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "certificates"
    if kind == "rubbish":
        path.write_text("nothing of the sort")
    settings = {}
    if name.isupper():
        monkeypatch.setenv(name, str(path))
    else:
        settings[name] = str(path)
    with pytest.raises(ConfigurationError, match=name) as caught:
        tls_settings(HttpSettings(**settings))
    assert str(caught.value).endswith(".")


def test_key_without_certificate() -> None:
    with pytest.raises(ConfigurationError, match="client_key has no client_cert"):
        tls_settings(HttpSettings(client_key="key.pem"))


def test_encrypted_key_is_not_asked_for(tmp_path: Path, authority: Authority) -> None:
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    pem = authority.issue("locked").read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (tmp_path / "both.pem").write_bytes(locked + pem[pem.index(b"-----BEGIN CERT") :])
    with pytest.raises(ConfigurationError, match="without a password"):
        tls_settings(HttpSettings(client_cert=str(tmp_path / "both.pem")))


def test_system_store_by_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert tls_settings(HttpSettings()).context.verify_mode is ssl.CERT_REQUIRED
    truststore = pytest.importorskip("truststore")
    monkeypatch.setattr(settings_module.sys, "platform", "darwin")
    assert isinstance(tls_settings(HttpSettings()).context, truststore.SSLContext)
    monkeypatch.setitem(settings_module.sys.modules, "truststore", None)
    assert type(tls_settings(HttpSettings()).context) is ssl.SSLContext


def test_environment_adds_no_key_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert tls_settings(HttpSettings()).context.keylog_filename is None
