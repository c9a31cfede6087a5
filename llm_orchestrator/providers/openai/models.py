"""OpenAI's listing of models, which says little about what a model can do."""

from __future__ import annotations

from typing import Any, List, Optional, Tuple
from urllib.parse import quote

from llm_orchestrator.providers.reading import as_text_or_none, listed_models
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import JSON, ModelInfo

__all__ = ["list_request", "model_request", "parse_models"]


def list_request(cursor: Optional[str]) -> WireRequest:
    """Ask for the models, all on one page."""
    return WireRequest("/models")


def model_request(model: str) -> WireRequest:
    """Ask for one model."""
    return WireRequest(f"/models/{quote(model, safe='')}")


def parse_models(body: JSON, provider: str) -> Tuple[List[ModelInfo], Optional[str]]:
    """Translate the listing."""
    return [_model(entry, provider) for entry in listed_models(body.get("data"), "id")], None


def _model(entry: JSON, provider: str) -> ModelInfo:
    return ModelInfo(
        name=entry["id"],
        provider=provider,
        created_at=_moment(entry.get("created")),
        retires_at=as_text_or_none(entry.get("shutdown_date")),
    )


def _moment(seconds: Any) -> Optional[str]:
    """A Unix time as ISO 8601 in UTC; None when there is none, or one that no calendar has."""
    from datetime import datetime, timezone

    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
        return None
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).isoformat()
    except (OverflowError, ValueError, OSError):
        return None
