"""From a URL to an engine: which databases there are, and how a connection to each behaves.

Making an engine asks no server. What can be wrong without one, the URL, the driver or a folder, is a
ConfigurationError; none of its texts shows a password.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from functools import partial
from typing import Any, Dict, NamedTuple, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.files import OWN_MODE, pinned
from llm_orchestrator.utils.write_ahead import use_write_ahead_log

__all__ = ["BEGIN", "TIMEOUT", "Use", "make_engine", "shown_url"]

#: Seconds to wait for a connection, or for SQLite's one writer, where nothing else is said.
TIMEOUT = 10.0
_POSTGRESQL = "postgresql+psycopg"
_DRIVERS = {
    "postgresql": _POSTGRESQL,
    "postgres": _POSTGRESQL,  # as many hosts of databases write it
    _POSTGRESQL: _POSTGRESQL,
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
}
_USE = "Use postgresql+psycopg://USER@HOST/DATABASE or sqlite:///FILE"
#: The option of a connection that says how its transactions begin in SQLite: ``IMMEDIATE`` to write at once,
#: None where each statement is one.
BEGIN = "llm_begin"


class Use(NamedTuple):
    """What a database is used for, as errors say it: the setting that names it, and the thing it holds."""

    setting: str
    thing: str


LEDGER = Use("cost_tracking.database_url", "ledger")


def make_engine(url: str, *, timeout: float = TIMEOUT, use: Use = LEDGER) -> sa.Engine:
    """Make an engine that connects when it is first used.

    ``timeout`` is how many seconds to wait for a connection, and in SQLite for another writer.
    """
    parsed = _parsed(url, use)
    is_sqlite = parsed.drivername == "sqlite"
    arguments = {"timeout": timeout} if is_sqlite else _patience(parsed, timeout)
    try:
        engine = sa.create_engine(
            parsed,
            connect_args=arguments,
            json_serializer=json.JSONEncoder(ensure_ascii=False).encode,
            pool_pre_ping=not is_sqlite,
            hide_parameters=True,
        )
        _check_options(engine)
    except (ImportError, NoSuchModuleError) as error:
        raise ConfigurationError(
            f"{use.setting} needs a driver for {parsed.drivername}, which cannot be imported "
            f'({type(error).__name__}). Run: pip install "llm-orchestrator[database]".'
        ) from error
    except (ArgumentError, ValueError, TypeError):
        raise _bad_url(use, "has settings that its driver does not know") from None  # the cause shows the URL
    if is_sqlite:
        sa.event.listen(engine, "do_connect", _make_file)
        sa.event.listen(engine, "connect", partial(_set_up_sqlite, timeout))
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def shown_url(engine: sa.Engine) -> str:
    """Which database it is, without who connects to it and how."""
    url = engine.url
    if url.drivername == "sqlite":
        return f"sqlite:///{url.database}"
    return sa.URL.create("postgresql", host=url.host, port=url.port, database=url.database).render_as_string()


def _parsed(url: str, use: Use) -> sa.URL:
    try:
        parsed = sa.make_url(url.strip())
    except (ArgumentError, ValueError):
        raise _bad_url(use, "is not a URL") from None  # the cause shows the URL
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise _bad_url(use, f"names a database that cannot hold a {use.thing}")
    parsed = parsed.set(drivername=driver)
    return _with_file(parsed, use) if driver == "sqlite" else parsed


def _with_file(url: sa.URL, use: Use) -> sa.URL:
    """The URL with the whole path of its file."""
    if not url.database or url.database == ":memory:" or url.database.startswith("file:") or url.host:
        raise _bad_url(
            use, "names no file. After sqlite: come three slashes, and a fourth before a whole path"
        )
    path = pinned(url.database)
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise ConfigurationError(
            f"The folder of the {use.thing} {path} does not exist. Create it or change {_last(use)}."
        )
    if os.path.isdir(path) or not os.access(path if os.path.exists(path) else folder, os.R_OK | os.W_OK):
        raise ConfigurationError(
            f"The {use.thing} {path} cannot be written. Change its permissions or {_last(use)}."
        )
    return url.set(database=path)


def _last(use: Use) -> str:
    """The setting without its section."""
    return use.setting.rpartition(".")[2]


def _bad_url(use: Use, what: str) -> ConfigurationError:
    return ConfigurationError(f"{use.setting} {what}. {_USE}.")


def _patience(url: sa.URL, timeout: float) -> Dict[str, Any]:
    """A server that fell silent is noticed, unless the URL says otherwise."""
    wanted = {
        "connect_timeout": max(1, round(timeout)),
        "keepalives_idle": 30,
        "tcp_user_timeout": 30_000,
        # A pooler between us and the server knows nothing of statements that were prepared.
        "prepare_threshold": None,
        "application_name": "llm_orchestrator",
    }
    return {name: value for name, value in wanted.items() if name not in url.query}


def _check_options(engine: sa.Engine) -> None:
    """Have the driver read the URL's settings, which it would otherwise do with the first connection."""
    if engine.dialect.name == "postgresql":
        from psycopg import ProgrammingError, conninfo

        _, options = engine.dialect.create_connect_args(engine.url)
        try:
            conninfo.make_conninfo(**{name: value for name, value in options.items() if type(value) is str})
        except ProgrammingError as error:
            raise ValueError from error


def _make_file(_dialect: sa.Dialect, _record: Any, arguments: Sequence[Any], _named: Dict[str, Any]) -> None:
    """Let the file be its user's alone, as a CSV ledger is; SQLite would make one that all may read."""
    with suppress(OSError):  # connecting tells what is wrong
        os.close(os.open(arguments[0], os.O_RDWR | os.O_CREAT, OWN_MODE))


def _set_up_sqlite(timeout: float, connection: Any, _: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy says where a transaction begins
    use_write_ahead_log(connection, timeout)
    connection.execute("PRAGMA synchronous = FULL")  # what was committed has left the spool


def _begin_sqlite(connection: sa.Connection) -> None:
    how = connection.get_execution_options().get(BEGIN, "DEFERRED")
    if how is not None:
        connection.exec_driver_sql(f"BEGIN {how}")
