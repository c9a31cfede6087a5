"""Anthropic's listing of models, page by page, which says what each model can do."""

from __future__ import annotations

from typing import List, Optional, Tuple
from urllib.parse import quote

from llm_orchestrator.providers.reading import as_count, as_text_or_none, listed_models
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import JSON, ModelInfo

__all__ = ["list_request", "model_request", "parse_models"]

PAGE_SIZE = 1000
#: Stages of a model's life that mean that it is going or gone.
ENDING = ("deprecated", "retired")


def list_request(cursor: Optional[str]) -> WireRequest:
    """Ask for one page of the models."""
    after = f"&after_id={quote(cursor, safe='')}" if cursor else ""
    return WireRequest(f"/v1/models?limit={PAGE_SIZE}{after}")


def model_request(model: str) -> WireRequest:
    """Ask for one model."""
    return WireRequest(f"/v1/models/{quote(model, safe='')}")


def parse_models(body: JSON, provider: str) -> Tuple[List[ModelInfo], Optional[str]]:
    """Translate one page of the listing."""
    models = [_model(entry, provider) for entry in listed_models(body.get("data"), "id")]
    cursor = as_text_or_none(body.get("last_id")) if body.get("has_more") is True else None
    return models, cursor


def _model(entry: JSON, provider: str) -> ModelInfo:
    lifecycle = entry.get("lifecycle")
    capabilities = entry.get("capabilities")
    return ModelInfo(
        name=entry["id"],
        provider=provider,
        deprecated=lifecycle in ENDING or (not lifecycle and bool(entry.get("deprecated_at"))),
        created_at=as_text_or_none(entry.get("created_at")),
        retires_at=as_text_or_none(entry.get("retires_at")),
        context_window=as_count(entry.get("max_input_tokens")),
        max_output_tokens=as_count(entry.get("max_tokens")),
        display_name=as_text_or_none(entry.get("display_name")),
        capabilities=capabilities if isinstance(capabilities, dict) else None,
        exclusion="the provider has retired it" if lifecycle == "retired" else None,
    )
