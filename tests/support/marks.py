"""Marks for scenarios of a single dialect, or of streams alone."""

from __future__ import annotations

import pytest

__all__ = ["STREAMED", "anthropic", "chat", "gemini", "responses", "streamed"]

STREAMED = ("streamed", "async streamed")

chat = pytest.mark.parametrize("dialect", ["chat"], indirect=True)
responses = pytest.mark.parametrize("dialect", ["responses"], indirect=True)
anthropic = pytest.mark.parametrize("dialect", ["anthropic"], indirect=True)
gemini = pytest.mark.parametrize("dialect", ["gemini"], indirect=True)
streamed = pytest.mark.parametrize("way", STREAMED, indirect=True)
