"""The ``http`` settings of an entry, and the TLS context made of them once.

Certificates come from ``ca_bundle``, else from SSL_CERT_FILE and SSL_CERT_DIR, else from the system. What
cannot be read is a ConfigurationError at once: later it would look like a fault of the network.
"""

from __future__ import annotations

import os
import ssl
import sys
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.providers.http.core.network_errors import reason_of
from llm_orchestrator.utils.values import Value

__all__ = ["HttpSettings", "TLSSettings", "tls_settings"]


@dataclass(frozen=True, eq=False, repr=False)
class HttpSettings(Value):
    """How connections are made and kept.

    Attributes:
        proxy: URL of an HTTP proxy; empty for none, whatever the environment says; None for the
            environment's.
        ca_bundle: File or folder with the certificates to trust.
        client_cert: File with the client's certificate, and with its key unless ``client_key`` is given.
        client_key: File with the key of ``client_cert``.
        verify: False to accept any certificate.
        keep_alive: Seconds that an idle connection is kept.
        max_connections: Connections at a time; further calls wait for a free one.
    """

    proxy: Optional[str] = field(default=None, repr=False)  # it may hold a password
    ca_bundle: Optional[str] = None
    client_cert: Optional[str] = None
    client_key: Optional[str] = None
    verify: bool = True
    keep_alive: float = 60.0
    max_connections: int = 1000


class TLSSettings(NamedTuple):
    """A TLS context, and in words whose certificates it trusts."""

    context: ssl.SSLContext
    trusted: str


def tls_settings(settings: HttpSettings) -> TLSSettings:
    """Make the TLS context of all connections of a client.

    Args:
        settings: The entry's settings.

    Returns:
        The context.

    Raises:
        ConfigurationError: A file is missing or holds no certificate, or key and certificate do not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusted = "nothing"
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.ca_bundle is not None:
        trusted = "ca_bundle"
        _load(context, trusted, settings.ca_bundle)
    elif os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        trusted = _load_environment(context)
    else:
        trusted = "the operating system's certificates"
        context = _operating_system_context(context)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load_client_certificate(context, settings)
    return TLSSettings(context, trusted)


def _load_environment(context: ssl.SSLContext) -> str:
    file, folders = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file:
        _load(context, "SSL_CERT_FILE", file)
    if folders:
        found = [folder for folder in folders.split(os.pathsep) if os.path.isdir(folder)]
        if not found:
            raise _unusable("SSL_CERT_DIR", "no such folder")
        for folder in found:
            _load(context, "SSL_CERT_DIR", folder)
    return " and ".join(name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name))


def _load(context: ssl.SSLContext, name: str, path: str) -> None:
    path = os.path.expanduser(path)
    try:
        if os.path.isdir(path):
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise _unusable(name, "it holds no certificate") from error
    except OSError as error:
        raise _unusable(name, reason_of(error)) from error


def _unusable(name: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"The certificates in {name} cannot be used: {reason}. Correct {name}, or remove it."
    )


def _operating_system_context(context: ssl.SSLContext) -> ssl.SSLContext:
    """On Linux OpenSSL's own store; elsewhere truststore asks the system, where it is installed."""
    if sys.platform in {"darwin", "win32"}:
        try:
            import truststore
        except ImportError:
            pass
        else:
            system: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            return system
    context.load_default_certs()
    paths = ssl.get_default_verify_paths()
    if not context.cert_store_stats()["x509_ca"] and not (paths.capath and os.listdir(paths.capath)):
        _load(context, "certifi", _bundled_certificates())
    return context


def _bundled_certificates() -> str:
    """The file of the package certifi: some Pythons and small containers come without certificates."""
    try:
        import certifi
    except ImportError:
        raise ConfigurationError(
            "This machine has no certificates to trust. Run: pip install certifi, or set http.ca_bundle."
        ) from None
    return certifi.where()


def _load_client_certificate(context: ssl.SSLContext, settings: HttpSettings) -> None:
    if settings.client_cert is None:
        if settings.client_key is not None:
            raise ConfigurationError("client_key has no client_cert beside it. Add client_cert.")
        return
    certificate = os.path.expanduser(settings.client_cert)
    key = os.path.expanduser(settings.client_key) if settings.client_key else None
    try:
        # Without a password of ours OpenSSL would ask for it on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(
            f"client_cert and client_key cannot be used: {reason_of(error)}. "
            "Both must be readable PEM files that belong together, the key without a password."
        ) from error
