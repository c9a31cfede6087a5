"""Files that ship inside the package."""

from __future__ import annotations

__all__ = ["packaged_text"]


def packaged_text(package: str, name: str) -> str:
    """Read a file that lies beside a package's modules, also where the package is in a zip."""
    from importlib.resources import files  # costs milliseconds, and most programs read no such file at import

    return files(package).joinpath(name).read_text(encoding="utf-8")
