"""``ModelInfo``: what the registry knows about a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from llm_orchestrator.utils.json import JSON
from llm_orchestrator.utils.values import Value

__all__ = ["ModelInfo"]


@dataclass(frozen=True, eq=False, repr=False)
class ModelInfo(Value):
    """What is known about one model of one provider.

    Attributes:
        name: The model's name as it is sent.
        provider: Name of the configured provider entry.
        deprecated: True when the provider says so, or when the model is gone from the provider's list.
        first_seen: When a refresh first listed it (ISO 8601, UTC).
        last_seen: When a refresh last listed it; None when none did.
        last_validated: When ``validate_model`` last asked the provider about it.
        created_at: When the provider says it was published.
        retires_at: When the provider says it will be switched off.
        context_window: Most tokens of prompt and answer together, where the provider reports it.
        max_output_tokens: Most tokens of an answer, where the provider reports it.
        display_name: The name the provider shows to people.
        capabilities: What the provider says the model can do, in its own form.
        exclusion: Why it is not offered as a chat model; None when it is offered.
        embeds: Whether it makes vectors of texts.
    """

    name: str
    provider: str
    deprecated: bool = False
    first_seen: Optional[str] = None
    last_seen: Optional[str] = None
    last_validated: Optional[str] = None
    created_at: Optional[str] = None
    retires_at: Optional[str] = None
    context_window: Optional[int] = None
    max_output_tokens: Optional[int] = None
    display_name: Optional[str] = None
    capabilities: Optional[JSON] = None
    exclusion: Optional[str] = None
    embeds: bool = False
