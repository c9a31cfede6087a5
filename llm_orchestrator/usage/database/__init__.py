"""The ledger in a database that many machines share; needs the extra ``database``.

``schema`` says what the tables are, ``setup`` how they come about, ``engine`` how a URL becomes connections;
rows wait in the ``spool``, are taken over by the ``carrier``, and are read by ``reading``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Union

from llm_orchestrator.exceptions import ConfigurationError

if TYPE_CHECKING:
    from llm_orchestrator.usage.database.ledger import DatabaseLedger

__all__ = ["open_database"]


def open_database(url: str, spool_path: Union[str, Path, None], *, fsync: bool = False) -> DatabaseLedger:
    """Make the ledger of a URL; only this imports what the extra brings."""
    try:
        from llm_orchestrator.usage.database.ledger import DatabaseLedger
    except ImportError as error:
        raise ConfigurationError(
            "cost_tracking.database_url needs SQLAlchemy, which cannot be imported. "
            'Run: pip install "llm-orchestrator[database]".'
        ) from error
    return DatabaseLedger(url, spool_path, fsync=fsync)
