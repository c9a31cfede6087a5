"""How much Claude is to think: our ``reasoning_effort`` in the two forms that the API has for it.

Newer models think as much as they see fit, guided by an effort; older ones are given a budget of tokens.
The listing says which form a model takes; where nobody asked for the listing, the model's error does.
https://platform.claude.com/docs/en/build-with-claude/extended-thinking
"""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Optional, Tuple

from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.reading import as_mapping
from llm_orchestrator.types import JSON, LLMRequest

__all__ = ["ADAPTIVE", "Thinking", "write_thinking"]

#: Name of the form that newer models take; in ``AttemptContext.without`` where the model rejected it.
ADAPTIVE = "adaptive thinking"
NO_THINKING = "none"
#: The share of ``max_tokens`` that is the budget, where the model takes no effort.
SHARES: Mapping[str, float] = {
    "minimal": 0.1,
    "low": 0.2,
    "medium": 0.5,
    "high": 0.8,
    "xhigh": 0.9,
    "max": 0.95,
}
SMALLEST_BUDGET = 1024


class Thinking(NamedTuple):
    """What is sent for a ``reasoning_effort``, and what cannot be."""

    thinking: Optional[JSON] = None
    effort: Optional[str] = None
    form: Optional[str] = None
    unsupported: Tuple[str, ...] = ()
    warnings: Tuple[str, ...] = ()


def write_thinking(
    request: LLMRequest, context: AttemptContext, max_tokens: int, *, forced: bool
) -> Thinking:
    """Translate ``reasoning_effort``."""
    effort = request.reasoning_effort
    if effort is None:
        return Thinking()
    if effort == NO_THINKING:
        if _supports(context, "thinking", "types", "disabled") is False:
            return Thinking(unsupported=("reasoning_effort",))
        return Thinking({"type": "disabled"})
    is_adaptive = _supports(context, "thinking", "types", "adaptive") is not False
    if is_adaptive and ADAPTIVE not in context.without:
        return Thinking(None if forced else {"type": "adaptive"}, effort, ADAPTIVE)
    return _with_budget(request, context, max_tokens, forced)


def _with_budget(request: LLMRequest, context: AttemptContext, max_tokens: int, forced: bool) -> Thinking:
    share = SHARES.get(request.reasoning_effort or "")
    thinks = _supports(context, "thinking", "types", "enabled") is not False
    if share is None or not thinks or forced or max_tokens <= SMALLEST_BUDGET:
        return Thinking(unsupported=("reasoning_effort",))
    budget = max(SMALLEST_BUDGET, int(max_tokens * share))
    warning = (
        f"reasoning_effort was sent as a budget of {budget} tokens: {request.model} does not take an effort."
    )
    return Thinking({"type": "enabled", "budget_tokens": budget}, warnings=(warning,))


def _supports(context: AttemptContext, *names: str) -> Optional[bool]:
    """What the provider's listing says of a capability; None where it is unknown."""
    found: Any = context.known.capabilities if context.known is not None else None
    for name in (*names, "supported"):
        found = as_mapping(found).get(name)
    return found if isinstance(found, bool) else None
