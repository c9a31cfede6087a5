"""Lets ``python -m llm_orchestrator`` do what the command ``llm-orchestrator`` does."""

from __future__ import annotations

from llm_orchestrator.cli import main

if __name__ == "__main__":
    main()
