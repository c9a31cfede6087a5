"""A certificate for 127.0.0.1, made for one run and trusted by every contender."""

from __future__ import annotations

import datetime
import ipaddress
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

#: Names the certificates to trust, for every HTTP library here, the library included.
TRUSTED = "SSL_CERT_FILE"
DAY = datetime.timedelta(days=1)


@contextmanager
def trusted_certificate() -> Iterator[None]:
    """Make a certificate that this process and those it starts trust: one for a whole run.

    HTTP libraries may keep the certificates that they have read.

    Yields:
        Nothing; ``TRUSTED`` names a PEM file with the key and the certificate.
    """
    before = os.environ.get(TRUSTED)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "certificate.pem")
        write_certificate(path)
        os.environ[TRUSTED] = str(path)
        try:
            yield
        finally:
            del os.environ[TRUSTED]
            if before is not None:
                os.environ[TRUSTED] = before


def write_certificate(path: Path) -> None:
    """Write a key and a certificate signed with it, good for a day.

    Args:
        path: The PEM file.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.datetime.now(datetime.timezone.utc)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + signed.public_bytes(pem))
