"""TLS in front of the scripted server: a certificate of its own, and a proxy that takes the cipher off."""

from __future__ import annotations

import datetime
import ipaddress
import select
import socket
import ssl
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Iterator, List

import pytest


def write_certificate(path: Path) -> None:
    """Write a key and its own certificate for 127.0.0.1, good for a day."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.datetime.now(datetime.timezone.utc)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + signed.public_bytes(pem))


@contextmanager
def tls_url(port: int, certificate: Path) -> Iterator[str]:
    """An address that speaks TLS and hands everything on to a port of 127.0.0.1, byte by byte as it comes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    lines: List[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as place:

        def accept() -> None:
            with suppress(OSError):  # the place was closed
                while True:
                    client, _ = place.accept()
                    client.settimeout(30)  # a client that never begins its handshake must not hold the server
                    lines.append(threading.Thread(target=_carry, args=(client, context, port)))
                    lines[-1].start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield f"https://127.0.0.1:{place.getsockname()[1]}"
        finally:
            place.shutdown(socket.SHUT_RDWR)
            for thread in (acceptor, *lines):
                thread.join()


def _carry(client: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """Carry bytes both ways until one side leaves."""
    with ExitStack() as stack, suppress(OSError):
        stack.enter_context(client)
        near = stack.enter_context(context.wrap_socket(client, server_side=True))
        far = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        while True:
            readable = [near] if near.pending() else select.select([near, far], [], [])[0]
            for source, target in ((near, far), (far, near)):
                if source in readable:
                    content = source.recv(65536)
                    if not content:
                        return
                    target.sendall(content)
