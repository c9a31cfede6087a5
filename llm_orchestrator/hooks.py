"""Hooks: functions of the application that are told of every attempt and every call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Mapping, Optional, Tuple

from llm_orchestrator.types import Attempt, LLMResponse

__all__ = ["CallEvent", "Hook"]


@dataclass(frozen=True)
class CallEvent:
    """What a hook is told: one finished attempt, or one finished call.

    Attributes:
        kind: ``attempt`` after every request sent, ``call`` once at the end of the call.
        call_id: The same for everything that belongs to one call.
        provider: Name of the configured provider entry.
        model: Model of the attempt; for a call, the model asked for first.
        status: ``ok``, ``error``, ``interrupted`` or ``cancelled``.
        session_id: The session the call belongs to.
        attempts: The attempts so far, the last one being this one.
        response: The answer, when there is one.
        error: The error, when there is one.
        streamed: Whether the answer was streamed.
        tags: The tags given to the call.
    """

    kind: str
    call_id: str
    provider: str
    model: str
    status: str
    session_id: str
    attempts: Tuple[Attempt, ...] = ()
    response: Optional[LLMResponse] = None
    error: Optional[BaseException] = None
    streamed: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


#: A function that is told what happened; what it raises is logged, never passed on.
Hook = Callable[[CallEvent], None]
