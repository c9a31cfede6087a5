"""Gemini's listing of models, in our words."""

from __future__ import annotations

from collections import abc
from typing import Any, List, Optional, Tuple

from llm_orchestrator.providers.reading import as_count
from llm_orchestrator.types import JSON, ModelInfo

__all__ = ["read_models"]

BASE_MODEL_PREFIX = "models/"
TUNED_MODEL_PREFIX = "tunedModels/"
CHAT_METHOD = "generateContent"
#: What an entry says a model can do; the rest describes it for people.
CAPABILITIES = ("supportedGenerationMethods", "thinking", "temperature", "maxTemperature", "topP", "topK")


def read_models(body: JSON, provider: str) -> Tuple[List[ModelInfo], Optional[str]]:
    """Translate one page of the listing."""
    entries = body.get("models")
    entries = entries if isinstance(entries, list) else []
    named = [
        entry for entry in entries if isinstance(entry, abc.Mapping) and isinstance(entry.get("name"), str)
    ]
    return [_model(entry, provider) for entry in named], body.get("nextPageToken") or None


def _model(entry: JSON, provider: str) -> ModelInfo:
    name: str = entry["name"]
    return ModelInfo(
        name=name[len(BASE_MODEL_PREFIX) :] if name.startswith(BASE_MODEL_PREFIX) else name,
        provider=provider,
        context_window=as_count(entry.get("inputTokenLimit")),
        max_output_tokens=as_count(entry.get("outputTokenLimit")),
        display_name=entry.get("displayName") or None,
        capabilities={key: entry[key] for key in CAPABILITIES if key in entry},
        exclusion=_exclusion(name, entry.get("supportedGenerationMethods")),
    )


def _exclusion(name: str, methods: Any) -> Optional[str]:
    if name.startswith(TUNED_MODEL_PREFIX):
        return "it is fine-tuned"
    if isinstance(methods, list) and CHAT_METHOD not in methods:
        return f"it does not support {CHAT_METHOD}"
    return None
