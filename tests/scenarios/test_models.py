"""The lists of models that processes share in one cache file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from llm_orchestrator.models.registry import ModelRegistry
from tests.support.listings import Listed, names

WRITER = """
import sys
from llm_orchestrator.models.registry import ModelInfo, ModelRegistry
class Provider:
    def get_available_models(self):
        return [ModelInfo("model", "")]
path, word = sys.argv[1:]
for number in range(20):
    ModelRegistry({f"{word}{number}": Provider()}, path).refresh_models()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no lock between processes")
def test_many_processes_refresh_at_once_without_loss(tmp_path: Path) -> None:
    cache_path = tmp_path / "models.json"
    words = "abcd"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(cache_path), word]) for word in words]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    entries = [f"{word}{number}" for word in words for number in range(20)]
    registry = ModelRegistry({entry: Listed() for entry in entries}, cache_path)
    assert [entry for entry in entries if names(registry, entry) != ["model"]] == []
