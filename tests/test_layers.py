"""Imports between the wings go one way: an import of a wing further right fails here, lazy and typing ones too."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

import pytest

import llm_orchestrator

ROOT = Path(llm_orchestrator.__file__).parent
PACKAGE = ROOT.name
#: From left to right; a wing imports from those left of it. Wings of one column may import each other, without a
#: circle between their modules.
COLUMNS: Tuple[Tuple[str, ...], ...] = (
    ("utils",),
    ("types",),
    ("exceptions",),
    ("request", "pricing", "models", "policy", "hooks"),
    ("providers", "config", "usage"),
    ("streaming", "cost_tracker"),
    ("calls", "bulk"),
    ("conversation", "conversation_store", "frameworks"),
    ("orchestrator",),
    ("bulk.worker", "bulk.ray", "bulk.daft"),  # they make the orchestrator in the processes of an engine
    ("", "testing"),  # "" is the package itself
    ("cli", "tracing", "mcp", "__main__"),
)
#: The two circles there are, and why, stand in docs/architecture.md.
ALLOWED_CIRCLES = ({"types", "exceptions"}, {"usage"})
#: ``bulk`` hands out ``Worker`` when it is asked for, which is after the orchestrator was imported.
LATE = {("bulk", "bulk.worker")}
PLACE = {wing: place for place, wings in enumerate(COLUMNS) for wing in wings}


def modules() -> Dict[str, Path]:
    """Every module of the package by its name below it; the package itself is the empty name."""
    names = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


MODULES = modules()


def wing_of(module: str) -> str:
    return module if module in PLACE else module.partition(".")[0]


def imported(path: Path) -> Iterator[str]:
    """The modules of the package that a file imports, at its top, inside functions and for type checkers."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.partition(".")[0] == PACKAGE:
                yield known(name.partition(".")[2])


def known(name: str) -> str:
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


EDGES: Dict[str, Set[str]] = {
    module: {target for target in imported(path) if target != module and (module, target) not in LATE}
    for module, path in sorted(MODULES.items())
}


def wrong_way(edges: Dict[str, Set[str]]) -> List[str]:
    wrong = []
    for module, targets in edges.items():
        for target in targets:
            left, right = wing_of(target), wing_of(module)
            if left != right and PLACE[left] > PLACE[right] and {left, right} not in ALLOWED_CIRCLES:
                wrong.append(f"{module or PACKAGE} imports {target or PACKAGE}")
    return wrong


def circles(edges: Dict[str, Set[str]]) -> List[Set[str]]:
    """The groups of modules that import each other, directly or through others."""
    reach: Dict[str, Set[str]] = {}
    for module, targets in edges.items():
        seen: Set[str] = set()
        waiting = list(targets)
        while waiting:
            target = waiting.pop()
            if target not in seen:
                seen.add(target)
                waiting += edges[target]
        reach[module] = seen
    groups = {
        frozenset(other for other in reach[module] if module in reach[other])
        for module in edges
        if module in reach[module]
    }
    return [set(group) for group in groups]


def is_allowed(circle: Set[str]) -> bool:
    return any({wing_of(module) for module in circle} <= allowed for allowed in ALLOWED_CIRCLES)


def test_every_wing_has_its_place() -> None:
    assert {wing_of(module) for module in MODULES} <= set(PLACE)


def test_imports_between_the_wings_go_one_way() -> None:
    assert wrong_way(EDGES) == []


def test_the_two_documented_circles_are_the_only_ones() -> None:
    assert [circle for circle in circles(EDGES) if not is_allowed(circle)] == []


@pytest.mark.parametrize(
    ("module", "target"), [("types.request", "providers.base"), ("usage.store", "calls.call")]
)
def test_an_import_the_wrong_way_is_noticed(module: str, target: str) -> None:
    edges = {**EDGES, module: EDGES[module] | {target}}
    assert wrong_way(edges) != []


def test_a_circle_within_a_wing_is_noticed() -> None:
    edges = {**EDGES, "providers.wire": EDGES["providers.wire"] | {"providers.base"}}
    assert any(not is_allowed(circle) for circle in circles(edges))
