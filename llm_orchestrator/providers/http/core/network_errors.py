"""The errors of the network, each made in one place: what is wrong, what to do, and whether it may be billed.

Texts are made of the names of hosts and the system's own words, so that no credential can be in them.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from contextlib import contextmanager
from typing import Iterator, Optional, Union

from llm_orchestrator.exceptions import (
    ConfigurationError,
    InvalidResponseError,
    OrchestratorError,
    ProviderConnectionError,
)

__all__ = [
    "broken_reply",
    "connecting",
    "connection_lost",
    "is_descriptor_shortage",
    "no_thread",
    "not_connected",
    "reason_of",
    "tls_failure",
    "too_many_files",
]


def not_connected(reason: str) -> ProviderConnectionError:
    """No connection was made, so nothing was sent."""
    error = ProviderConnectionError(
        f"No connection to the provider: {reason}. Check the network, base_url and the proxy, if any."
    )
    error.sent = error.may_be_billed = False
    return error


@contextmanager
def connecting(proxy: Optional[str]) -> Iterator[None]:
    """Connect to a server, or to the proxy with this host and port: its fault is not the server's."""
    try:
        yield
    except ProviderConnectionError as error:
        if proxy is None or not isinstance(error.__cause__, Exception):
            raise
        reason = reason_of(error.__cause__)
        raise not_connected(f"the proxy {proxy} cannot be reached: {reason}") from error.__cause__


def connection_lost(reason: str) -> ProviderConnectionError:
    """The connection ended after the request, or a part of it, may have left."""
    return ProviderConnectionError(f"The connection to the provider broke: {reason}. Try again.")


def broken_reply(what: str, status: int = 0) -> InvalidResponseError:
    """The bytes that came are not the HTTP that they should be."""
    error = InvalidResponseError(
        f"The provider's reply cannot be read: {what}. Try again, or check base_url."
    )
    error.status_code = status or None
    return error


def reason_of(error: Union[OSError, Exception]) -> str:
    """The system's own words for a failure, without file names and addresses."""
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or type(error).__name__).replace('_', ' ').lower()}"
    if not isinstance(error, OSError):
        return type(error).__name__
    if error.errno and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno)  # asyncio has words of its own, with the address
    return error.strerror or type(error).__name__


def tls_failure(error: ssl.SSLError, host: str, trusted: str) -> OrchestratorError:
    """The handshake failed: a certificate that is not trusted will not be so at the next try either."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return not_connected(f"{host}: {reason_of(error)}")
    reason = error.verify_message.rstrip(".")
    return ConfigurationError(
        f"The certificate of {host} is not trusted: {reason}, checked against {trusted}. "
        "Check base_url, or name the right certificates in ca_bundle or SSL_CERT_FILE."
    )


def is_descriptor_shortage(error: OSError) -> bool:
    """Whether this process, or the machine, has too many files open."""
    return error.errno in (errno.EMFILE, errno.ENFILE)


def no_thread(error: RuntimeError) -> ConfigurationError:
    """The system, or a program that ends, starts no thread."""
    return ConfigurationError(
        f"No thread can be started: {error}. Make fewer calls at a time, or raise the limit (ulimit -u)."
    )


def too_many_files(error: OSError) -> ConfigurationError:
    """A socket cannot be had."""
    return ConfigurationError(
        f"No connection can be opened: {reason_of(error)}. "
        "Close files, raise the limit (ulimit -n), or make fewer calls at a time."
    )
