"""Words of others stand on one line, and nothing in them commands a terminal."""

from __future__ import annotations

import pytest

from llm_orchestrator.utils.text import one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words, 漢字 and é", "plain words, 漢字 and é"),
        ("two\r\nlines\tand a tab", "two lines and a tab"),
        ("\x1b[31mred\x9b0m", r"\x1b[31mred\x9b0m"),
        ("left\u202eright", r"left\u202eright"),
        ("half \ud83d", r"half \ud83d"),
        ("", ""),
    ],
)
def test_one_line(text: str, shown: str) -> None:
    assert one_line(text) == shown
