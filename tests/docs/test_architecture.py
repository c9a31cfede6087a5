"""The page on the architecture is true: what it names exists, and its order of wings is that of the layer test.

A path in it begins below the package, or at the root of the repository. A function is named with a call's brackets in
prose, and in the column "function" of a table beside the column "file".
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

import pytest

from tests.support.configs import ROOT
from tests.test_layers import COLUMNS, MODULES, wing_of

PACKAGE = ROOT / "llm_orchestrator"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
MOST_HOPS = 12


def defined(path: Path) -> Set[str]:
    """The functions, classes and methods of a file, methods also as ``Class.method``."""
    names: Set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = [item for item in node.body if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))]
            names.update(f"{node.name}.{item.name}" for item in inner)
    return names


def spans(text: str, pattern: str) -> List[str]:
    """What stands in backticks and has a form."""
    return [span for span in re.findall(r"`([^`\n]+)`", text) if re.fullmatch(pattern, span)]


def hops() -> Iterator[Tuple[str, List[str], List[str]]]:
    """The rows of the tables of hops: their chapter, functions and files."""
    for chapter in PAGE.split("\n## ")[1:]:
        rows = re.findall(r"^\| *\d+ *\|(.*)\|(.*)\|.*\|$", chapter, re.MULTILINE)
        for functions, files in rows:
            yield chapter.partition("\n")[0], spans(functions, r"[\w.]+"), spans(files, r"\S+")


@pytest.mark.parametrize("path", sorted(set(spans(PAGE, r"[\w./]+(\.(py|json|yml|md)|/)"))))
def test_a_file_or_folder_that_is_named_exists(path: str) -> None:
    assert (PACKAGE / path).exists() or (ROOT / path).exists()


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: str(page.name))
def test_a_module_that_another_page_names_exists(page: Path) -> None:
    for path in spans(page.read_text(encoding="utf-8"), r"[\w/]+/\w+\.py"):
        assert (PACKAGE / path).exists() or (ROOT / path).exists(), path


@pytest.mark.parametrize("name", sorted(set(spans(PAGE, r"[\w.]+\(\)"))))
def test_a_function_that_is_named_exists(name: str) -> None:
    assert any(name[:-2] in defined(path) for path in MODULES.values())


def test_a_hop_is_where_the_page_says() -> None:
    for _, functions, files in hops():
        names = set().union(*(defined(PACKAGE / file) for file in files))
        assert functions and set(functions) <= names, (functions, files)


def test_a_call_and_a_stream_are_few_hops() -> None:
    counts: Dict[str, int] = {}
    for chapter, _, _ in hops():
        counts[chapter] = counts.get(chapter, 0) + 1
    assert len(counts) == 2
    assert max(counts.values()) <= MOST_HOPS


def wings() -> List[Tuple[str, ...]]:
    """The columns of the layer test, without wings that are yet to be built."""
    built = {wing_of(module) for module in MODULES}
    return [tuple(wing for wing in column if wing in built) for column in COLUMNS]


def test_the_order_of_the_wings_is_that_of_the_layer_test() -> None:
    (order,) = re.findall(r"^```text\n(utils .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    columns = [tuple(column.replace(",", " ").split()) for column in order.split("|")]
    assert columns == [tuple(wing or "package" for wing in column) for column in wings()]


def test_every_wing_has_its_row() -> None:
    chapter = PAGE.partition("\n## The wings\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)(?:\.py|/)`", chapter, re.MULTILINE)
    assert {row.replace("__init__", "") for row in rows} == {wing for column in wings() for wing in column}
