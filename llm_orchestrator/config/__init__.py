"""The configuration: its YAML file, its checks and its values."""

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
