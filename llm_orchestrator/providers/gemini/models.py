"""Gemini's listing of models, page by page, and the path of one model."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, List, Optional, Tuple
from urllib.parse import quote

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.providers.reading import as_count, as_text_or_none, listed_models
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import JSON, ModelInfo

__all__ = ["list_request", "model_path", "model_request", "parse_models"]

PAGE_SIZE = 1000
BASE_MODEL_PREFIX = "models/"
TUNED_MODEL_PREFIX = "tunedModels/"
CHAT_METHOD = "generateContent"
EMBEDDING_METHOD = "embedContent"
#: What an entry says a model can do; the rest describes it for people.
CAPABILITIES = ("supportedGenerationMethods", "thinking", "temperature", "maxTemperature", "topP", "topK")


def list_request(cursor: Optional[str]) -> WireRequest:
    """Ask for one page of the models."""
    page = f"&pageToken={quote(cursor, safe='')}" if cursor else ""
    return WireRequest(f"models?pageSize={PAGE_SIZE}{page}")


def model_request(model: str) -> WireRequest:
    """Ask for one model."""
    return WireRequest(model_path(model))


@lru_cache(maxsize=64)
def model_path(model: str) -> str:
    """The model's path below the base URL; a slash or a dot in its name must not lead to another path."""
    name = _without_prefix(model)
    if not name.strip("."):
        raise InvalidRequestError(f"{model!r} is not a model's name. Use one of the provider's models.")
    return f"models/{quote(name, safe='')}"


def _without_prefix(name: str) -> str:
    return name[len(BASE_MODEL_PREFIX) :] if name.startswith(BASE_MODEL_PREFIX) else name


def parse_models(body: JSON, provider: str) -> Tuple[List[ModelInfo], Optional[str]]:
    """Translate one page of the listing."""
    models = [_model(entry, provider) for entry in listed_models(body.get("models"), "name")]
    return models, as_text_or_none(body.get("nextPageToken"))


def _model(entry: JSON, provider: str) -> ModelInfo:
    name: str = entry["name"]
    methods = entry.get("supportedGenerationMethods")
    return ModelInfo(
        name=_without_prefix(name),
        provider=provider,
        context_window=as_count(entry.get("inputTokenLimit")),
        max_output_tokens=as_count(entry.get("outputTokenLimit")),
        display_name=as_text_or_none(entry.get("displayName")),
        capabilities={key: entry[key] for key in CAPABILITIES if key in entry},
        exclusion=_exclusion(name, methods),
        embeds=isinstance(methods, list) and EMBEDDING_METHOD in methods,
    )


def _exclusion(name: str, methods: Any) -> Optional[str]:
    if name.startswith(TUNED_MODEL_PREFIX):
        return "it is fine-tuned"
    if isinstance(methods, list) and CHAT_METHOD not in methods:
        return f"it does not support {CHAT_METHOD}"
    return None
