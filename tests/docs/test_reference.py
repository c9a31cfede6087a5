"""The API reference has every public name: a line for readers of the page, and a directive for the site.

Directives are comments, which GitHub does not show; ``make docs`` takes the comment's marks away.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Iterator, List, Tuple

import pytest

from tests.support.configs import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
MODULES = (
    "llm_orchestrator",
    "llm_orchestrator.testing",
    "llm_orchestrator.testing.conformance",
    "llm_orchestrator.tracing",
    "llm_orchestrator.frameworks.openai",
    "llm_orchestrator.providers.wire",
)
#: Exported for the library's own modules.
INTERNAL = {"__version__", "abody_of", "body_of", "close_reply"}


def chapters() -> Iterator[Tuple[str, List[str]]]:
    """The module that each chapter says to import from, and the names it lists."""
    for chapter in PAGE.split("\n## ")[1:]:
        (module,) = re.findall(r"^`from ([\w.]+) import \.\.\.`$", chapter, re.MULTILINE)
        yield module, re.findall(r"^- `(\w+)`: \w", chapter, re.MULTILINE)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_listed_once(module: str) -> None:
    names = [name for home, listed in chapters() if home == module for name in listed]
    assert len(names) == len(set(names))
    assert set(names) == set(import_module(module).__all__) - INTERNAL


def test_every_listed_name_has_its_directive() -> None:
    directives = re.findall(r"^<!-- ::: ([\w.]+)(?: -->)?$", PAGE, re.MULTILINE)
    assert directives == [f"{module}.{name}" for module, names in chapters() for name in names]


def test_readers_of_the_raw_page_see_no_directive() -> None:
    assert ":::" not in re.sub(r"^<!-- .*? -->$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
