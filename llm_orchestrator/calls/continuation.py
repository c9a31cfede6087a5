"""An answer that came in several parts, because its provider paused: the parts put together as one.

Each part is a request of its own, with its attempt and its row; tokens and costs are their sums.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

from llm_orchestrator.exceptions import ProviderError, StreamInterruptedError
from llm_orchestrator.types import CostDetails, FinishReason, LLMResponse, TokenUsage
from llm_orchestrator.utils.money import add_money
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from llm_orchestrator.providers.base import BaseLLMProvider

__all__ = [
    "COUNTS",
    "interruption",
    "joined",
    "partial_of",
    "put_before",
    "sum_of_details",
    "sum_of_usage",
    "summed",
    "unfinished",
]

COUNTS = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_AMOUNTS = ("total", "input", "cache_read", "cache_write", "output", "fees", "estimated")


def joined(provider: BaseLLMProvider, earlier: Optional[LLMResponse], part: LLMResponse) -> LLMResponse:
    """Put the part that has just come behind the earlier ones."""
    if earlier is None:
        return part
    body = provider.join_replies(earlier.raw_response or {}, part.raw_response or {})
    whole = provider.parse_reply(body, {})
    return evolve(
        summed(earlier, part),
        content=whole.content,
        tool_calls=whole.tool_calls,
        reasoning=whole.reasoning,
        message=whole.message,
        raw_response=body,
    )


def summed(earlier: LLMResponse, part: LLMResponse) -> LLMResponse:
    """The part that has just come, with the tokens, the cost and the warnings of both."""
    details = sum_of_details(earlier.cost_details, part.cost_details)
    return evolve(
        part,
        usage=sum_of_usage(earlier.usage, part.usage),
        cost=details.total if details is not None else None,
        cost_details=details,
        warnings=tuple(dict.fromkeys(earlier.warnings + part.warnings)),
    )


def unfinished(response: LLMResponse, bound: int, was_bounded: bool) -> LLMResponse:
    """Say that an answer is not whole, though it is not asked for any further."""
    paused = (
        f"it was paused ({response.raw_finish_reason}), and max_continuations is {bound}. Raise it, or send "
        "response.message back to go on."
    )
    left = f"the provider left it as {response.raw_finish_reason!r}. Ask again."
    warning = f"The answer is not finished: {paused if was_bounded else left}"
    return evolve(
        response, finish_reason=FinishReason.OTHER, warnings=(*response.warnings, warning), parsed=None
    )


def interruption(error: ProviderError) -> StreamInterruptedError:
    """Make the error of a streamed answer that could not be continued."""
    return StreamInterruptedError(
        f"The answer broke off: {error}",
        partial_text="",
        provider=error.provider,
        model=error.model,
        status_code=error.status_code,
        code=error.code,
        request_id=error.request_id,
        retry_after=error.retry_after,
    )


def put_before(earlier: LLMResponse, error: StreamInterruptedError) -> None:
    """Add the earlier parts to what an interrupted part had delivered."""
    error.partial_text = earlier.content + error.partial_text
    error.partial_response = partial_of(earlier, error.partial_response)


def partial_of(earlier: Optional[LLMResponse], partial: Optional[LLMResponse]) -> Optional[LLMResponse]:
    """Put what came of an interrupted part behind the earlier ones; half a reply is not read again."""
    if earlier is None or partial is None:
        return partial or earlier
    details = sum_of_details(earlier.cost_details, partial.cost_details)
    return evolve(
        partial,
        content=earlier.content + partial.content,
        usage=sum_of_usage(earlier.usage, partial.usage),
        cost=details.total if details is not None else None,
        cost_details=details,
    )


def sum_of_details(first: Optional[CostDetails], then: Optional[CostDetails]) -> Optional[CostDetails]:
    """Add the prices of two parts; what is unknown of one makes the whole a lower bound, or unknown."""
    if first is None or then is None:
        return None
    amounts = {name: _added(getattr(first, name), getattr(then, name)) for name in _AMOUNTS}
    known = [part.total is not None for part in (first, then)]
    status = then.status if first.status == then.status else "partial" if any(known) else "unpriced"
    return evolve(
        then,
        **amounts,
        status=status,
        counts=_added_by_name(first.counts, then.counts),
        recorded=_added_by_name(first.recorded, then.recorded),
        long_context=first.long_context or then.long_context,
        unpriced=tuple(dict.fromkeys(first.unpriced + then.unpriced)),
        notes=tuple(dict.fromkeys(first.notes + then.notes)),
    )


def _added(first: Optional[Decimal], then: Optional[Decimal]) -> Optional[Decimal]:
    if first is None or then is None:
        return then if first is None else first
    return add_money(first, then)


def _added_by_name(first: Mapping[str, int], then: Mapping[str, int]) -> Dict[str, Any]:
    return {name: first.get(name, 0) + then.get(name, 0) for name in {**first, **then}}


def sum_of_usage(total: TokenUsage, usage: TokenUsage) -> TokenUsage:
    """Add tokens; a count that only one of the two has is taken as it is, one that neither has is None."""
    counts: Dict[str, Any] = {}
    for name in COUNTS:
        known = [count for count in (getattr(total, name), getattr(usage, name)) if count is not None]
        counts[name] = sum(known) if known else None
    if total.source == usage.source == "reported":
        return TokenUsage(**counts)
    is_known = any(count is not None for count in counts.values())
    return TokenUsage(**counts, source="partial" if is_known else "missing")
