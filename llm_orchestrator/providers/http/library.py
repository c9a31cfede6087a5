"""Which HTTP library a vendor's SDK uses: older generations use httpx, newer ones httpx2."""

from __future__ import annotations

import sys
from typing import Any, Iterator

__all__ = ["http_library_of", "library_of_response", "loaded_http_libraries"]


def loaded_http_libraries() -> Iterator[Any]:
    """The HTTP libraries that are loaded, the newer one first."""
    for name in ("httpx2", "httpx"):
        if name in sys.modules:
            yield sys.modules[name]


def http_library_of(sdk: Any) -> Any:
    """Find the HTTP library of an SDK by the ``Timeout`` class that it exports.

    The class's ``__module__`` does not say: some SDKs rewrite it to their own name (anthropic 2.12).
    """
    for library in loaded_http_libraries():
        if library.Timeout is sdk.Timeout:
            return library
    raise ImportError(f"{sdk.__name__} {sdk.__version__} uses an unknown HTTP library")


def library_of_response(response: Any) -> Any:
    """Find the HTTP library that a response comes from."""
    return sys.modules[type(response).__module__.partition(".")[0]]
