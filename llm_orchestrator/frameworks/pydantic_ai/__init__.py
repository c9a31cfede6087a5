"""The orchestrator as a model of pydantic-ai: ``OrchestratorModel``. Needs the extra ``pydantic-ai``."""

from __future__ import annotations

try:
    import pydantic_ai  # noqa: F401  # says what is missing before a module of it does
except ImportError as error:
    raise ImportError(
        'pydantic-ai is not installed. Run: pip install "llm-orchestrator[pydantic-ai]".'
    ) from error

from llm_orchestrator.frameworks.pydantic_ai.model import OrchestratorModel

__all__ = ["OrchestratorModel"]
