"""From the section ``cost_tracking`` of a configuration to the tracker that works by it."""

from __future__ import annotations

import logging
from typing import Optional

from llm_orchestrator.config.manager import BudgetConfig, CostTrackingConfig
from llm_orchestrator.cost_tracker import CostTracker

__all__ = ["configured_tracker", "warn_of_unused_settings"]

logger = logging.getLogger(__name__)

_USUAL_STALENESS = CostTrackingConfig.model_fields["stale_after_days"].default
#: Where records go; a tracker is given to have its own place for them.
_OF_THE_LEDGER = {"enabled", "log_path", "fsync", "rotate_mb", "database_url", "spool_path"}


def configured_tracker(config: CostTrackingConfig, session_id: Optional[str] = None) -> CostTracker:
    """Make the tracker that a configuration asks for."""
    table = None
    if config.price_overrides or config.discount != 1 or config.stale_after_days != _USUAL_STALENESS:
        from llm_orchestrator.pricing import PriceTable

        table = PriceTable(
            overrides=[override.model_dump(by_alias=True) for override in config.price_overrides],
            discount=config.discount,
            stale_after_days=config.stale_after_days,
        )
    if config.budget.is_set and config.database_url is None and _was_set(config.budget, "reserve"):
        logger.warning(
            "cost_tracking.budget.reserve has no effect on a CSV ledger: a budget is checked before each "
            "request, and requests under way may exceed it. Set database_url, or remove reserve."
        )
    return CostTracker(
        enabled=config.enabled,
        log_path=config.log_path,
        database_url=config.database_url.get_secret_value() if config.database_url else None,
        spool_path=config.spool_path,
        fsync=config.fsync,
        rotate_mb=config.rotate_mb,
        session_id=session_id,
        price_table=table,
        strict_pricing=config.strict_pricing,
        budget=config.budget.model_dump() if config.budget.is_set else None,
    )


def _was_set(budget: BudgetConfig, name: str) -> bool:
    return name in budget.model_fields_set and bool(getattr(budget, name))


def warn_of_unused_settings(config: CostTrackingConfig) -> None:
    """Name the settings about money that are ignored, because the application gave its own tracker."""
    unused = sorted(config.model_fields_set - _OF_THE_LEDGER)
    if unused:
        logger.warning(
            "The settings %s of cost_tracking are not used, because a cost_tracker was given. "
            "Give them to the tracker, or remove them.",
            ", ".join(unused),
        )
