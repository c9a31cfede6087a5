"""The local day of a ledger row."""

from __future__ import annotations

from typing import Dict

from llm_orchestrator.usage.record import parse_timestamp

__all__ = ["LocalDays"]

#: So many minutes are remembered at once.
_REMEMBERED = 4096


class LocalDays:
    """Tells the day of a timestamp in local time; fast, as rows of one minute tend to come together."""

    def __init__(self) -> None:
        self._of_minute: Dict[str, str] = {}

    def of(self, timestamp: str) -> str:
        """Tell the day."""
        minute = timestamp[:16]
        day = self._of_minute.get(minute)
        if day is None:
            if len(self._of_minute) >= _REMEMBERED:
                self._of_minute.clear()
            day = self._of_minute[minute] = parse_timestamp(timestamp).astimezone().date().isoformat()
        return day
