"""The one local clock of the reports: the day and the hour of a ledger row, in local time."""

from __future__ import annotations

from typing import Dict, Tuple

from llm_orchestrator.usage.record import parse_timestamp

__all__ = ["LocalClock"]

#: So many minutes are remembered at once.
_REMEMBERED = 4096
_DAY, _HOUR = len("2026-01-01"), len("2026-01-01T00")


class LocalClock:
    """Reads timestamps; fast, as rows of one minute tend to come together."""

    def __init__(self) -> None:
        self._of_minute: Dict[str, Tuple[str, str]] = {}

    def read(self, timestamp: str) -> Tuple[str, str]:
        """The day and the hour of a timestamp: ``YYYY-MM-DD`` and ``YYYY-MM-DDTHH``."""
        minute = timestamp[:16] + timestamp[-6:]  # the zone stands at the end
        found = self._of_minute.get(minute)
        if found is None:
            if len(self._of_minute) >= _REMEMBERED:
                self._of_minute.clear()
            local = parse_timestamp(timestamp).astimezone().isoformat()
            found = self._of_minute[minute] = local[:_DAY], local[:_HOUR]
        return found
