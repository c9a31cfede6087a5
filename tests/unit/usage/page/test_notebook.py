"""How answers and reports show themselves in a notebook."""

from __future__ import annotations

from decimal import Decimal

from llm_orchestrator import CostTracker, FinishReason, LLMResponse, Message, TokenUsage, ToolCall


def test_an_answer_shows_its_text_escaped_and_nothing_else_of_the_call() -> None:
    response = LLMResponse(
        "<b>4</b> & more",
        "m",
        "p",
        usage=TokenUsage(1, 2, 1234),
        finish_reason=FinishReason.STOP,
        cost=Decimal("0.00075"),
        reasoning="a secret thought",
        message=Message("assistant", "<b>4</b>"),
        raw_response={"echo": "a secret prompt"},
        request_id="req_1",
    )
    shown = response._repr_html_()
    assert "&lt;b&gt;4&lt;/b&gt; &amp; more" in shown and "<b>" not in shown
    assert "p/m, stop, 1,234 tokens, cost $0.00075" in shown
    assert "secret" not in shown


def test_an_answer_without_text_shows_what_it_has() -> None:
    call = ToolCall("1", "clock", {"zone": "<UTC>"}, '{"zone": "<UTC>"}')
    assert (
        "clock({&quot;zone&quot;: &quot;&lt;UTC&gt;&quot;})"
        in LLMResponse("", "m", "p", tool_calls=(call,))._repr_html_()
    )
    refused = LLMResponse("", "m", "p", refusal="I <will> not.")._repr_html_()
    assert "I &lt;will&gt; not." in refused and "tokens unknown, cost unknown" in refused


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
