"""The command line: ``llm-orchestrator``, or ``python -m llm_orchestrator``.

Each command is a module of its own name; ``app`` puts them together, ``settings`` has their common options,
and ``terminal`` shows results and turns errors into messages and exit codes. This module imports neither
typer nor rich, so that it can report when that extra is missing.
"""

from __future__ import annotations

import sys

__all__ = ["main"]

MISSING = 'The command line is not installed. Run: pip install "llm-orchestrator[cli]".'


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        from llm_orchestrator.cli.app import run
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        print(MISSING, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # while it was loading
        sys.exit(130)
    sys.exit(run())
