"""How reports show themselves in a notebook."""

from __future__ import annotations

from decimal import Decimal

from llm_orchestrator import CostTracker


def test_a_report_shows_its_totals_and_the_models_that_cost_most() -> None:
    tracker = CostTracker(log_path=None)
    for number in range(25):
        tracker.log_usage("p", f"<m{number:02}>", {"prompt": 1, "completion": 1}, cost=Decimal(number))
    shown = tracker.get_usage_report()._repr_html_()
    assert "25 calls, 50 tokens: reported $300.00" in shown
    assert shown.index("&lt;m24&gt;") < shown.index("&lt;m05&gt;") and "m04" not in shown
    assert "and 5 more models" in shown


def test_a_model_of_unknown_price_is_not_shown_as_free() -> None:
    tracker = CostTracker(log_path=None)
    tracker.log_usage("p", "unpriced", {"prompt": 1, "completion": 1})
    tracker.log_usage("p", "free", {"prompt": 1, "completion": 1}, cost=Decimal(0))
    shown = tracker.get_usage_report()._repr_html_()
    assert "<td>unpriced</td><td>1</td><td>2</td><td>unknown</td><td></td>" in shown
    assert "<td>free</td><td>1</td><td>2</td><td>$0.00</td><td></td>" in shown


def test_an_empty_report_has_no_table() -> None:
    assert "<table>" not in CostTracker(log_path=None).get_usage_report()._repr_html_()
