"""Keeps keys out of everything a person may read: error texts, the texts of their causes, and log records.

The vendors' SDKs and their HTTP libraries log headers, in which a careless server may repeat our key. Their
loggers therefore have one filter of ours while there is an adapter whose secrets it looks for.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import weakref
from typing import Any, Iterable, Iterator, List, Mapping, Optional, Set

from llm_orchestrator.exceptions import OrchestratorError, with_causes

__all__ = ["Redactor", "redact_logs", "secret_headers", "secrets_beside", "stop_redacting_logs"]

REDACTED = "[redacted]"
#: Shorter values are not searched for: they would be found in ordinary words.
SHORTEST_SECRET = 6
#: So many characters from a secret's beginning count as the secret: texts are cut before people see them.
PREFIX_LENGTH = 12
#: What names of headers, and of a URL's parameters, hold when their values are credentials.
SECRET_WORDS = ("auth", "key", "token", "secret", "cookie", "password", "signature")
#: Fields of our errors that hold names from the configuration and the call, never a provider's words.
OWN_FIELDS = ("provider", "model")
#: Deeper than anything a provider sends, and not too deep for Python.
MAX_DEPTH = 20
#: Whose log records are redacted: the first parts of the names of their loggers.
LOGGERS = (
    "anthropic",
    "google",
    "google_genai",
    "httpcore",
    "httpcore2",
    "httpx",
    "httpx2",
    "llm_orchestrator",
    "openai",
)


class Redactor:
    """Replaces secrets anywhere in a text."""

    def __init__(self, secrets: Iterable[Optional[str]]) -> None:
        found = {
            form
            for secret in secrets
            if secret and len(secret) >= SHORTEST_SECRET
            for form in (secret, *_written_forms(secret))
        }
        # The longest first: one may be part of another, whose rest would be left to read.
        self._secrets: List[str] = sorted(found, key=len, reverse=True)

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"

    def including(self, secrets: Iterable[str]) -> Redactor:
        """Make a redactor that knows more secrets."""
        return Redactor([*self._secrets, *secrets])

    def redact(self, text: str) -> str:
        """Replace every secret, and what is left of one whose end was cut off."""
        for secret in self._secrets:
            beginning = secret[:PREFIX_LENGTH]
            if beginning in text:
                text = REDACTED.join(self._pieces_between(beginning, text))
        return text

    def _pieces_between(self, beginning: str, text: str) -> Iterator[str]:
        """The pieces of a text before, between and after the secrets that begin with the same characters."""
        end, at = 0, text.find(beginning)
        while at >= 0:
            yield text[end:at]
            # Keys of one vendor begin alike, so it may be any of them.
            end = at + max(_length_shown(secret, text, at) for secret in self._secrets)
            at = text.find(beginning, end)
        yield text[end:]

    def scrub(self, error: BaseException) -> None:
        """Remove every secret from an exception and from all it was caused by, in place."""
        for cause in with_causes(error):
            cause.args = self._clean(cause.args)
            own = OWN_FIELDS if isinstance(cause, OrchestratorError) else ()
            # SDKs and JSON readers keep the reply's text in fields of their errors, whole or parsed.
            vars(cause).update(
                {name: self._clean(value) for name, value in vars(cause).items() if name not in own}
            )

    def _clean(self, value: Any, depth: int = 0) -> Any:
        """Plain data without secrets; the very same object where there are none, or where it is not plain."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, bytes):  # what could not be decoded, shown by the error's repr
            text = value.decode("latin-1")
            redacted = self.redact(text)
            return value if redacted is text else redacted.encode("latin-1")
        if type(value) not in (dict, list, tuple):
            return value
        if depth > MAX_DEPTH:
            return REDACTED
        before = [part for item in value.items() for part in item] if isinstance(value, dict) else value
        after = [self._clean(part, depth + 1) for part in before]
        if all(old is new for old, new in zip(before, after)):
            return value
        return dict(zip(after[::2], after[1::2])) if isinstance(value, dict) else type(value)(after)


def _length_shown(secret: str, text: str, at: int) -> int:
    """How many characters of a secret are at a place in a text."""
    return next(length for length in range(len(secret), -1, -1) if text.startswith(secret[:length], at))


def _written_forms(secret: str) -> Iterator[str]:
    """How a secret looks inside a URL, a JSON text and a repr."""
    from urllib.parse import quote

    yield quote(secret, safe="")
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]


def secrets_beside(names: Iterable[Optional[str]], values: Iterable[Optional[str]]) -> List[str]:
    """The values that are secret: none that stands in a name that everybody sees (``api_key: ollama``)."""
    seen = [name.lower() for name in names if name]
    return [value for value in values if value and not any(value.lower() in name for name in seen)]


def secret_headers(headers: Mapping[str, str]) -> List[str]:
    """The values of headers that carry credentials."""
    values = [value for name, value in headers.items() if any(word in name.lower() for word in SECRET_WORDS)]
    return values + [value.split()[-1] for value in values if " " in value.strip()]


class _LogFilter(logging.Filter):
    """Removes the secrets of all redactors in use from log records, and the exceptions logged with them."""

    def __init__(self) -> None:
        super().__init__()
        self._redactors: Set[weakref.ref[Redactor]] = set()
        self.renew_lock()

    def renew_lock(self) -> None:
        self._lock = threading.Lock()

    def add(self, redactor: Redactor) -> None:
        with self._lock:
            # A redactor that nothing refers to any more leaves the set by itself.
            self._redactors.add(weakref.ref(redactor, self._redactors.discard))
            for logger in _loggers():
                logger.addFilter(self)

    def discard(self, redactor: Redactor) -> None:
        with self._lock:
            self._redactors.discard(weakref.ref(redactor))
            if not self._redactors:
                for logger in _loggers():
                    logger.removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = text = record.getMessage()
        except Exception:  # noqa: BLE001 (logging itself reports a record that cannot be written)
            return True
        for reference in self._redactors.copy():
            redactor = reference()
            if redactor is not None:
                text = redactor.redact(text)
                if record.exc_info and record.exc_info[1] is not None:
                    redactor.scrub(record.exc_info[1])
        if text != message:
            record.msg, record.args = text, ()
        return True


def _loggers() -> List[logging.Logger]:
    """The loggers of those libraries that exist so far; a filter holds for its own logger only."""
    known = logging.Logger.manager.loggerDict.copy()
    return [
        logger
        for name, logger in known.items()
        if name.partition(".")[0] in LOGGERS and isinstance(logger, logging.Logger)
    ]


_log_filter = _LogFilter()


def redact_logs(redactor: Redactor) -> None:
    """Keep a redactor's secrets out of the logs of SDKs and HTTP libraries, as long as it is in use.

    It costs nothing where these libraries log nothing. Call it once they are imported; again is fine.
    """
    _log_filter.add(redactor)


def stop_redacting_logs(redactor: Redactor) -> None:
    """Stop looking for a redactor's secrets; with the last redactor the filter leaves the loggers."""
    _log_filter.discard(redactor)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_log_filter.renew_lock)
