"""How much Gemini is to think: our ``reasoning_effort`` in the two forms that the API has for it.

Newer models take a level, older ones a budget of tokens. The listing says only whether a model thinks at all;
which form it takes is learned from its error.
https://ai.google.dev/gemini-api/docs/thinking
"""

from __future__ import annotations

from typing import Mapping, NamedTuple, Optional, Tuple

from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.types import JSON, LLMRequest

__all__ = ["LEVEL", "Thinking", "write_thinking"]

#: Name of the form that newer models take; in ``AttemptContext.without`` where the model rejected it.
LEVEL = "thinking level"
NO_THINKING = "none"
#: Google's own table of budgets for efforts, https://ai.google.dev/gemini-api/docs/openai#thinking
BUDGETS: Mapping[str, int] = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}


class Thinking(NamedTuple):
    """What is sent for a ``reasoning_effort``, and what cannot be."""

    config: Optional[JSON] = None
    form: Optional[str] = None
    unsupported: Tuple[str, ...] = ()
    warnings: Tuple[str, ...] = ()


def write_thinking(request: LLMRequest, context: AttemptContext) -> Thinking:
    """Translate ``reasoning_effort``; the thoughts themselves are asked for with it."""
    effort = request.reasoning_effort
    if effort is None:
        return Thinking()
    capabilities = context.known.capabilities if context.known is not None else None
    if (capabilities or {}).get("thinking") is False:
        return Thinking(unsupported=("reasoning_effort",))
    if effort == NO_THINKING:
        return Thinking({"thinkingBudget": 0})
    if LEVEL not in context.without:
        return Thinking({"thinkingLevel": effort.upper(), "includeThoughts": True}, LEVEL)
    budget = BUDGETS.get(effort)
    if budget is None:
        return Thinking(unsupported=("reasoning_effort",))
    warning = (
        f"reasoning_effort was sent as a budget of {budget} tokens: {request.model} does not take a level."
    )
    return Thinking({"thinkingBudget": budget, "includeThoughts": True}, warnings=(warning,))
