"""Tells hooks of the tools that a loop runs; where none wants to know, nothing is measured."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timezone
from types import TracebackType
from typing import Callable, Optional, Type

from llm_orchestrator.types import Message, ToolCall
from llm_orchestrator.types.tool_runs import ToolRun

__all__ = ["ToolReport"]


class ToolReport:
    """Around one call of a tool.

    Args:
        call: The call.
        tell: Is told how it went, in fields of a ``ToolEvent``; None where nobody wants to know.
    """

    def __init__(self, call: ToolCall, tell: Optional[Callable[..., None]]) -> None:
        self._call, self._tell = call, tell
        self._result: Optional[Message] = None
        self._error: Optional[str] = None

    def __enter__(self) -> ToolReport:
        if self._tell is not None:
            self._started_at, self._began = datetime.now(timezone.utc), time.monotonic()
        return self

    def took(self, ran: ToolRun) -> Message:
        """Take how it went; the message that answers the call."""
        message: Message = ran.message
        self._result, self._error = message, ran.error
        return message

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._tell is None:
            return
        if kind is not None:
            self._error = "cancelled" if issubclass(kind, asyncio.CancelledError) else kind.__name__
        self._tell(
            tool_call=self._call,
            result=self._result,
            error=self._error,
            started_at=self._started_at,
            seconds=time.monotonic() - self._began,
        )
