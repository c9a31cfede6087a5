"""The page is looked at from a certain day, in a certain zone."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any, Callable, Iterator

import pytest

from llm_orchestrator.usage import page


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the local time zone."""

    def use(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield use
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(autouse=True)
def utc(zone: Callable[[str], None]) -> None:
    """Days are local time, here that of Greenwich."""
    zone("UTC")


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the time it is, as UTC."""

    def use(*moment: int) -> None:
        seconds = datetime(*moment).replace(tzinfo=timezone.utc).timestamp()

        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                return datetime.fromtimestamp(seconds, tz)

        monkeypatch.setattr(page, "datetime", Clock)

    return use
