"""Every scenario of the suite finds what it looks for: it fails for a provider that breaks it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import List, Set
from xml.etree import ElementTree

import pytest

from llm_orchestrator.testing.conformance import ProviderConformance
from llm_orchestrator.testing.conformance.request_scenarios import PARAMETERS
from llm_orchestrator.types import MODEL_PARAMETERS
from tests.support.configs import ROOT
from tests.support.provider_page import write_package

pytestmark = pytest.mark.slow

SCENARIOS = sorted(name for name in dir(ProviderConformance) if name.startswith("test_"))


MISSPELT = "test_making_one_talks_to_nobody"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> List[ElementTree.Element]:
    """How the scenarios ended against the providers that break them, in a pytest run of its own."""
    folder = write_package(tmp_path_factory.mktemp("broken"))
    shutil.copy(ROOT / "tests" / "support" / "broken_parrots.py", folder / "test_broken.py")
    chosen = ["test_broken.py::TestBroken", f"test_broken.py::TestMisspelt::{MISSPELT}"]
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "--junitxml=report.xml", *chosen]
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    return list(ElementTree.parse(folder / "report.xml").iter("testcase"))


def outcomes(report: List[ElementTree.Element], test_class: str, scenario: str) -> Set[str]:
    """How one scenario ended, in all its ways; those that were skipped or passed are left out."""
    cases = [case for case in report if str(case.get("classname")).endswith(test_class)]
    ways = [case for case in cases if str(case.get("name")).partition("[")[0] == scenario]
    return {child.tag for case in ways for child in case} & {"failure", "error"}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_fails_for_the_provider_that_breaks_it(
    report: List[ElementTree.Element], scenario: str
) -> None:
    assert outcomes(report, "TestBroken", scenario) == {"failure"}


def test_a_scenario_that_does_not_exist_cannot_be_left_out(report: List[ElementTree.Element]) -> None:
    assert outcomes(report, "TestMisspelt", MISSPELT) == {"error"}


def test_the_suite_knows_every_parameter() -> None:
    assert set(PARAMETERS) == set(MODEL_PARAMETERS)
