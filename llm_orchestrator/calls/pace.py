"""The pace of a call that is one of many: when its attempts may begin, and what becomes of a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from llm_orchestrator.types import LLMRequest, TokenUsage

if TYPE_CHECKING:
    from llm_orchestrator.config.entry import LimitsConfig
    from llm_orchestrator.config.manager import ProviderConfig
    from llm_orchestrator.providers.adapter import Adapter

__all__ = ["Pace", "limits_of_rows"]


class Pace(Protocol):
    """One call's place among many; the calls share what it knows."""

    async def begin(self, request: LLMRequest) -> float:
        """Wait until a request may be sent; returns the seconds that took."""

    def answered(self, usage: TokenUsage) -> None:
        """Note that the attempt that was begun was answered, and what that took."""

    def failed(self, error: BaseException) -> bool:
        """Note the end of the attempt that was begun; returns whether to make it again after a pause."""


def limits_of_rows(entry: ProviderConfig, provider: Adapter) -> LimitsConfig:
    """The limits of an entry for rows; where it names no concurrency, that of its provider."""
    limits = entry.limits
    if limits.concurrency is None and provider.parallel_requests is not None:
        return limits.model_copy(update={"concurrency": provider.parallel_requests})
    return limits
