"""Certificates for 127.0.0.1: good ones, and one for each way to be bad."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import Any, Optional, Tuple

import pytest

DAY = datetime.timedelta(days=1)


class Authority:
    """A certificate authority of the tests' own.

    Its files lie in a folder: ``ca.pem``, and for each certificate one file with key and certificate.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "ca.pem"
        self._key, self._certificate = _make("tests", None, ca=True)
        self.file.write_bytes(_pem(self._certificate))

    def issue(self, name: str, *, host: str = "127.0.0.1", age: int = 0) -> Path:
        """Write key and certificate of a host, ``age`` days old; it is good for a day."""
        key, certificate = _make(host, (self._key, self._certificate), age=age)
        path = self.folder / f"{name}.pem"
        path.write_bytes(_secret(key) + _pem(certificate))
        return path


def _make(name: str, issuer: Optional[Tuple[Any, Any]], *, ca: bool = False, age: int = 0) -> Tuple[Any, Any]:
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer_key, issuer_name = (issuer[0], issuer[1].subject) if issuer else (key, subject)
    start = datetime.datetime.now(datetime.timezone.utc) - age * DAY
    builder = (
        x509.CertificateBuilder(issuer_name, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(start - DAY)
        .not_valid_after(start + DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(x509, name)]), critical=False)
    return key, builder.sign(issuer_key, hashes.SHA256())


def _general(x509: Any, name: str) -> Any:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return certificate.public_bytes(serialization.Encoding.PEM)


def _secret(key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization

    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
