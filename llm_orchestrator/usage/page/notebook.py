"""How answers and reports show themselves in notebooks: escaped HTML that loads and runs nothing."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_orchestrator.types import LLMResponse
    from llm_orchestrator.usage.report import UsageReport

__all__ = ["report_as_html", "response_as_html"]

#: Models in a notebook's table; the page of ``to_html`` has them all.
MOST_ROWS = 20


def response_as_html(response: LLMResponse) -> str:
    """Show an answer: its text, and a line on what it was and cost. What was asked is not in it.

    Args:
        response: The answer.

    Returns:
        HTML.
    """
    from llm_orchestrator.utils.money import format_cost

    calls = "".join(f"\n{call.name}({call.raw_arguments})" for call in response.tool_calls)
    text = (response.content or response.refusal or "") + calls
    total = response.usage.total_tokens
    facts = (
        f"{response.provider}/{response.model}",
        response.finish_reason.value,
        "tokens unknown" if total is None else f"{total:,} tokens",
        f"cost {format_cost(response.cost)}",
    )
    return (
        f'<div><div style="white-space: pre-wrap">{escape(text.strip())}</div>'
        f'<div style="opacity: 0.65; font-size: smaller">{escape(", ".join(facts))}</div></div>'
    )


def report_as_html(report: UsageReport) -> str:
    """Show a report: the totals, and a table of the models that cost most.

    Args:
        report: The report.

    Returns:
        HTML.
    """
    from llm_orchestrator.utils.money import format_cost, known_cost

    ranked = sorted(report.by_model.items(), key=lambda item: item[1].cost, reverse=True)
    lines = [
        (
            name,
            f"{sums.requests:,}",
            f"{sums.tokens:,}",
            format_cost(known_cost(sums.cost, sums.requests, sums.unpriced_requests)),
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
