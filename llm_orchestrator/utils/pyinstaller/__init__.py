"""For PyInstaller, which finds it by an entry point: a frozen program needs our data files."""

from __future__ import annotations

import os
from typing import List

__all__ = ["get_hook_dirs"]


def get_hook_dirs() -> List[str]:
    """Where the hooks are."""
    return [os.path.dirname(__file__)]
