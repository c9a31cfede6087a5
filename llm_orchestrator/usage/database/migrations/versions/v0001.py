"""The first version of the tables, which ``setup.prepare`` makes in an empty database."""

from __future__ import annotations

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Do nothing: there is no older version to begin with."""
