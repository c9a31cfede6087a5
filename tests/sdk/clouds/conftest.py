"""A machine without a cloud: none of its credentials, files or metadata servers play a part in these tests."""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest

from llm_orchestrator import LLMOrchestrator

#: Variables in which clouds look for credentials and addresses.
PREFIXES = ("AWS_", "AZURE_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_", "IDENTITY_", "MSI_", "CLOUD_ML_")
LIBRARIES = (
    "boto3",
    "botocore.auth",
    "botocore.eventstream",
    "azure.identity",
    "google.auth.transport.requests",
)

Orchestrate = Callable[..., LLMOrchestrator]


@pytest.fixture(autouse=True, scope="session")
def cloud_libraries(vendor_sdks: None) -> None:
    """Import the clouds' libraries once: their seconds of start-up belong to no single test."""
    for name in LIBRARIES:
        importlib.import_module(name)


@pytest.fixture(autouse=True)
def no_cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take the machine's own credentials away."""
    import os

    for name in list(os.environ):
        if name.startswith(PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Orchestrate]:
    """Makes orchestrators with one entry of a cloud."""
    made: List[LLMOrchestrator] = []

    def make(adapter: str, model: str = "asked", **entry: Any) -> LLMOrchestrator:
        config: Dict[str, Any] = {
            "active_provider": "mine",
            "active_model": model,
            "providers": {"mine": {"adapter": adapter, "max_retries": 0, **entry}},
            "model_registry": {"cache_path": str(tmp_path / "models.json")},
        }
        made.append(LLMOrchestrator(config))
        return made[-1]

    yield make
    for orchestrator in made:
        orchestrator.close()


@pytest.fixture(params=["direct", "sdk"])
def cloud_by_key(cloud: Orchestrate, request: pytest.FixtureRequest) -> Orchestrate:
    """Makes orchestrators with one entry that has a key, which both transports can send."""
    return partial(cloud, transport=request.param)
