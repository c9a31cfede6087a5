"""The one local clock of the reports: the hour and the day of a ledger row, in local time."""

from __future__ import annotations

from typing import Dict

from llm_orchestrator.usage.record import parse_timestamp

__all__ = ["LocalClock"]

#: So many minutes are remembered at once.
_REMEMBERED = 4096
_HOUR, _DAY = len("2026-01-01T00"), len("2026-01-01")


class LocalClock:
    """Reads timestamps in local time; fast, as rows of one minute tend to come together."""

    def __init__(self) -> None:
        self._hours: Dict[str, str] = {}

    def day(self, timestamp: str) -> str:
        """``YYYY-MM-DD``."""
        return self.hour(timestamp)[:_DAY]

    def hour(self, timestamp: str) -> str:
        """``YYYY-MM-DDTHH``."""
        minute = timestamp[:16]
        hour = self._hours.get(minute)
        if hour is None:
            if len(self._hours) >= _REMEMBERED:
                self._hours.clear()
            hour = self._hours[minute] = parse_timestamp(timestamp).astimezone().isoformat()[:_HOUR]
        return hour
