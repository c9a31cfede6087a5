"""What an exception of an HTTP library means, or of an SDK that was caused by one, as one of our errors."""

from __future__ import annotations

import socket
import sys
from typing import Any, Iterator, Optional, Tuple, Type

from llm_orchestrator.exceptions import (
    InvalidResponseError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
)
from llm_orchestrator.providers.http.library import loaded_http_libraries

__all__ = ["causes_of", "error_of_transport"]

#: Causes of causes that are looked at.
MOST_CAUSES = 10


def error_of_transport(error: BaseException) -> Optional[ProviderError]:
    """A connection, timeout or invalid-response error; None for an exception of another kind."""
    for cause in causes_of(error):
        for library in loaded_http_libraries():
            translated = _error_of_library(cause, library)
            if translated is not None:
                return translated
    for cause in causes_of(error):
        if isinstance(cause, _timeout_classes()):
            return _timeout(cause, sent=True)
        if isinstance(cause, OSError) or type(cause) is RuntimeError:  # what closed clients and loops raise
            unsent = isinstance(cause, (ConnectionRefusedError, socket.gaierror))
            return _no_connection(cause, sent=not unsent)
    if isinstance(error, ValueError):
        return InvalidResponseError(f"The reply cannot be read: {error}. Try again.")
    return None


def _error_of_library(cause: BaseException, library: Any) -> Optional[ProviderError]:
    if isinstance(cause, library.TimeoutException):
        return _timeout(cause, sent=not isinstance(cause, (library.ConnectTimeout, library.PoolTimeout)))
    if isinstance(cause, library.DecodingError):
        return InvalidResponseError(f"The reply cannot be decoded: {cause}. Try again.")
    if isinstance(cause, (library.HTTPError, library.StreamError, library.InvalidURL)):
        return _no_connection(cause, sent=not isinstance(cause, (library.ConnectError, library.InvalidURL)))
    return None


def _timeout_classes() -> Tuple[Type[BaseException], ...]:
    """Sockets had a timeout of their own before Python 3.10, event loops before 3.11."""
    loops = getattr(sys.modules.get("asyncio"), "TimeoutError", TimeoutError)
    return (TimeoutError, socket.timeout, loops)


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """An exception, and what it was raised from or while handling, as a traceback shows it."""
    cause: Optional[BaseException] = error
    for _ in range(MOST_CAUSES):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _timeout(cause: BaseException, *, sent: bool) -> ProviderTimeoutError:
    error = ProviderTimeoutError(
        f"No answer in time ({type(cause).__name__}). "
        "Raise timeout, or try again when the provider is less busy."
    )
    error.may_be_billed = sent
    if sent:
        error.retry_limit = 1  # the provider may be working on it, and bill it
    return error


def _no_connection(cause: BaseException, *, sent: bool) -> ProviderConnectionError:
    detail = str(cause).rstrip(".") or type(cause).__name__
    error = ProviderConnectionError(
        f"No connection to the provider: {detail}. Check the network, base_url and the proxy, if any."
    )
    error.may_be_billed = sent
    return error
