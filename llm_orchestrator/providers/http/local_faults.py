"""Faults of this machine that show when a vendor's client is made: what the environment says of the network."""

from __future__ import annotations

import os
from typing import Any, Callable

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.providers.http.core.network_errors import reason_of

__all__ = ["make_vendor_client"]

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
#: What the vendors' HTTP libraries read when a client is made.
_VARIABLES = (*_PROXIES, *map(str.lower, _PROXIES), "SSL_CERT_FILE", "SSL_CERT_DIR")


def make_vendor_client(provider: str, make: Callable[[], Any]) -> Any:
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
    reason = str(error).rstrip(".") if isinstance(error, ImportError) else reason_of(error)
    variables = ", ".join(name for name in _VARIABLES if os.environ.get(name))
    return ConfigurationError(
        f"The client of provider {provider!r} cannot be made: {reason}. "
        f"Check {variables or 'the settings of its entry'}."
    )
