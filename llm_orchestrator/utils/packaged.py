"""Data files that are part of the package: in a folder, in a zip archive, in a frozen program."""

from __future__ import annotations

import os

__all__ = ["is_packaged", "packaged_text"]

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def packaged_text(package: str, name: str) -> str:
    """Read a file in a package's folder, also when the package is in a zip archive; else an OSError."""
    from importlib.resources import files  # takes milliseconds to import, and few programs need it at once

    try:
        return files(package).joinpath(name).read_text(encoding="utf-8")
    except KeyError as error:  # of a zip archive, on older Pythons
        raise FileNotFoundError(name) from error


def is_packaged(package: str, name: str) -> bool:
    """Whether the file is there and can be read; costs next to nothing where it is in a folder."""
    if os.access(os.path.join(_ROOT, *package.split("."), name), os.R_OK):
        return True
    try:
        return bool(packaged_text(package, name))
    except (OSError, ImportError):
        return False
