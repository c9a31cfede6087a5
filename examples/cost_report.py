"""What was spent: the ledger, the report, the export.

python examples/cost_report.py [config.yaml]
"""

import sys
from pathlib import Path

from llm_orchestrator import LLMOrchestrator, format_cost

CONFIG = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("config.local.yaml")

with LLMOrchestrator(CONFIG, session_id="cost-example") as orchestrator:
    for question in ("What is a ledger?", "What is a budget?"):
        response = orchestrator.send_request(question, max_tokens=30, tags={"team": "docs"})
        print(f"{format_cost(response.cost):>10}  {response.usage.total_tokens} tokens  {question}")

    print(f"this session: {format_cost(orchestrator.get_session_cost())}")

    report = orchestrator.cost_tracker.get_usage_report()
    print(f"in the ledger: {report['total_requests']} calls, {format_cost(report['total_cost'])}", end="")
    print(f", {report['unpriced_requests']} of them without a known price")
    for model, totals in report["by_model"].items():
        print(f"  {model}: {totals.requests} calls, {totals.tokens} tokens, {format_cost(totals.cost)}")

    for day in report.to_dicts(by="day"):  # pandas.DataFrame(report.to_dicts(by="day")) is a table of it
        print(f"  {day['name']}: {day['requests']} calls, {format_cost(day['cost'])}")
    print(report)

    rows = orchestrator.cost_tracker.to_dicts()  # pandas.DataFrame(rows) is the whole ledger as a table
    print(f"the last row: {rows[-1]['model']}, {rows[-1]['total_tokens']} tokens, {rows[-1]['tags']}")

    count = orchestrator.cost_tracker.export_to_csv("usage.csv")
    print(f"{count} rows written to usage.csv")
