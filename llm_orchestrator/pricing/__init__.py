"""What calls cost: the price table, and the arithmetic of one call."""

from __future__ import annotations

from llm_orchestrator.pricing.query import PricingQuery
from llm_orchestrator.pricing.shipped import price_usage
from llm_orchestrator.pricing.table import PriceTable
from llm_orchestrator.types import CostDetails

__all__ = ["CostDetails", "PriceTable", "PricingQuery", "price_usage"]
