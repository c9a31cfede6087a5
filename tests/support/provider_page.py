"""The package that docs/adding-a-provider.md has its reader write."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import List

from tests.support.configs import ROOT

PAGE = ROOT / "docs" / "adding-a-provider.md"


def code_blocks() -> List[str]:
    """Everything the reader is to type."""
    return re.findall(r"^```\w+\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def write_package(folder: Path) -> Path:
    """Write the page's files into a folder, as its reader does."""
    folder.mkdir(parents=True, exist_ok=True)
    for block in code_blocks():
        name = re.match(r"# ([\w.]+)\n", block)
        if name:
            (folder / name[1]).write_text(for_this_python(block), encoding="utf-8")
    return folder


def for_this_python(block: str) -> str:
    """What the page says of Python 3.9, done."""
    if sys.version_info >= (3, 10):
        return block
    return block.replace("httpx2>=2,<3", "httpx").replace("import httpx2 as httpx", "import httpx")
