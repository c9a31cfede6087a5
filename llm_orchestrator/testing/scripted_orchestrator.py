"""``ScriptedOrchestrator``, for the tests of an application: its only provider answers from a script.

Everything else is real. The ledger is in memory, and the registry's cache in a folder of the test.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import List, Optional, Union

from llm_orchestrator.orchestrator import LLMOrchestrator
from llm_orchestrator.testing.fake_provider import FakeProvider
from llm_orchestrator.testing.fake_script import Scripted
from llm_orchestrator.types import LLMRequest

__all__ = ["ScriptedOrchestrator"]

NAME, MODEL = "scripted", "scripted-model"
#: Dollars per million words, so that an application has costs to show.
RATES = {"in": "1", "out": "2"}


class ScriptedOrchestrator(LLMOrchestrator):
    """An ``LLMOrchestrator`` without key, file and network, to pass to the code under test.

    ``answers`` sets what its calls get, ``requests`` has what they sent; all else is the orchestrator's own.
    Its provider is called ``scripted`` and accepts every model name. Only calls of ``scripted-model`` have a
    price. Retries are made at once; an error whose ``retry_after`` is not 0 is not retried.

    Args:
        folder: Where the registry has its cache; nothing is written before ``refresh_models``.
    """

    def __init__(self, folder: Union[str, os.PathLike[str]]) -> None:
        self._fake = FakeProvider(name=NAME)
        config = {
            "active_provider": NAME,
            "active_model": MODEL,
            "providers": {NAME: {"max_retry_wait": 0, "embedding_model": MODEL}},
            "cost_tracking": {
                "log_path": None,
                "price_overrides": [{"provider": NAME, "model": MODEL, "rates": RATES}],
            },
            "model_registry": {"cache_path": str(Path(folder) / "models.json")},
        }
        super().__init__(config, providers={NAME: self._fake})

    def answers(self, *script: Scripted, model: Optional[str] = None) -> None:
        """Set the answers from now on; by default every request gets the same sentence.

        Args:
            *script: Strings, dicts and pydantic objects (which become JSON), errors, ``FakeReply`` objects,
                or functions that return one of these for a request. Each answers one request, and the last
                one all further requests.
            model: Name of the model that these answers are of; None for all that have none of their own.

        Raises:
            ConfigurationError: The script is empty, or an entry is of another type.
        """
        self._fake.answers(*script, model=model)

    def close(self) -> None:
        """Do nothing, so that an application may close it and a factory return it again."""

    async def aclose(self) -> None:
        """Do nothing; see ``close``."""

    def end(self) -> None:
        """Close it at the end of the test."""
        super().close()

    @property
    def requests(self) -> List[LLMRequest]:
        """Every request that was sent, in order, with ``tags`` and all other arguments of its call."""
        return self._fake.requests
