"""The configuration: reading the YAML file, checking it, and the values that come out."""

from llm_orchestrator.config.manager import (
    BudgetConfig,
    ConfigManager,
    CostTrackingConfig,
    ModelRegistryConfig,
    OrchestratorConfig,
    PriceOverride,
    ProviderConfig,
)

__all__ = [
    "BudgetConfig",
    "ConfigManager",
    "CostTrackingConfig",
    "ModelRegistryConfig",
    "OrchestratorConfig",
    "PriceOverride",
    "ProviderConfig",
]
