"""What the tests of the configuration share: small configurations, and the error a wrong one leads to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterator

import pytest
import yaml
from pydantic import ValidationError

from llm_orchestrator.config.manager import ConfigManager
from llm_orchestrator.exceptions import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-sentinel-0123456789"

LOCAL: Dict[str, Any] = {
    "active_provider": "local",
    "active_model": "model",
    "providers": {"local": {"model_path": "m.gguf"}},
}


@pytest.fixture(autouse=True, scope="module")
def schema_built() -> None:
    """Pay once, outside the tests, for what the first configuration of a process costs."""
    ConfigManager.load(LOCAL)


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's own variables decide nothing."""
    for name in (
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "GEMINI_API_KEY",
        "LLM_ORCHESTRATOR_CONFIG",
        "OLLAMA_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    yield


def config(**changes: Any) -> Dict[str, Any]:
    """A configuration that loads, with changes at the top level."""
    return {**LOCAL, **changes}


def entry(**settings: Any) -> Dict[str, Any]:
    """A configuration whose active entry has these settings."""
    return config(providers={"local": settings})


def costs(**settings: Any) -> Dict[str, Any]:
    """A configuration with these settings of cost_tracking."""
    return config(cost_tracking=settings)


def fault(source: Any, **options: Any) -> str:
    """The text of the one error that the source is answered with."""
    with pytest.raises(ConfigurationError) as caught:
        ConfigManager.load(source, **options)
    for chained in (caught.value.__cause__, caught.value.__context__):
        assert not isinstance(chained, (yaml.YAMLError, ValidationError)), "it could show what the file holds"
    return str(caught.value)


def written(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_bytes(text.encode("utf-8"))
    return path
