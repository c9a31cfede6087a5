"""What a request may cost, before it is sent: its estimated prompt, and the longest answer."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional, Sequence, Set, Tuple

from llm_orchestrator.request.options import FOREIGN_NAMES
from llm_orchestrator.types import EmbeddingRequest, Exchange, LLMRequest, LLMResponse, TokenUsage
from llm_orchestrator.usage.estimates import estimate_prompt
from llm_orchestrator.utils.money import ZERO
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from llm_orchestrator.cost_tracker import CostTracker
    from llm_orchestrator.providers.base import BaseLLMProvider
    from llm_orchestrator.types import ModelInfo

__all__ = ["dearest", "estimated_cost", "most_it_costs"]

logger = logging.getLogger(__name__)
_unbounded: Set[Tuple[str, str]] = set()


def estimated_cost(
    tracker: CostTracker,
    provider: BaseLLMProvider,
    request: LLMRequest,
    completion: int,
    *,
    batch: bool = False,
) -> Optional[Decimal]:
    """What a request would cost with an answer of so many tokens; None where its price is not known."""
    prompt, model = estimate_prompt(request), request.model
    usage = TokenUsage(prompt, completion, prompt + completion)
    answer = LLMResponse("", model, provider.name, model, usage=usage)
    exchange = Exchange("", request.provider_options, {}, batch=batch)
    owner = provider.price_provider_of(model)
    return tracker.price_response(answer, owner, provider.base_url, exchange=exchange).total


def most_it_costs(
    tracker: CostTracker, provider: BaseLLMProvider, request: LLMRequest, known: Optional[ModelInfo]
) -> Decimal:
    """What a request costs at most, as far as that is known; nothing where its price is not."""
    most = 0 if isinstance(request, EmbeddingRequest) else _most_tokens(provider, request, known)
    if most is None:
        _warn_of_no_bound(provider.name, request.model)
    return estimated_cost(tracker, provider, request, most or 0) or ZERO


def dearest(
    tracker: CostTracker,
    provider: BaseLLMProvider,
    request: LLMRequest,
    chain: Sequence[str],
    known_model: Callable[[str], Optional[ModelInfo]],
) -> Decimal:
    """What the dearest model of a chain may cost for one answer: a fallback is asked without asking again."""
    requests = [evolve(request, model=name) for name in chain]
    return max(most_it_costs(tracker, provider, each, known_model(each.model)) for each in requests)


def _most_tokens(provider: BaseLLMProvider, request: LLMRequest, known: Optional[ModelInfo]) -> Optional[int]:
    """The longest answer that was asked for, or else the longest that the model gives."""
    asked = _in_options(request.provider_options) or request.max_tokens or _in_options(provider.options)
    if asked is not None:
        return asked
    bounds = (provider.default_max_tokens, known.max_output_tokens if known is not None else None)
    return min((bound for bound in bounds if bound is not None), default=None)


def _in_options(options: Mapping[str, Any]) -> Optional[int]:
    for name, value in options.items():
        if FOREIGN_NAMES.get(name, name) == "max_tokens" and type(value) is int:
            return value
    return None


def _warn_of_no_bound(provider: str, model: str) -> None:
    if (provider, model) not in _unbounded:
        _unbounded.add((provider, model))
        logger.warning(
            "%s/%s: how long an answer can get is not known, so a budget reserves the prompt alone. "
            "Pass max_tokens, or refresh the models where the provider reports it.",
            provider,
            model,
        )
