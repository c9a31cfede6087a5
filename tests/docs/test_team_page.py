"""The page on costs in a team, walked through from an empty PostgreSQL to the page of costs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, List

import pytest
import yaml

pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")
pytest.importorskip("pyarrow", reason="Parquet files need the extra `arrow`")
pytest.importorskip("typer", reason="the command line is an extra: make environment")

from llm_orchestrator import CostTracker
from tests.docs.test_documents import blocks_of
from tests.support.configs import ROOT
from tests.support.databases import PostgreSQL
from tests.support.scripted_server import DIALECTS, ScriptedServer

PAGE = ROOT / "docs" / "costs-in-a-team.md"
#: What has been done when the test begins.
DONE = re.compile(r"^(pip install|export) .*\n", re.MULTILINE)


@pytest.fixture
def environment(postgres: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dict[str, str]:
    """That of each machine; the database of the page is not there yet."""
    postgres.execute("DROP DATABASE IF EXISTS llm", "DROP ROLE IF EXISTS app", "DROP ROLE IF EXISTS llm")
    values = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "OPENAI_API_KEY": "not-a-key",
        "LEDGER_URL": postgres.url("llm", user="llm"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return {**os.environ, **values}


def run_in_a_shell(commands: str, environment: Dict[str, str]) -> str:
    shell = ["sh", "-e", "-c", commands]
    ended = subprocess.run(shell, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, (commands, ended.stdout, ended.stderr)
    return ended.stdout


def configured(text: str, server: ScriptedServer) -> str:
    """The configuration of the page, with the scripted server as its provider."""
    config = yaml.safe_load(text)
    config["providers"]["openai"].update(DIALECTS["responses"].config_entry(server.url))
    return yaml.safe_dump(config)


def spend_last_month(path: Path) -> None:
    """What acme spent before there was a database."""
    moment = datetime.now(timezone.utc).replace(day=1) - timedelta(days=10)
    tracker = CostTracker(log_path=path)
    tokens = {"prompt": 10, "completion": 5, "total": 15}
    tracker.log_usage(
        "openai", "gpt-6-luna", tokens, cost=Decimal("12.5"), tags={"customer": "acme"}, timestamp=moment
    )
    tracker.close()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="its commands are those of a POSIX shell")
def test_a_team_gets_from_an_empty_postgresql_to_the_page(
    postgres: PostgreSQL, server: ScriptedServer, environment: Dict[str, str], tmp_path: Path
) -> None:
    spend_last_month(tmp_path / "llm_costs.csv")
    shown: List[str] = []
    names: Dict[str, Any] = {"__name__": "__main__"}
    for block in blocks_of(PAGE):
        if block.language == "sql":
            database = "llm" if "GRANT" in block.text else "postgres"
            postgres.execute(*filter(None, map(str.strip, block.text.split(";"))), database=database)
        elif block.language == "yaml":
            (tmp_path / "config.yaml").write_text(configured(block.text, server), encoding="utf-8")
        elif block.language == "sh":
            shown.append(run_in_a_shell(DONE.sub("", block.text), environment))
        elif block.language == "python":
            exec(compile(block.text, str(PAGE), "exec", dont_inherit=True), names)

    _, made, imported, budgets, month, upkeep = shown
    assert "version 0001" in made and "Rows: 0" in made
    assert "1 row brought in" in imported
    assert [line.split()[:2] for line in budgets.splitlines() if "tag:" in line][:2] == [
        ["month", "tag:customer=acme"],
        ["month", "tag:customer=globex"],
    ]
    assert re.search(r"^acme +1 +15 +\$12\.50", month, re.MULTILINE)
    assert "Wrote 1 row to acme.csv" in month and "Wrote 1 row to month.parquet" in month
    assert (tmp_path / "by_customer.csv").read_text().splitlines()[1].startswith("acme,gpt-6-luna,1,15,12.5")
    page = (tmp_path / "costs.html").read_text(encoding="utf-8")
    assert all(text in page for text in ("Models at Example Ltd", "acme", "globex", "$300"))
    assert "Rows: 3," in upkeep and "Removed 0 rows" in upkeep
    assert_a_program_may(environment, postgres.url("llm", user="app"))


def assert_a_program_may(environment: Dict[str, str], url: str) -> None:
    """The rights of the page's last block are enough for rows and for budgets."""
    asked = "llm-orchestrator ask Hi --max-tokens 9 --tag customer=initech"
    of_one = "llm-orchestrator costs --budget --tag customer=initech --format csv"
    told = run_in_a_shell(
        f"{asked}\nllm-orchestrator ledger status 2>&1\n{of_one}", {**environment, "LEDGER_URL": url}
    )
    assert "Rows: 4," in told and "On the way: 0 rows" in told and "rights" not in told
    (spent,) = [Decimal(line.split(",")[3]) for line in told.splitlines() if "customer=initech" in line]
    assert spent > 0
