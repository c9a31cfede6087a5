"""A real PostgreSQL, started by the tests as a user of its own on this machine, and the places a ledger can have."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest

from llm_orchestrator.cost_tracker import CostTracker
from tests.support.costs import read

__all__ = ["LEDGERS", "PostgreSQL", "Rows", "ledger_kind", "place", "postgres", "postgres_url", "rows"]

#: Where a ledger can be.
LEDGERS = ("csv", "sqlite", "postgresql")
Rows = Callable[[CostTracker], List[Dict[str, str]]]


class PostgreSQL:
    """One server, which a test may stop hard and start again."""

    def __init__(self, programs: Path, folder: Path, user: Optional[str]) -> None:
        self._programs, self._folder, self._user = programs, folder, user
        self.port = _free_port()
        self._databases = 0
        self._run(
            "initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"
        )
        self.start()

    def _options(self) -> Dict[str, Any]:
        return {"user": self._user, "group": self._user} if self._user else {}

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), f"--pgdata={self._folder}/data", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", **self._options())

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = f"-p {self.port} -h 127.0.0.1 -k {self._folder} -F"
        self._run("pg_ctl", "--wait", f"--log={self._folder}/log", f"--options={settings}", "start")

    def stop_hard(self) -> None:
        """Stop it as a crash would: no client is told, nothing is finished."""
        self._run("pg_ctl", "--wait", "--mode=immediate", "stop")

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/{database}"

    def execute(self, *statements: str, database: str = "postgres") -> List[Any]:
        """Run statements; returns the rows of the last."""
        import psycopg

        with psycopg.connect(self.url(database).replace("+psycopg", ""), autocommit=True) as connection:
            for statement in statements:
                result = connection.execute(statement)
            return result.fetchall() if result.description else []

    def new_database(self) -> str:
        """Make an empty database; returns its URL."""
        self._databases += 1
        name = f"ledger{self._databases}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _programs() -> Path:
    """Where the server's programs are; a skip where they are not."""
    pytest.importorskip("psycopg", reason="PostgreSQL needs the extra `database`")
    folders = [Path(found).parent for found in [shutil.which("initdb")] if found]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    pytest.skip("this machine has no PostgreSQL server: apt-get install postgresql")


def _user() -> Optional[str]:
    """Who runs the server, which refuses to be run by root."""
    if not hasattr(os, "getuid") or os.getuid() != 0:
        return None
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in names:
            return name
    pytest.skip("PostgreSQL does not run as root, and this machine has no other user for it")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgreSQL]:
    """A server for the tests of this process."""
    programs, user = _programs(), _user()
    folder = Path(tempfile.mkdtemp(prefix="llm-postgres-"))
    try:
        if user:
            shutil.chown(folder, user)
        server = PostgreSQL(programs, folder, user)
        yield server
        server.stop_hard()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres: PostgreSQL) -> Iterator[str]:
    """An empty database."""
    yield postgres.new_database()


@pytest.fixture(params=LEDGERS)
def ledger_kind(request: pytest.FixtureRequest) -> str:
    """Each of the places a ledger can have, in turn."""
    return str(request.param)


@pytest.fixture
def place(ledger_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Dict[str, Any]:
    """The arguments of a tracker, beside a path, for a ledger in this place."""
    if ledger_kind == "csv":
        return {}
    if ledger_kind == "sqlite":
        pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")
        url = f"sqlite:///{tmp_path}/ledger.db"
    else:
        url = request.getfixturevalue("postgres_url")
    return {"database_url": url, "spool_path": tmp_path / "spool"}


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    """Reads the rows of a ledger as any other program reads a file of them."""

    def read_back(tracker: CostTracker) -> List[Dict[str, str]]:
        if tracker.log_path:
            return read(tracker.log_path) if tracker.log_path.exists() else []
        tracker.export_to_csv(tmp_path / "read_back.csv")
        return read(tmp_path / "read_back.csv")

    return read_back
