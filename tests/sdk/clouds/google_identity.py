"""Google's side of credentials: the file of a service account whose tokens the scripted server gives out."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

__all__ = ["service_account", "signing_key"]


@functools.cache
def signing_key() -> str:
    """A private key, made once."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def service_account(folder: Path, token_url: str) -> Path:
    """Write the file that ``GOOGLE_APPLICATION_CREDENTIALS`` names."""
    path = folder / "service-account.json"
    content = {
        "type": "service_account",
        "project_id": "project-of-the-account",
        "private_key_id": "key-1",
        "private_key": signing_key(),
        "client_email": "tests@example.iam.gserviceaccount.com",
        "token_uri": token_url,
    }
    path.write_text(json.dumps(content))
    return path
