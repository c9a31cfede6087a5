"""Values that may hold keys, in forms whose repr does not show them: tracebacks may show local variables."""

from __future__ import annotations

from typing import Dict, Mapping

__all__ = ["HiddenBytes", "hidden"]


class _Hidden(Dict[str, str]):
    """Headers: their repr shows the names only."""

    def __repr__(self) -> str:
        return repr(dict.fromkeys(self, "..."))


def hidden(headers: Mapping[str, str]) -> Dict[str, str]:
    """Headers whose repr does not show their values."""
    return _Hidden(headers)


class HiddenBytes(bytes):
    """A request as it is sent, with its credentials: its repr shows how long it is."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"
