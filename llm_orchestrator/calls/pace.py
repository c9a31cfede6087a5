"""The pace of a call that is one of many: when its attempts may begin, and what becomes of a refusal."""

from __future__ import annotations

from typing import Protocol

from llm_orchestrator.types import LLMRequest, TokenUsage

__all__ = ["Pace"]


class Pace(Protocol):
    """One call's place among many; the calls share what it knows."""

    async def begin(self, request: LLMRequest) -> float:
        """Wait until a request may be sent; returns the seconds that took."""

    def answered(self, usage: TokenUsage) -> None:
        """Note that the attempt that was begun was answered, and what that took."""

    def failed(self, error: BaseException) -> bool:
        """Note the end of the attempt that was begun; returns whether to make it again after a pause."""
