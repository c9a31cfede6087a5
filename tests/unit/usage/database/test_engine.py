"""What can be wrong with a URL without a server is told when the ledger is made, and without a password."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")

from llm_orchestrator import CostTracker
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.database.engine import make_engine, shown_url


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("secret", "is not a URL"),
        ("postgresql://me:secret@h:x/y", "is not a URL"),
        ("mysql://me:secret@h/y", "cannot hold a ledger"),
        ("postgresql+asyncpg://me:secret@h/y", "cannot hold a ledger"),
        ("postgresql://me:secret@h/y?secret=1", "settings that its driver does not know"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:////no/such/folder/x.db", "The folder of the ledger"),
        ("sqlite:///.", "cannot be written"),
    ],
)
def test_a_wrong_url_is_one_clear_error_without_its_password(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as error:
        make_engine(url)
    assert "secret" not in str(error.value)
    assert error.value.__cause__ is None or "secret" not in str(error.value.__cause__)


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql", "postgres"])
def test_postgresql_is_asked_by_psycopg_and_shown_without_who_asks(scheme: str) -> None:
    engine = make_engine(f" {scheme}://me:secret@db.example:5433/costs?options=-csearch_path%3Dllm ")
    assert engine.dialect.driver == "psycopg"
    assert shown_url(engine) == "postgresql://db.example:5433/costs"


def test_a_relative_file_stays_where_it_was_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    engine = make_engine("sqlite:///costs.db")
    monkeypatch.chdir("/")
    assert shown_url(engine) == f"sqlite:///{tmp_path}/costs.db"


@pytest.mark.parametrize(
    ("missing", "told"), [("sqlalchemy", "needs SQLAlchemy"), ("psycopg", "needs a driver")]
)
def test_a_missing_package_is_told_with_what_to_install(
    missing: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    for name in list(sys.modules):
        if name.partition(".")[0] == missing or name.startswith("llm_orchestrator.usage.database."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=told) as error:
        CostTracker(database_url="postgresql://me:secret@h/x", spool_path=tmp_path)
    assert 'pip install "llm-orchestrator[database]"' in str(error.value)


def test_a_spool_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(ConfigurationError, match="The spool .* cannot be written"):
        CostTracker(database_url=f"sqlite:///{tmp_path}/x.db", spool_path=tmp_path / "spool")
