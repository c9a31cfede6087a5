"""Where a journal is: a file, or a database by its URL; only the latter needs the extra ``database``."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Union

from llm_orchestrator.bulk.journal import Journal
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.files import pinned

if TYPE_CHECKING:
    from llm_orchestrator.bulk.database_journal import DatabaseJournal

__all__ = ["AnyJournal", "is_begun", "is_url", "open_journal", "pinned_journal", "shown_journal"]

AnyJournal = Union[Journal, "DatabaseJournal"]


def is_url(journal: str) -> bool:
    """Whether a journal is in a database."""
    return "://" in journal


def open_journal(
    journal: str, *, must_exist: bool = False, is_alone: bool = False, concurrency: int = 64
) -> AnyJournal:
    """Open a journal; in a database nobody need be alone, for rows are claimed."""
    if is_url(journal):
        return _database(journal, must_exist=must_exist, concurrency=concurrency)
    return Journal(journal, must_exist=must_exist, is_alone=is_alone)


def is_begun(journal: str) -> bool:
    """Whether there is anything to resume from: a file, or an answer in the database. Makes nothing."""
    if not is_url(journal):
        return os.path.exists(journal)
    with closing(_database(journal)) as opened:
        return opened.has_answers()


def shown_journal(journal: str) -> str:
    """The journal as it may be shown, without who connects to it and how."""
    if not is_url(journal):
        return journal
    with closing(_database(journal)) as opened:
        return opened.path


def pinned_journal(journal: str) -> str:
    """The journal with the whole path of its file, for processes that stand in other folders."""
    scheme, mark, rest = journal.partition(":///")
    if mark and scheme.startswith("sqlite"):
        return f"{scheme}{mark}{pinned(rest)}"
    return journal if is_url(journal) else os.path.abspath(journal)


def _database(url: str, *, must_exist: bool = False, concurrency: int = 64) -> DatabaseJournal:
    try:
        from llm_orchestrator.bulk.database_journal import DatabaseJournal
    except ImportError as error:
        raise ConfigurationError(
            "A journal in a database needs SQLAlchemy, which cannot be imported. "
            'Run: pip install "llm-orchestrator[database]".'
        ) from error
    return DatabaseJournal(url, must_exist=must_exist, concurrency=concurrency)
