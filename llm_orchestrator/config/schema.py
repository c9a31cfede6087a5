"""The pydantic model of the whole YAML file, and the model of each of its sections.

The models are frozen and check what can be checked without the environment and the network. The checks of
variables and keys are in ``manager.py``.
"""

# Annotations are values here, not texts: pydantic would evaluate each, which every start would wait for.

from collections import abc
from typing import Annotated, Any, Dict, Mapping, Optional

from pydantic import Field, ValidationInfo, field_validator

from llm_orchestrator.config.cost_tracking import (
    BudgetConfig,
    CostTrackingConfig,
    PriceOverride,
    TagBudgetConfig,
)
from llm_orchestrator.config.entry import CompatConfig, HttpConfig, LimitsConfig, ProviderConfig
from llm_orchestrator.config.values import ConfigModel, Frozen, ModelName, Section, Text, default_section
from llm_orchestrator.models.names import foreign_owner
from llm_orchestrator.utils.suggestions import did_you_mean

__all__ = ["SECTIONS", "ModelRegistryConfig", "OrchestratorConfig"]


class ModelRegistryConfig(ConfigModel):
    """The section ``model_registry``.

    Attributes:
        cache_path: The JSON file with the lists of models; None is a file in the user's cache folder.
    """

    cache_path: Optional[Text] = None


class OrchestratorConfig(ConfigModel):
    """The whole configuration, checked and frozen.

    Attributes:
        providers: The provider entries by name.
        active_provider: Name of the entry that is used.
        active_model: The model it is asked for.
        cost_tracking: How calls are recorded; without the section in memory only.
        model_registry: Where the lists of models are stored.
    """

    # `providers` comes first, because `active_provider` is checked against it.
    providers: Annotated[Dict[str, ProviderConfig], Frozen] = Field(min_length=1)
    active_provider: Text
    active_model: ModelName
    cost_tracking: Annotated[CostTrackingConfig, Section] = default_section(log_path=None)
    model_registry: Annotated[ModelRegistryConfig, Section] = default_section()

    @field_validator("providers", mode="before")
    @classmethod
    def _named_adapters(cls, entries: Any) -> Any:
        if not isinstance(entries, abc.Mapping):
            return entries
        return {name: _with_adapter(name, entry) for name, entry in entries.items()}

    @field_validator("providers")
    @classmethod
    def _own_fallbacks(cls, entries: Mapping[str, ProviderConfig]) -> Mapping[str, ProviderConfig]:
        for name, entry in entries.items():
            for model in entry.fallback_models:
                owner = model if model in entries and model != name else foreign_owner(model, name, entries)
                # An entry with another adapter may be a gateway, whose model names begin with the vendor's.
                if owner and entry.adapter == name:
                    raise ValueError(
                        f"the fallback model {model!r} of {name!r} belongs to the entry {owner!r}. "
                        "Fallbacks stay within one provider; use one of its own models."
                    )
        return entries

    @field_validator("active_model")
    @classmethod
    def _not_its_own_fallback(cls, model: str, info: ValidationInfo) -> str:
        entry = (info.data.get("providers") or {}).get(info.data.get("active_provider"))
        if entry is not None and model in entry.fallback_models:
            raise ValueError(
                f"{model!r} is also a fallback model of {info.data['active_provider']!r}, which is the same "
                "model. Remove it from fallback_models."
            )
        return model

    @field_validator("active_provider")
    @classmethod
    def _configured(cls, name: str, info: ValidationInfo) -> str:
        entries = info.data.get("providers")
        if entries is not None and name not in entries:
            raise ValueError(f"{name!r} is not an entry below `providers`. {did_you_mean(name, entries)}")
        return name


def _with_adapter(name: Any, entry: Any) -> Any:
    """Fill in the default adapter, the entry's name; YAML reads an entry with nothing below it as null."""
    if not isinstance(name, str):
        return entry
    if isinstance(entry, ProviderConfig):
        return entry if entry.adapter else entry.model_copy(update={"adapter": name})
    if entry is None or isinstance(entry, abc.Mapping):
        settings = dict(entry or {})
        return {**settings, "adapter": settings.get("adapter") or name}
    return entry


#: The model of each section by its key; "" is the whole file.
SECTIONS: Mapping[str, Any] = {
    "": OrchestratorConfig,
    "providers": ProviderConfig,
    "cost_tracking": CostTrackingConfig,
    "limits": LimitsConfig,
    "http": HttpConfig,
    "compat": CompatConfig,
    "price_overrides": PriceOverride,
    "budget": BudgetConfig,
    "tags": TagBudgetConfig,
    "model_registry": ModelRegistryConfig,
}
