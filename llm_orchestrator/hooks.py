"""Hooks: functions of the application that are called after every attempt and every call."""

from __future__ import annotations

import inspect
import logging
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import (
    Any,
    Callable,
    Iterable,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

from llm_orchestrator.types import Attempt, LLMRequest, LLMResponse, Message, ToolCall
from llm_orchestrator.utils.values import Value

__all__ = ["CallEvent", "Hook", "Listeners", "ToolEvent", "answer_in", "checked_hooks"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, repr=False)
class CallEvent(Value):
    """The argument of a hook: one finished attempt, or one finished call.

    Attributes:
        kind: ``attempt`` after every request sent, ``call`` once at the end of the call.
        call_id: The same for everything that belongs to one call.
        provider: Name of the configured provider entry.
        model: Model of the attempt; for a call, the model asked for first.
        status: ``ok``, ``error``, ``interrupted`` or ``cancelled``.
        session_id: The session the call belongs to.
        attempts: The attempts so far, the last one being this one.
        response: The answer, when there is one; the part received so far, when a stream was closed early.
        error: The error, when there is one.
        streamed: Whether the answer was streamed.
        tags: The tags given to the call.
        request: The request, prompts included.
        service: The provider as OpenTelemetry's ``gen_ai.provider.name`` names it.
        base_url: Address of the API; None for the vendor's own.
        response_id: The provider's id of the answer; None where it told none.
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
    request: Optional[LLMRequest] = field(default=None, repr=False)
    service: str = ""
    base_url: Optional[str] = None
    response_id: Optional[str] = None


@dataclass(frozen=True, eq=False, repr=False)
class ToolEvent(Value):
    """One tool that a loop ran; given to ``on_tool`` of hooks that are objects with such a method.

    Attributes:
        call_id: The call whose answer asked for it.
        provider: Name of the provider entry of that call.
        session_id: The session the call belongs to.
        tool_call: Name, id and arguments, as the tool was called.
        result: The message that answers it; None where the loop ended instead.
        error: The class of what went wrong, also where the model was told of it; None when nothing did.
        started_at: When it began.
        seconds: How long it took.
        tags: The tags given to the call.
    """

    call_id: str
    provider: str
    session_id: str
    tool_call: ToolCall
    result: Optional[Message]
    error: Optional[str]
    started_at: datetime
    seconds: float
    tags: Mapping[str, str] = field(default_factory=dict)


def answer_in(response: Optional[LLMResponse], error: Optional[BaseException]) -> Optional[LLMResponse]:
    """The answer of a call; an error may have one as well, which was paid for."""
    found = (response, getattr(error, "response", None), getattr(error, "partial_response", None))
    return next((answer for answer in found if isinstance(answer, LLMResponse)), None)


#: A function that is called with what happened, in the context (``contextvars``) in which the call was made,
#: even when a stream ends in another one. What it raises is logged, never passed on.
Hook = Callable[[CallEvent], None]


def checked_hooks(hooks: Any) -> Tuple[Hook, ...]:
    """Refuse now what would never record anything, rather than with every call in a log.

    Args:
        hooks: The hooks as the application gave them.

    Returns:
        The same hooks.

    Raises:
        TypeError: One of them cannot be called with an event, or would do nothing when it is.
    """
    if callable(hooks) or isinstance(hooks, (str, bytes)) or not isinstance(hooks, Iterable):
        raise TypeError(f"hooks is {hooks!r}. Pass a list of functions.")
    checked = tuple(hooks)
    for index, hook in enumerate(checked):
        problem = _problem_of(hook)
        if problem:
            raise TypeError(f"hooks[{index}] is {hook!r}, which {problem}")
    return checked


def _problem_of(hook: Any) -> Optional[str]:
    if not callable(hook):
        return "cannot be called. Pass a function of one argument."
    if isinstance(hook, type):
        return "is a class. Pass an object of it, or a function."
    if any(is_idle(code) for is_idle in _IDLE for code in _codes_of(hook)):
        return "only makes a coroutine or a generator when it is called. Write it with a plain `def`."
    try:
        inspect.signature(hook).bind(None)
    except TypeError:
        return "does not take one argument, the event. Call it first if it makes a hook: trace_calls()."
    except ValueError:  # a function written in C has no signature
        return None
    return None


_IDLE = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


def _codes_of(hook: Any) -> Tuple[Any, ...]:
    """What runs when a hook is called: it may be a method, a partial, or an object with ``__call__``."""
    while isinstance(hook, partial):
        hook = hook.func
    return hook, type(hook).__call__


def _tool_hooks(hooks: Sequence[Any]) -> Sequence[Callable[[ToolEvent], None]]:
    """The methods of hooks that are to be told of tools, too."""
    return [hook.on_tool for hook in hooks if callable(getattr(hook, "on_tool", None))]


class Listeners:
    """The hooks of one call, and the context in which they run: a stream may end in another one."""

    def __init__(self, hooks: Sequence[Hook]) -> None:
        self._hooks = hooks
        self._tool_hooks = _tool_hooks(hooks)
        self._context = copy_context()

    @property
    def hear_tools(self) -> bool:
        """Whether any is to be told of tools."""
        return bool(self._tool_hooks)

    def emit(self, **fields: Any) -> None:
        """Call every hook with a ``CallEvent``."""
        self._call(self._hooks, CallEvent(**fields))

    def emit_tool(self, **fields: Any) -> None:
        """Call every hook that is to be told of tools with a ``ToolEvent``."""
        self._call(self._tool_hooks, ToolEvent(**fields))

    def _call(self, hooks: Sequence[Callable[[Any], None]], event: Any) -> None:
        for hook in hooks:
            try:
                self._context.run(hook, event)
            except Exception:  # a bug in the application's hook must not lose the answer
                logger.exception("A hook failed: %r", hook)
