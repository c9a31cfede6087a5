"""Fixtures that several files of scenarios share."""

from __future__ import annotations

from tests.support.money import path, spend  # noqa: F401 (the fixtures of the tests about money)
