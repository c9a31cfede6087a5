"""What the release promises, read from the files that make it: nobody can try a release before it is made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set

import pytest
import yaml

from llm_orchestrator import __version__
from tests.support.configs import ROOT

WORKFLOWS = ROOT / ".github" / "workflows"
#: An action as it may be named: a commit, and beside it the release that the commit is.
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")

pytestmark = pytest.mark.skipif(not WORKFLOWS.is_dir(), reason="an sdist has no workflows")


def text_of(name: str) -> str:
    return (WORKFLOWS / name).read_text(encoding="utf-8")


def jobs() -> Dict[str, Any]:
    return dict(yaml.safe_load(text_of("release.yml"))["jobs"])


def steps() -> Iterator[Dict[str, Any]]:
    for job in jobs().values():
        yield from job.get("steps", [])


def before(name: str) -> Set[str]:
    """The jobs that a job waits for, and those that they wait for."""
    needs = jobs()[name].get("needs", [])
    direct = {needs} if isinstance(needs, str) else set(needs)
    return direct.union(*map(before, direct))


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_actions_are_pinned_by_commit(name: str) -> None:
    used = re.findall(r"uses: (.*)$", text_of(name), re.MULTILINE)
    assert [action for action in used if not (PINNED.fullmatch(action) or action.startswith("./"))] == []


def test_one_commit_for_each_action() -> None:
    used = re.findall(r"uses: (\S+)@(\S+)", text_of("ci.yml") + text_of("release.yml"))
    assert len(dict(used)) == len(set(used))


def test_only_a_tag_makes_a_release() -> None:
    workflow = yaml.safe_load(text_of("release.yml"))
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML reads the key `on` as true


def test_no_secret_is_stored() -> None:
    assert not re.search(r"secrets|password|token:(?! write)", text_of("release.yml"))


def test_only_what_runs_no_code_of_ours_can_ask_for_an_identity() -> None:
    workflow = yaml.safe_load(text_of("release.yml"))
    assert workflow["permissions"] == {}
    writers = {name for name, job in jobs().items() if "write" in str(job["permissions"])}
    assert writers == {"attest", "publish"}
    for name in writers:
        assert [step for step in jobs()[name]["steps"] if "run" in step or "checkout" in step["uses"]] == []


def test_nothing_from_outside_becomes_a_part_of_a_command() -> None:
    assert [step for step in steps() if "${{" in step.get("run", "")] == []


def test_what_is_published_was_tested_built_twice_compared_and_attested() -> None:
    assert before("publish") == {"tests", "build", "compare", "attest"}
    assert jobs()["tests"]["uses"] == "./.github/workflows/ci.yml"
    assert len(jobs()["build"]["strategy"]["matrix"]["machine"]) == 2
    assert {"run": "diff --recursive dist-first dist-second"} in jobs()["compare"]["steps"]
    (publish,) = [step for step in jobs()["publish"]["steps"] if "pypi-publish" in step["uses"]]
    assert publish["with"]["attestations"] is True
    assert jobs()["publish"]["environment"] == "pypi"


def test_the_tag_has_to_be_the_version_in_the_package_and_in_the_changelog() -> None:
    (check,) = [step["run"] for step in steps() if step.get("name", "").startswith("The tag")]
    asked: List[str] = re.findall(r'grep .* "(.*)" (\S+)', check)
    shown = {path: pattern.replace('\\"', '"').replace("$version", __version__) for pattern, path in asked}
    assert shown["llm_orchestrator/__init__.py"] in lines_of(ROOT / "llm_orchestrator" / "__init__.py")
    assert shown["CHANGELOG.md"].startswith(f"## [{__version__}]")


def test_the_newest_version_of_the_changelog_is_that_of_the_package() -> None:
    versions = re.findall(r"^## \[(.*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert next(version for version in versions if version != "Unreleased") == __version__


def lines_of(path: Path) -> List[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_the_classifiers_are_what_is_tested() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    classifiers = re.findall(r'^    "(.* :: .*)",$', project, re.MULTILINE)
    matrix = yaml.safe_load(text_of("ci.yml"))["jobs"]["test"]["strategy"]["matrix"]
    versions = [name.rpartition(" ")[2] for name in classifiers if re.search(r"Python :: 3\.\d+$", name)]
    assert versions == matrix["python"]
    assert f'requires-python = ">={versions[0]}"' in lines_of(ROOT / "pyproject.toml")
    systems = {*matrix["os"], *(more["os"] for more in matrix["include"])}
    assert ("Operating System :: OS Independent" in classifiers) is (
        systems == {"ubuntu-latest", "macos-latest", "windows-latest"}
    )
    assert ("Typing :: Typed" in classifiers) is (ROOT / "llm_orchestrator" / "py.typed").is_file()
    assert ("Development Status :: 4 - Beta" in classifiers) is __version__.startswith("0.")
