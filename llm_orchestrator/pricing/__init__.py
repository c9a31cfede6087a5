"""What calls cost: the price table and the calculator."""

from __future__ import annotations

from llm_orchestrator.pricing.calculator import PriceTable
from llm_orchestrator.pricing.details import CostDetails
from llm_orchestrator.pricing.shipped import price_usage

__all__ = ["CostDetails", "PriceTable", "price_usage"]
