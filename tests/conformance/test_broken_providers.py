"""Every scenario of the suite finds what it looks for: it fails for a provider that breaks it, and only then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Dict, Set
from xml.etree import ElementTree

import pytest

from llm_orchestrator.testing.conformance import ProviderConformance
from llm_orchestrator.testing.conformance.request_scenarios import PARAMETERS
from llm_orchestrator.types import MODEL_PARAMETERS
from tests.configs import ROOT
from tests.conformance.provider_page import write_package

pytestmark = pytest.mark.slow

SCENARIOS = sorted(name for name in dir(ProviderConformance) if name.startswith("test_"))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Set[str]]:
    """How each scenario ended against the provider that breaks it, in a pytest run of its own."""
    folder = write_package(tmp_path_factory.mktemp("broken"))
    shutil.copy(ROOT / "tests" / "conformance" / "broken_parrots.py", folder / "test_broken.py")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--tb=no",
        "--junitxml=report.xml",
        "test_broken.py::TestBroken",
    ]
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command,
        cwd=folder,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout
    found: Dict[str, Set[str]] = {}
    for case in ElementTree.parse(folder / "report.xml").iter("testcase"):
        name = str(case.get("name")).partition("[")[0]
        found.setdefault(name, set()).update(child.tag for child in case if child.tag in ("failure", "error"))
    return found


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_fails_for_the_provider_that_breaks_it(
    outcomes: Dict[str, Set[str]], scenario: str
) -> None:
    assert outcomes[scenario] == {"failure"}


def test_the_suite_knows_every_parameter() -> None:
    assert set(PARAMETERS) == set(MODEL_PARAMETERS)
