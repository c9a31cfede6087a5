"""An orchestrator for the tests of an application: its one provider answers from a script.

Everything else is real. The ledger is kept in memory, and what the registry learns in a folder of the test.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import List, Union

from llm_orchestrator.orchestrator import LLMOrchestrator
from llm_orchestrator.testing.fake_provider import FakeProvider, Scripted
from llm_orchestrator.types import LLMRequest

__all__ = ["ScriptedOrchestrator"]

NAME, MODEL = "scripted", "scripted-model"
#: Dollars per million words, so that an application that shows costs has some to show.
RATES = {"in": "1", "out": "2"}


class ScriptedOrchestrator(LLMOrchestrator):
    """An ``LLMOrchestrator`` that needs no key, no file and no network, to hand to the code under test.

    Its provider is called ``scripted`` and answers whatever model it is asked for. Calls of its own model,
    ``scripted-model``, have a price. Retries come at once; an error whose ``retry_after`` is not 0 has none.

    Args:
        folder: Where the registry keeps what it learns; nothing is written before ``refresh_models``.
    """

    def __init__(self, folder: Union[str, os.PathLike[str]]) -> None:
        self._fake = FakeProvider(name=NAME)
        config = {
            "active_provider": NAME,
            "active_model": MODEL,
            "providers": {NAME: {"max_retry_wait": 0}},
            "cost_tracking": {
                "log_path": None,
                "price_overrides": [{"provider": NAME, "model": MODEL, "rates": RATES}],
            },
            "model_registry": {"cache_path": str(Path(folder) / "models.json")},
        }
        super().__init__(config, providers={NAME: self._fake})

    def answers(self, *script: Scripted) -> None:
        """Say what is answered from now on; without it, every request gets the same sentence.

        Args:
            *script: Texts, errors, ``FakeReply`` objects, or functions that make one from the request. Each
                answers one request, and the last one all that follow.

        Raises:
            ConfigurationError: The script is empty, or an entry cannot answer.
        """
        self._fake.answers(*script)

    def close(self) -> None:
        """Do nothing: an application that closes its orchestrator and makes another gets this one again."""

    async def aclose(self) -> None:
        """Do nothing; see ``close``."""

    def end(self) -> None:
        """Close it for good, at the end of the test."""
        super().close()

    @property
    def requests(self) -> List[LLMRequest]:
        """Every request that was sent, in order."""
        return self._fake.requests
