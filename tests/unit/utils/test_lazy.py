"""Modules and patterns that are made ready when first needed."""

from __future__ import annotations

import re
from typing import List, Pattern

import pytest

from llm_orchestrator.utils.lazy import LazyPattern


def test_a_pattern_has_the_methods_of_a_compiled_one() -> None:
    pattern = LazyPattern(r"(?P<word>[a-z]+)\d", re.IGNORECASE)

    found = pattern.fullmatch("AB1")
    assert found is not None
    assert (found["word"], pattern.sub("-", "x1 y2"), pattern.flags & re.IGNORECASE) == ("AB", "- -", re.I)


def test_a_pattern_is_compiled_when_it_is_first_used(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: List[str] = []
    made = re.compile

    def compile_noted(pattern: str, flags: int = 0) -> Pattern[str]:
        compiled.append(pattern)
        return made(pattern, flags)

    monkeypatch.setattr(re, "compile", compile_noted)

    pattern = LazyPattern("a+")
    before = list(compiled)
    assert all(pattern.search(text) for text in ("a", "baa"))

    assert (before, compiled) == ([], ["a+"])
