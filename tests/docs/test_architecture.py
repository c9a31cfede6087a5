"""The page on the architecture is true: what it names exists, and its order of wings is that of the layer test.

A path in it begins below the package, or at the root of the repository. A function is named with a call's brackets in
prose, and in the column "function" of a table beside the column "file". The trees of who calls whom are compared
with a real call.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from importlib import import_module
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Callable, Dict, Iterator, List, Optional, Set, Tuple

import pytest

from llm_orchestrator.testing import FakeProvider, FakeReply
from tests.support.configs import ROOT
from tests.support.fakes import Scene, play
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


@pytest.mark.parametrize("name", sorted(set(spans(PAGE, r"[A-Z]\w+\.\w+(\(\))?"))))
def test_a_method_that_is_named_exists(name: str) -> None:
    owner, _, method = name.partition("(")[0].partition(".")
    (module,) = [name for name, path in MODULES.items() if owner in defined(path)]
    found = getattr(import_module(f"llm_orchestrator.{module}"), owner)
    assert hasattr(found, method) or method in found.__annotations__


def test_a_hop_is_where_the_page_says() -> None:
    for _, functions, files in hops():
        assert [hop_of(function, file) for function, file in zip(functions, files)], (functions, files)
        assert len(functions) == len(files) == 1


def hop_of(function: str, file: str) -> CodeType:
    """The code of a function that a table names, imported from the file that it names."""
    module = import_module("llm_orchestrator." + file[: -len(".py")].replace("/", "."))
    found: Any = module
    for name in function.split("."):
        found = getattr(found, name)
    code: CodeType = inspect.unwrap(found).__code__
    return code


def trees() -> List[List[Tuple[str, Optional[str]]]]:
    """The trees of calls: each line's function, and the one above it, which calls it."""
    found = []
    for block in re.findall(r"^```text\n( 1 .*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        tree: List[Tuple[str, Optional[str]]] = []
        path: List[Tuple[int, str]] = []
        for line in block.splitlines():
            name = line.split()[-1]
            path = [(depth, above) for depth, above in path if depth < line.index(name)]
            tree.append((name, path[-1][1] if path else None))
            path.append((line.index(name), name))
        found.append(tree)
    return found


def ask(scene: Scene) -> None:
    scene.orchestrator.send_request("Hi")


def stream(scene: Scene) -> None:
    assert list(scene.orchestrator.send_streaming_request("Hi")) == ["Hel", "lo"]


@pytest.mark.parametrize(("place", "use"), [(0, ask), (1, stream)], ids=["request", "stream"])
def test_a_call_goes_the_way_that_the_page_draws(place: int, use: Callable[[Scene], None]) -> None:
    chapter = sorted({chapter for chapter, _, _ in hops()})[place]
    codes = {names[0]: hop_of(names[0], files[0]) for title, names, files in hops() if title == chapter}
    assert [name for name, _ in trees()[place]] == list(codes)
    called = calls_in(use, play(FakeReply(chunks=["Hel", "lo"]), provider_class=FakeProvider))
    for name, above in trees()[place]:
        assert any(above is None or codes[above] in stack for stack in called[codes[name]]), name


def calls_in(use: Callable[[Scene], None], scene: Scene) -> Dict[CodeType, List[List[CodeType]]]:
    """What was called while a scene was used, each with the functions that it was called from."""
    called: Dict[CodeType, List[List[CodeType]]] = {}

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            above, stack = frame.f_back, []
            while above is not None:
                stack.append(above.f_code)
                above = above.f_back
            called.setdefault(frame.f_code, []).append(stack)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        use(scene)
    finally:
        sys.setprofile(before)
    return called


def test_a_call_and_a_stream_are_few_hops() -> None:
    counts: Dict[str, int] = {}
    for chapter, _, _ in hops():
        counts[chapter] = counts.get(chapter, 0) + 1
    assert len(counts) == 2
    assert max(counts.values()) <= MOST_HOPS


def wings() -> List[Tuple[str, ...]]:
    """The columns of the layer test, without the wing that is still to come."""
    built = {wing_of(module) for module in MODULES}
    return [tuple(wing for wing in column if wing in built) for column in COLUMNS]


def test_the_order_of_the_wings_is_that_of_the_layer_test() -> None:
    (order,) = re.findall(r"^```text\n(utils .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    columns = [tuple(column.replace(",", " ").split()) for column in order.split("|")]
    assert columns == [tuple(wing or "package" for wing in column) for column in wings()]


def test_every_wing_has_its_row() -> None:
    chapter = PAGE.partition("\n## The wings\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)(?:\.py|/)`", chapter, re.MULTILINE)
    assert {row.replace("__init__", "") for row in rows} == {
        wing for column in wings() for wing in column if "." not in wing  # some modules of bulk stand apart
    }
