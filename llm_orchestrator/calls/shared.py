"""What the calls of one orchestrator share: tracker, hooks, what was learned, and the streams left open."""

from __future__ import annotations

import atexit
import logging
import weakref
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable, Deque, Dict, FrozenSet, Iterable, Sequence, Tuple

from llm_orchestrator.cost_tracker import CostTracker
from llm_orchestrator.exceptions import OrchestratorError

if TYPE_CHECKING:
    from llm_orchestrator.hooks import Hook
    from llm_orchestrator.streaming import StreamCore

__all__ = ["SharedState"]

logger = logging.getLogger(__name__)

#: A parameter that a model rejects, and the names beside which it does; none: it never takes it.
Rejection = Tuple[str, FrozenSet[str]]


@dataclass(eq=False)
class SharedState:
    """What the calls of one orchestrator and its siblings share.

    Attributes:
        tracker: Records usage and cost.
        hooks: Called after every attempt and every call.
        session_id: The session the calls belong to.
        unsupported: What is known to be rejected, by provider and model.
        uncounted: What is known to be rejected besides, by provider and model, when tokens are counted.
        open_streams: Streams that were opened and still exist.
        deferred: Finishes streams that were dropped unread; the next call does it.
        is_closed: The orchestrator was closed; nothing is sent any more.
    """

    tracker: CostTracker
    hooks: Sequence[Hook]
    session_id: str
    unsupported: Dict[Tuple[str, str], FrozenSet[Rejection]] = field(default_factory=dict)
    uncounted: Dict[Tuple[str, str], FrozenSet[Rejection]] = field(default_factory=dict)
    open_streams: weakref.WeakSet[StreamCore] = field(default_factory=weakref.WeakSet)
    deferred: Deque[Callable[[], None]] = field(default_factory=deque)
    is_closed: bool = False

    def __post_init__(self) -> None:
        _all_shared.add(self)

    def learn(
        self, provider: str, model: str, rejections: Iterable[Rejection], *, counting: bool = False
    ) -> None:
        """Remember what a model rejects, beside what other calls found out meanwhile.

        What is rejected when tokens are counted may be taken in a call, so calls do not learn of it.
        """
        memory = self.uncounted if counting else self.unsupported
        known = memory.get((provider, model), frozenset())
        memory[provider, model] = known.union(rejections)

    def rejected(
        self, provider: str, model: str, names: FrozenSet[str], *, counting: bool = False
    ) -> Dict[str, FrozenSet[str]]:
        """What a model is known to reject of a call that sets these names, and beside what."""
        known = self.unsupported.get((provider, model), frozenset())
        if counting:
            known |= self.uncounted.get((provider, model), frozenset())
        return {parameter: beside for parameter, beside in known if beside <= names}

    def check_open(self) -> None:
        """Refuse to go on once the orchestrator is closed."""
        if self.is_closed:
            raise OrchestratorError("The orchestrator is closed. Make a new one, or close it later.")

    def flush(self) -> None:
        """Record the streams that were dropped unread since the last call, and release their connections."""
        while self.deferred:
            try:
                finish = self.deferred.popleft()
            except IndexError:
                return  # another thread was faster
            try:
                finish()
            except Exception:  # a fault of one stream's adapter must not cost the call that comes next
                logger.exception("A stream that was dropped could not be recorded.")


#: Whatever the program did not close, until its end.
_all_shared: weakref.WeakSet[SharedState] = weakref.WeakSet()


@atexit.register
def _flush_at_exit() -> None:
    """Leave the streams that the program left open at its end: what they used belongs in the ledger, too."""
    for shared in list(_all_shared):
        for stream in list(shared.open_streams):
            stream.abandon_later()
        shared.flush()
