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
from collections import deque
from typing import Any, Deque, FrozenSet, Iterable, Iterator, List, Mapping, Optional, Set

from llm_orchestrator.exceptions import OrchestratorError, with_causes
from llm_orchestrator.utils.lazy import LazyPattern
from llm_orchestrator.utils.values import build

__all__ = ["Redactor", "redact_logs", "secret_headers", "secrets_beside", "stop_redacting_logs"]

REDACTED = "[redacted]"
#: Shorter values are not searched for: they would be found in ordinary words.
SHORTEST_SECRET = 6
#: So many characters from a secret's beginning count as the secret: texts are cut before people see them.
PREFIX_LENGTH = 12
#: What names of headers, and of a URL's parameters, hold when their values are credentials.
SECRET_WORDS = (
    "auth",
    "cookie",
    "credential",
    "jwt",
    "key",
    "passphrase",
    "passwd",
    "password",
    "secret",
    "session",
    "signature",
    "token",
)
#: Fields of our errors that hold names from the configuration and the call, never a provider's words.
OWN_FIELDS = ("provider", "model")
#: So many secrets that were born during calls are remembered; a signature is new with every request.
MOST_BORN = 64
#: Deeper than anything a provider sends, and not too deep for Python.
MAX_DEPTH = 20
#: Loggers that write credentials before anybody else knows them, while they get or use them.
TELLING = (
    "botocore.auth",
    "botocore.credentials",
    "botocore.endpoint",
    "botocore.tokens",
    "google.auth.transport.requests",
    "msal.application",
    "msal.token_cache",
    "urllib3.connectionpool",
)
#: What they write: a name, and behind a colon or an equals sign its value.
_NAMED_SECRET = LazyPattern(
    r"""(?ix)([\w-]*(?:authorization|credential|password|secret|security-token|_token|assertion|signature)
    ["']?\s*[:=]\s*["']?(?:Bearer\s+)?)[^\s"',&]+"""
)
#: Whose log records are redacted: the first parts of the names of their loggers.
LOGGERS = (
    "anthropic",
    "azure",
    "boto3",
    "botocore",
    "google",
    "google_genai",
    "httpcore",
    "httpcore2",
    "httpx",
    "httpx2",
    "llm_orchestrator",
    "mcp",
    "msal",
    "openai",
    "requests",
    "urllib3",
)


class Redactor:
    """Replaces secrets anywhere in a text."""

    def __init__(self, secrets: Iterable[Optional[str]]) -> None:
        self._given = _all_forms(secrets)
        self._born: Deque[str] = deque(maxlen=MOST_BORN)
        self._know(self._given)
        self._base: Optional[Redactor] = None

    def _know(self, secrets: List[str]) -> None:
        self._own = secrets
        self._beginnings = _beginnings_of(secrets)

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"

    def including(self, secrets: Iterable[str]) -> Redactor:
        """Make a redactor that knows more secrets."""
        redactor = Redactor(secrets)
        redactor._base = self  # which may learn more while the other is in use
        return redactor

    @property
    def _secrets(self) -> List[str]:
        if self._base is None:
            return self._own
        return sorted([*self._own, *self._base._secrets], key=len, reverse=True)

    def learn(self, secrets: Iterable[Optional[str]]) -> None:
        """Remember secrets that were born during a call, such as a cloud's tokens, and forget the oldest."""
        new = [secret for secret in secrets if secret and secret not in self._secrets]
        if new:
            self._born.extend(new)
            self._know(_all_forms([*self._given, *self._born]))

    def finds(self, text: str) -> bool:
        """Whether a secret may stand somewhere in a text; fast, for every row and reply is asked."""
        for beginning in self._beginnings:
            if beginning in text:
                return True
        return self._base is not None and self._base.finds(text)

    def clean(self, value: Any) -> Any:
        """Plain data, or a value of ours, without secrets; the very same object where there are none."""
        return self._clean(value)

    def redact(self, text: str) -> str:
        """Replace every secret, and what is left of one whose end was cut off."""
        if not self.finds(text):
            return text
        secrets = self._secrets
        for secret in secrets:
            beginning = secret[:PREFIX_LENGTH]
            if beginning in text:
                text = REDACTED.join(_pieces_between(beginning, text, secrets))
        return text

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
            return self._clean_value(value, depth) if _is_ours(value) else value
        if depth > MAX_DEPTH:
            return self._whole_or_nothing(value)
        before = [part for item in value.items() for part in item] if isinstance(value, dict) else value
        after = [self._clean(part, depth + 1) for part in before]
        if all(old is new for old, new in zip(before, after)):
            return value
        return dict(zip(after[::2], after[1::2])) if isinstance(value, dict) else type(value)(after)

    def _whole_or_nothing(self, value: Any) -> Any:
        try:
            text = str(value)
        except RecursionError:
            return REDACTED
        return value if self.redact(text) is text else REDACTED

    def _clean_value(self, value: Any, depth: int) -> Any:
        fields = value.__dict__
        cleaned = {name: self._clean(field, depth) for name, field in fields.items()}
        return value if all(cleaned[name] is fields[name] for name in fields) else build(type(value), cleaned)


def _is_ours(value: Any) -> bool:
    """Whether it is a frozen value of the library's own, an answer or a record for instance."""
    return type(value).__module__.startswith("llm_orchestrator.") and hasattr(value, "__dataclass_fields__")


def _all_forms(secrets: Iterable[Optional[str]]) -> List[str]:
    found = {
        form
        for secret in secrets
        if secret and len(secret) >= SHORTEST_SECRET
        for form in (secret, *_written_forms(secret))
    }
    # The longest first: one may be part of another, whose rest would be left to read.
    return sorted(found, key=len, reverse=True)


def _beginnings_of(secrets: Iterable[str]) -> FrozenSet[str]:
    return frozenset(secret[:PREFIX_LENGTH] for secret in secrets)


def _pieces_between(beginning: str, text: str, secrets: List[str]) -> Iterator[str]:
    """The pieces of a text before, between and after the secrets that begin with the same characters."""
    end, at = 0, text.find(beginning)
    while at >= 0:
        yield text[end:at]
        # Keys of one vendor begin alike, so it may be any of them.
        end = at + max(_length_shown(secret, text, at) for secret in secrets)
        at = text.find(beginning, end)
    yield text[end:]


def _length_shown(secret: str, text: str, at: int) -> int:
    """How many characters of a secret are at a place in a text."""
    return next(length for length in range(len(secret), -1, -1) if text.startswith(secret[:length], at))


def _written_forms(secret: str) -> Iterator[str]:
    """How a secret looks inside a URL, a JSON text and a repr, and where case does not matter."""
    from urllib.parse import quote

    yield quote(secret, safe="")
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]
    yield secret.lower()


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
            for name in TELLING:
                logging.getLogger(name)  # it may be made later, and a filter holds for its own logger only
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
        if record.name.startswith(TELLING):
            text = _NAMED_SECRET.sub(rf"\1{REDACTED}", text)
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
