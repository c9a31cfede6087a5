"""What the tests of the model registry share: providers, a clock and a cache file."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, List, Optional, Union

import pytest

from llm_orchestrator.models.registry import ModelInfo, ModelRegistry

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
FIRST, SECOND, THIRD = ((START + days * DAY).isoformat() for days in range(3))


class Listed:
    """A provider whose listing the test writes."""

    def __init__(self, *models: Union[str, ModelInfo], kinds: str = "openai") -> None:
        self.model_kinds = kinds
        self.error: Optional[Exception] = None
        self.requests: List[str] = []
        self.offer(*models)

    def offer(self, *models: Union[str, ModelInfo]) -> None:
        self._models = [ModelInfo(model, "") if isinstance(model, str) else model for model in models]

    def get_available_models(self) -> List[ModelInfo]:
        self.requests.append("list")
        if self.error:
            raise self.error
        return self._models

    async def aget_available_models(self) -> List[ModelInfo]:
        await asyncio.sleep(0)
        return self.get_available_models()

    def validate_model(self, model: str) -> bool:
        self.requests.append(model)
        return any(info.name == model for info in self._models)

    async def avalidate_model(self, model: str) -> bool:
        await asyncio.sleep(0)
        return self.validate_model(model)


class Clock:
    """A clock that moves when the test says so."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def next_day(self) -> None:
        self.time += DAY


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache_path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "models.json"


@pytest.fixture
def make(cache_path: Path, clock: Clock) -> Any:
    """Make registries that share one cache file and one clock."""
    return lambda **providers: ModelRegistry(providers, cache_path, now=clock)


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Any:
    """Call a registry's method, or its async twin."""

    def plainly(registry: ModelRegistry, name: str, *arguments: Any) -> Any:
        return getattr(registry, name)(*arguments)

    def asynchronously(registry: ModelRegistry, name: str, *arguments: Any) -> Any:
        return asyncio.run(getattr(registry, f"a{name}")(*arguments))

    return plainly if request.param == "sync" else asynchronously


def names(registry: ModelRegistry, provider: str = "one", include_deprecated: bool = False) -> List[str]:
    return [info.name for info in registry.get_available_models(provider, include_deprecated)]


@pytest.fixture
def vanished(make: Any, clock: Clock) -> ModelRegistry:
    """A registry whose model ``old`` was listed on the first day only."""
    provider = Listed("old", "new")
    registry = make(one=provider)
    registry.refresh_models()
    clock.next_day()
    provider.offer("new")
    registry.refresh_models()
    return registry
