"""Getting ready while an application starts, so that its first call is as fast as the later ones.

A question that costs nothing makes the provider import its SDK and open a connection. It never fails the
application: what is wrong is logged, and the first call raises it.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import TYPE_CHECKING, Mapping, Optional

import llm_orchestrator.calls.factory  # noqa: F401  # what the first call imports
from llm_orchestrator.exceptions import OrchestratorError

if TYPE_CHECKING:
    from llm_orchestrator.calls.shared import SharedState
    from llm_orchestrator.providers.base import BaseLLMProvider

__all__ = ["WarmUp"]

logger = logging.getLogger(__name__)

#: Seconds that a fork waits for a thread: enough to import an SDK, which no child could do any more.
FORK_PATIENCE = 5.0
#: Asked for where no model is configured; that it does not exist is an answer, too.
NO_MODEL = "none"


class WarmUp:
    """What is to be made ready."""

    def __init__(
        self,
        providers: Mapping[str, BaseLLMProvider],
        name: str,
        model: Optional[str],
        shared: SharedState,
    ) -> None:
        self._providers = providers
        self._name = name
        self._model = model or NO_MODEL
        self._shared = shared

    def begin(self) -> threading.Thread:
        """Start a thread that makes the provider ready for sync callers."""
        thread = threading.Thread(
            target=self._run, name=f"llm_orchestrator-warm-up-{self._name}", daemon=True
        )
        thread.start()
        _threads.add(thread)
        return thread

    def _run(self) -> None:
        try:
            provider = self._providers[self._name]
            try:
                provider.warm_up(self._model)
            finally:
                if self._shared.is_closed:
                    provider.close()  # its client may have been made after the others were closed
        except Exception as error:  # noqa: BLE001 (whatever it is, the first call will show it)
            self._tell(error)

    async def arun(self) -> None:
        """Make the provider ready for async callers on the running loop."""
        try:
            provider = self._providers[self._name]
            try:
                await provider.awarm_up(self._model)
            finally:
                if self._shared.is_closed:
                    await provider.aclose()
        except Exception as error:  # noqa: BLE001 (as in _run)
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        if not self._shared.is_closed:
            # Any other error than ours may hold a key in its text.
            reason = error if isinstance(error, OrchestratorError) else type(error).__name__
            logger.warning("%s: could not get ready, calls will try again: %s", self._name, reason)


_threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def _wait_before_fork() -> None:
    """Let the threads end: a lock of an import that one of them holds would stay locked in the child."""
    for thread in list(_threads):
        if thread is not threading.current_thread():
            thread.join(FORK_PATIENCE)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_wait_before_fork)
