"""The documentation says what the code does: its Python runs, its YAML loads, its links lead somewhere.

The Python blocks of one page share a namespace and run from the page's top to its end, against the scripted
server; a block that begins with a file's name in a comment is that file too. Functions named ``test_...``
are called; what they take are fixtures. The pages for authors of providers and of services, and
those on frameworks, have tests of their own.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Set, Tuple

import pytest
import yaml

from llm_orchestrator import ConfigManager, LLMOrchestrator, exceptions
from llm_orchestrator.providers import find_adapter
from llm_orchestrator.types import DROPPABLE_PARAMETERS, LLMRequest, Message
from llm_orchestrator.usage.columns import COLUMNS
from tests.support.configs import LOCAL, ROOT
from tests.support.provider_page import PAGE as PROVIDER_PAGE
from tests.support.scripted_server import DIALECTS, Dialect, ScriptedServer

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Pages whose links are followed.
LINKED = [
    *PAGES,
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "tests").rglob("README.md")),
]
API_PAGE = ROOT / "docs" / "api.md"
#: Pages that tests of their own run.
FRAMEWORKS = tuple(
    ROOT / "docs" / f"{name}.md" for name in ("dspy", "instructor", "langchain", "pydantic-ai")
)
ELSEWHERE = (
    API_PAGE,
    PROVIDER_PAGE,
    *FRAMEWORKS,
    *(ROOT / "docs" / f"{name}.md" for name in ("web", "django", "celery", "notebooks", "tracing")),
)
#: The columns of the table of what is supported, but the last.
ADAPTERS: List[Tuple[str, Dict[str, str]]] = [
    ("openai", {"api": "responses"}),
    ("openai", {"api": "chat"}),
    ("anthropic", {}),
    ("gemini", {}),
]
#: Pages that show one program for all providers.
THEMES = ("tools", "structured-output", "images-and-files", "reasoning", "caching", "parameters")
#: What configurations in the pages take from the environment.
VARIABLES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "AZURE_OPENAI_API_KEY", "LEDGER_URL")
#: Parameters of a call that never leave the library.
OWN_PARAMETERS = {"timeout", "total_timeout", "max_retries", "fallback", "reask", "tags"}


class Block(NamedTuple):
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(language: str) -> List[Any]:
    found = [block for page in PAGES for block in blocks_of(page) if block.language == language]
    return [pytest.param(block, id=f"{name_of(block.page)}:{block.line}") for block in found]


# ---------------------------------------------------------------------------------------- code


@pytest.fixture
def folder(tmp_path: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a reader of a page stands: a folder with a config.yaml that leads to the scripted server."""
    config = DIALECTS["chat"].config(server.url, "gpt-6-luna")
    config["model_registry"] = {"cache_path": str(tmp_path / "models.json")}
    config["cost_tracking"] = {"log_path": str(tmp_path / "llm_costs.csv")}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "config.example.yaml").write_text((ROOT / "config.example.yaml").read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("llm_orchestrator.providers._registered", {})
    for name in VARIABLES:
        monkeypatch.setenv(name, "not-a-key")
    return tmp_path


def run_page(page: Path, folder: Path, fixture: Callable[[str], Any]) -> Dict[str, Any]:
    """Run the Python of a page from its top to its end; returns the namespace it leaves."""
    names: Dict[str, Any] = {"__name__": "__main__"}
    for block in blocks_of(page):
        file = re.match(r"# (\w+\.py)\n", block.text)
        if file:
            (folder / file[1]).write_text(block.text, encoding="utf-8")
        if block.language == "python":
            source = "\n" * block.line + block.text  # so that a traceback shows the page's line
            exec(compile(source, str(page), "exec", dont_inherit=True), names)
            for name, fixtures in re.findall(r"^def (test_\w+)\((.*)\):", block.text, re.MULTILINE):
                names[name](*map(fixture, filter(None, fixtures.split(", "))))
    return names


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE], ids=name_of)
def test_the_python_of_a_page_runs(page: Path, folder: Path, request: pytest.FixtureRequest) -> None:
    before = set(sys.modules)
    names = run_page(page, folder, request.getfixturevalue)
    for value in names.values():
        if isinstance(value, LLMOrchestrator):
            value.close()
    for module in set(sys.modules) - before:
        if Path(getattr(sys.modules[module], "__file__", None) or "/").parent == folder:
            del sys.modules[module]


@pytest.mark.parametrize("block", blocks("py"))
def test_programs_of_other_libraries_are_python(block: Block) -> None:
    """They are not installed here, and pages write `py` beside their programs so that none of them runs."""
    compile(block.text, name_of(block.page), "exec", dont_inherit=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", THEMES)
def test_the_python_of_a_theme_runs_on_every_provider(
    name: str, folder: Path, server: ScriptedServer, dialect: Dialect, request: pytest.FixtureRequest
) -> None:
    config = dialect.config(server.url, "gpt-6-luna")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    names = run_page(ROOT / "docs" / f"{name}.md", folder, request.getfixturevalue)
    names["orchestrator"].close()
    assert all(dialect.serves(request.path) for request in server.requests)


@pytest.mark.parametrize("block", blocks("yaml"))
def test_every_configuration_shown_loads(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "not-a-key")
    shown = yaml.safe_load(block.text)  # a whole configuration, or sections of one
    config = ConfigManager.load(shown if "active_provider" in shown else {**LOCAL, **shown})
    assert config.providers[config.active_provider].unavailable is None


@pytest.mark.parametrize("block", blocks("sh"))
def test_shell_commands_name_what_exists(block: Block) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    extras = set(
        re.findall(r"^([\w-]+) = \[.*$", project_section("project.optional-dependencies"), re.MULTILINE)
    )
    for target in re.findall(r"\bmake (\w+)", block.text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    for names in re.findall(r"llm-orchestrator\[([\w,-]+)\]", block.text):
        assert set(names.split(",")) <= extras
    for script in re.findall(r"\bpython ([\w/]+\.py)", block.text):
        assert (ROOT / script).is_file()


def project_section(name: str) -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return re.split(r"^\[", text.partition(f"[{name}]\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


# ---------------------------------------------------------------------------------------- links


def anchors_of(page: Path) -> Set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_every_local_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in set(re.findall(r"\]\(([^)\s]+)\)", text)):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors_of(linked), target


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    others = [page.name for page in PAGES if page.parent.name == "docs" and page.name != "README.md"]
    assert [name for name in others if f"]({name})" not in index] == []


def test_the_site_and_the_index_have_the_same_chapters() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    chapters = {title: entry for item in nav for title, entry in item.items()}
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for chapter in index.split("\n## ")[1:]:
        pages = re.findall(r"^\| \[[^\]]*\]\(([\w-]+\.md)\)", chapter, re.MULTILINE)
        shown = chapters.get(chapter.partition("\n")[0], [])
        assert shown == [f"docs/{page}" for page in pages]


def test_the_site_shows_every_page_that_it_names() -> None:
    nav = str(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    named = {ROOT / name for name in re.findall(r"[\w/-]+\.md", nav)}
    assert named == {*PAGES, *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))}


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_links_lead_to_what_is_on_the_site(page: Path) -> None:
    """Zensical follows links between pages; links to other files it leaves as they are."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "")
    (shown,) = re.findall(r"^site = (.*)$", makefile, re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s:#]+)[)#]", page.read_text(encoding="utf-8")):
        linked = (page.parent / target).resolve()
        assert linked.is_file(), target
        assert {ROOT / name for name in shown.split()} & {linked, *linked.parents}, target


def test_the_readme_is_read_in_one_go() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 260


# ---------------------------------------------------------------------------------------- statements


def rows_of(page: str, heading: str) -> List[List[str]]:
    """The cells of the first table below a heading."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    table = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_table_of_errors_tells_what_the_classes_do() -> None:
    rows = rows_of("errors.md", "What becomes which error")
    for _, name, retried, falls_back in rows:
        error = getattr(exceptions, name.strip("`"))
        assert retried.startswith("yes") is getattr(error, "retryable", False), name
        assert falls_back.startswith("yes") is getattr(error, "falls_back", False), name
    shown = {name.strip("`") for _, name, _, _ in rows}
    assert set(exceptions.__all__) - shown == {"OrchestratorError", "ProviderError", "BudgetExceededError"}


def test_the_tree_of_errors_is_that_of_the_module() -> None:
    (tree,) = [block.text for block in blocks_of(ROOT / "docs" / "errors.md") if block.language == "text"]
    assert tree.split() == str(exceptions.__doc__).partition("\n\n")[2].partition("\n\n")[0].split()


def test_the_table_of_the_ledger_has_its_columns_in_order() -> None:
    assert [row[0].strip("`") for row in rows_of("ledger.md", "The columns")] == list(COLUMNS)


def test_the_table_of_parameters_has_them_all() -> None:
    heading = "What each parameter becomes"
    page = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
    parameters = set(inspect.signature(LLMOrchestrator.send_request).parameters) - {"self"}
    in_table = {name for row in rows_of("providers.md", heading) for name in re.findall(r"`(\w+)`", row[0])}
    assert in_table == parameters - OWN_PARAMETERS
    assert all(f"`{name}`" in page for name in OWN_PARAMETERS)


def test_the_table_of_what_is_supported_names_the_parameters_without_a_field() -> None:
    everything = {"stop": ("x",), "logprobs": True, "parallel_tool_calls": False, "reasoning_effort": "low"}
    numbers = dict.fromkeys(set(DROPPABLE_PARAMETERS) - set(everything), 1)
    asked = LLMRequest("model", (Message("user", "Hi"),), **everything, **numbers)
    rows = rows_of("providers.md", "What each provider supports")
    (told,) = [cells for name, *cells in rows if name.endswith("without a field")]
    for (adapter, settings), cell in zip(ADAPTERS, told):
        wire = find_adapter(adapter)("entry", api_key="key", **settings).build_request(asked, stream=False)
        assert set(re.findall(r"`(\w+)`", cell)) == set(wire.unsupported), settings or adapter
