"""How a report shows itself in a notebook: escaped HTML that loads and runs nothing."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from llm_orchestrator.utils.money import format_cost

if TYPE_CHECKING:
    from llm_orchestrator.usage.report import UsageReport

__all__ = ["report_as_html"]

#: Models in a notebook's table; the page of ``to_html`` has them all.
MOST_ROWS = 20


def report_as_html(report: UsageReport) -> str:
    """Show a report: the totals, and a table of the models that cost most."""
    ranked = sorted(report.by_model.items(), key=lambda item: item[1].cost, reverse=True)
    lines = [
        (
            name,
            f"{sums.requests:,}",
            f"{sums.tokens:,}",
            format_cost(sums.known_cost),
            format_cost(sums.estimated_cost) if sums.estimated_requests else "",
        )
        for name, sums in ranked[:MOST_ROWS]
    ]
    head = "".join(f"<th>{name}</th>" for name in ("model", "calls", "tokens", "cost", "estimated"))
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
    left_out = len(ranked) - len(lines)
    more = f"<p>and {left_out:,} more models</p>" if left_out else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if lines else ""
    return f"<div><p>{escape(str(report))}</p>{table}{more}</div>"
