"""The one local clock of the reports: the day of a ledger row, in local time."""

from __future__ import annotations

from typing import Dict

from llm_orchestrator.usage.record import parse_timestamp

__all__ = ["LocalClock"]

#: So many minutes are remembered at once.
_REMEMBERED = 4096
_DAY = len("2026-01-01")


class LocalClock:
    """Reads timestamps; fast, as rows of one minute tend to come together."""

    def __init__(self) -> None:
        self._of_minute: Dict[str, str] = {}

    def day(self, timestamp: str) -> str:
        """The day of a timestamp, ``YYYY-MM-DD``."""
        minute = timestamp[:16] + timestamp[-6:]  # the zone stands at the end
        found = self._of_minute.get(minute)
        if found is None:
            if len(self._of_minute) >= _REMEMBERED:
                self._of_minute.clear()
            found = self._of_minute[minute] = parse_timestamp(timestamp).astimezone().isoformat()[:_DAY]
        return found
