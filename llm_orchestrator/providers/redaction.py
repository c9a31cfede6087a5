"""Keeps keys out of everything a person may read: error texts, the texts of their causes, and log records."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, List, Mapping, Optional

__all__ = ["Redactor", "secret_headers"]

REDACTED = "[redacted]"
#: Shorter values are not searched for: they would be found in ordinary words.
SHORTEST_SECRET = 6
SECRET_HEADER_WORDS = ("auth", "key", "token", "secret", "cookie")


class Redactor:
    """Replaces secrets wherever they stand in a text.

    Args:
        secrets: Keys and other values that nobody may see; None and very short ones are left out.
    """

    def __init__(self, secrets: Iterable[Optional[str]]) -> None:
        found = [secret for secret in secrets if secret and len(secret) >= SHORTEST_SECRET]
        # The longest first: one may stand inside another, whose rest would be left to read.
        self._secrets: List[str] = sorted(found, key=len, reverse=True)

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"

    def redact(self, text: str) -> str:
        """Replace every secret.

        Args:
            text: Any text.

        Returns:
            The text without secrets.
        """
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return text

    def scrub(self, error: BaseException) -> None:
        """Remove every secret from an exception and from all it was caused by, in place.

        Args:
            error: The exception that is about to be shown.
        """
        for cause in _causes(error):
            cause.args = tuple(self._redact_argument(arg) for arg in cause.args)
            message = getattr(cause, "message", None)
            if isinstance(message, str) and self.redact(message) != message:
                cause.message = self.redact(message)  # type: ignore[attr-defined]  # SDK errors show this text

    def _redact_argument(self, argument: Any) -> Any:
        if isinstance(argument, bytes):  # what could not be decoded, shown by the error's repr
            return self.redact(argument.decode("latin-1")).encode("latin-1")
        return self.redact(argument) if isinstance(argument, str) else argument


def _causes(error: BaseException) -> Iterator[BaseException]:
    waiting: List[Optional[BaseException]] = [error]
    seen: List[int] = []
    while waiting:
        current = waiting.pop()
        if current is not None and id(current) not in seen:
            seen.append(id(current))
            yield current
            waiting += [current.__cause__, current.__context__, *getattr(current, "exceptions", ())]


def secret_headers(headers: Mapping[str, str]) -> List[str]:
    """The values of headers that carry credentials.

    Args:
        headers: Headers by name.

    Returns:
        The values whose header's name says that they are secret, and the bare credentials of ``Bearer ...``.
    """
    values = [
        value for name, value in headers.items() if any(word in name.lower() for word in SECRET_HEADER_WORDS)
    ]
    return values + [value.split()[-1] for value in values if " " in value.strip()]
