"""Faults of this machine that show when a client is made: no file left, or a wrong proxy or certificate."""

from __future__ import annotations

import os
from typing import Any, Callable

from llm_orchestrator.exceptions import ConfigurationError

__all__ = ["make_or_explain"]

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
#: What the vendors' HTTP libraries read when a client is made.
_VARIABLES = (*_PROXIES, *map(str.lower, _PROXIES), "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def make_or_explain(provider: str, make: Callable[[], Any]) -> Any:
    """Make a client; what cannot be made now cannot be made at the next try either."""
    try:
        return make()
    except (ImportError, OSError, ValueError) as error:
        raise _not_made(provider, error) from error
    except Exception as error:
        if type(error).__name__ != "InvalidURL":  # of httpx and httpx2: the address of a proxy
            raise
        raise _not_made(provider, error) from error


def _not_made(provider: str, error: Exception) -> ConfigurationError:
    found = [name for name in _VARIABLES if os.environ.get(name)]
    if isinstance(error, ImportError) and "socks" in str(error):
        proxies = ", ".join(name for name in found if name.upper() in _PROXIES)
        return ConfigurationError(
            f"The client of provider {provider!r} cannot be made: a socks proxy needs the package socksio. "
            f"Run: pip install socksio, or name an HTTP proxy in {proxies or 'the settings of the system'}."
        )
    return ConfigurationError(
        f"The client of provider {provider!r} cannot be made: {_reason_of(error)}. "
        f"Check {', '.join(found) or 'the settings of its entry, and how many files are open'}."
    )


def _reason_of(error: Exception) -> str:
    """Why, without the address of a proxy, which may hold a password."""
    if isinstance(error, ImportError):
        return str(error).rstrip(".")
    words = getattr(error, "reason", None) or getattr(error, "strerror", None)  # of TLS, of the system
    return words if isinstance(words, str) else type(error).__name__
