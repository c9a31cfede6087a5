"""Data files that are part of the package."""

from __future__ import annotations

__all__ = ["packaged_text"]


def packaged_text(package: str, name: str) -> str:
    """Read a file in a package's folder, also when the package is in a zip archive."""
    from importlib.resources import files  # takes milliseconds to import, and few programs need it at once

    return files(package).joinpath(name).read_text(encoding="utf-8")
