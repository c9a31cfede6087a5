"""The page on many calls, walked through with the real local model: label, break off in the middle, go on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict

import pytest
import yaml

from tests.docs.test_documents import blocks_of
from tests.support.configs import ROOT, no_keys  # noqa: F401 (the test's fixture)

PAGE = ROOT / "docs" / "bulk.md"


#: The model has one row at a time; a tenth of them meets the same code.
FEWER = {"range(500)": "range(50)", "== 100": "== 10", ">= 100": ">= 10", "== 500": "== 50"}


def shortened(text: str) -> str:
    for usual, fewer in FEWER.items():
        text = text.replace(usual, fewer)
    return text


@pytest.mark.slow
@pytest.mark.local_model
def test_rows_are_labelled_by_the_local_model(
    tmp_path: Path, local_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.symlink(local_model_path, tmp_path / "model.gguf")
    config = {
        "active_provider": "local",
        "active_model": "model",
        "providers": {"local": {"model_path": "./model.gguf"}},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    names: Dict[str, Any] = {"__name__": "__main__"}
    chapter = [block for block in blocks_of(PAGE) if block.language == "python"][:2]
    for block in chapter:
        exec(compile(shortened(block.text), str(PAGE), "exec", dont_inherit=True), names)
    names["orchestrator"].close()

    assert len(names["labels"]) == 50, "a tenth of what the page says"
    assert all(isinstance(label, str) for label in names["labels"].values())
