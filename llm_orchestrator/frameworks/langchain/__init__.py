"""The orchestrator as a chat model of LangChain: ``ChatOrchestrator``. Needs the extra ``langchain``."""

from __future__ import annotations

try:
    import langchain_core  # noqa: F401  # says what is missing before a module of it does
except ImportError as error:
    raise ImportError(
        'LangChain is not installed. Run: pip install "llm-orchestrator[langchain]".'
    ) from error

from llm_orchestrator.frameworks.langchain.chat_model import ChatOrchestrator

__all__ = ["ChatOrchestrator"]
