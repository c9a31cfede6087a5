"""Builds the documentation site in ``site/`` from the Markdown of the repository.

    python tools/make_site.py

The pages lie in the repository as GitHub shows them. They are copied to ``build/pages`` first, with what they
link to: scripts and other files become pages that show them, and a link to what is not on the site becomes
its text. Zensical then makes the site as ``mkdocs.yml`` says. A warning, such as a link into nowhere, fails
the build.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "build" / "pages"
#: Code first, so that nothing in it is taken for a link.
_LINK = re.compile(
    r"^```.*?^```$|(?<!!)\[(?P<text>[^\]]*)\]\((?P<path>[^)\s:#]+)(?P<anchor>#[^)\s]*)?\)|`[^`]*`",
    re.M | re.S,
)
_LANGUAGES = {".py": "python", ".yaml": "yaml"}


def markdown_pages() -> Dict[Path, str]:
    """Every Markdown file of the site, with its text."""
    names = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
    files = [*(ROOT / name for name in names), *sorted((ROOT / "docs").glob("*.md"))]
    return {file: file.read_text(encoding="utf-8") for file in files}


def source_pages() -> Dict[Path, str]:
    """What else pages link to: files, as pages that show them, and the folder of examples, as a list."""
    scripts = sorted((ROOT / "examples").glob("*.py"))
    pages = {file: _source_page(file) for file in [*scripts, ROOT / "config.example.yaml", ROOT / "LICENSE"]}
    pages[ROOT / "examples"] = (
        "# Examples\n\nEach runs on the local model, or on the configuration you name.\n\n"
        + "".join(f"- [{script.name}]({script.name}.md): {_first_line(script)}\n" for script in scripts)
    )
    return pages


def _source_page(file: Path) -> str:
    language = _LANGUAGES.get(file.suffix, "text")
    return f"# {file.name}\n\n````{language}\n{file.read_text(encoding='utf-8')}````\n"


def _first_line(script: Path) -> str:
    return script.read_text(encoding="utf-8").partition('"""')[2].partition("\n")[0]


def place_of(file: Path) -> Path:
    """Where the page of a file is put; a folder's page is the one that is shown for the folder."""
    if file.is_dir():
        return PAGES / file.relative_to(ROOT) / "README.md"
    name = file.name if file.suffix == ".md" else file.name + ".md"
    return PAGES / file.relative_to(ROOT).with_name(name)


def linked(file: Path, text: str, pages: Dict[Path, str]) -> str:
    """The text of a page, its links leading to pages and called by the pages' titles."""

    def change(found: re.Match[str]) -> str:
        path = found["path"]
        if path is None:
            return found[0]
        target = (file.parent / path).resolve()
        if target not in pages:
            return found["text"]
        title = pages[target].partition("\n")[0].lstrip("# ")
        shown = title if found["text"].endswith(".md") else found["text"]
        place = Path(os.path.relpath(place_of(target), place_of(file).parent)).as_posix()
        return f"[{shown}]({place}{found['anchor'] or ''})"

    return _LINK.sub(change, text)


def lay_out() -> None:
    """Put the pages, pictures and style where Zensical reads them."""
    shutil.rmtree(PAGES, ignore_errors=True)
    texts = markdown_pages()
    pages = {**texts, **source_pages()}
    for file, text in pages.items():
        place = place_of(file)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(linked(file, text, pages) if file in texts else text, encoding="utf-8")
    for asset in [*(ROOT / "docs").glob("*.png"), ROOT / "docs" / "site.css"]:
        shutil.copy2(asset, PAGES / "docs")


def main() -> None:
    """Make the site."""
    if sys.version_info < (3, 11):
        sys.exit(
            "The site is made by Zensical, which needs Python 3.11 or later. Run make docs PYTHON=python3.11."
        )
    lay_out()
    command = [
        sys.executable,
        "-m",
        "zensical",
        "build",
        "--clean",
        "--strict",
        "--config-file",
        "mkdocs.yml",
    ]
    ended = subprocess.run(command, cwd=ROOT, check=False)
    if not ended.returncode:
        print("The site is in site/; begin with site/index.html.")
    sys.exit(ended.returncode)


if __name__ == "__main__":
    main()
