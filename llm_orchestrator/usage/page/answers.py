"""The answers at the top of the page, as sentences: what was spent, where it is going, what is not priced."""

from __future__ import annotations

from decimal import Decimal
from html import escape
from typing import Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from llm_orchestrator.usage.page.cube import OTHERS, Cube
from llm_orchestrator.usage.page.figures import Figures
from llm_orchestrator.usage.page.outlook import FEWEST_DAYS, Month, Outlook
from llm_orchestrator.usage.page.words import day_name, month_name, percent
from llm_orchestrator.usage.report import UsageReport, UsageTotals
from llm_orchestrator.utils.money import ZERO, add_money, format_cost, subtract_money
from llm_orchestrator.utils.plural import number_of

__all__ = ["Answer", "answers", "answers_html", "unpriced_html"]

#: Share of the calls from which on those without a price are told loudly.
LOUD = 0.01
#: Names that a sentence lists.
MOST_NAMES = 5
#: Characters of a name in a sentence.
LONGEST_NAME = 80


class Answer(NamedTuple):
    """One answer.

    Attributes:
        question: What it is about.
        figure: The answer itself.
        notes: What has to be known about it, a sentence each.
        tone: ``good`` or ``bad`` where it is one of them.
    """

    question: str
    figure: str
    notes: Sequence[str] = ()
    tone: str = ""


def answers(report: UsageReport, cube: Cube, outlook: Outlook, of_budget: Outlook) -> Iterator[Answer]:
    """Answer what someone who pays the bill asks, in the order of asking."""
    yield _this_month(outlook)
    yield _month_before(outlook)
    if not outlook.is_over:
        yield _forecast(outlook)
    if of_budget.budget is not None:
        yield _budget(of_budget, of_budget.budget)
    for name in cube.tags:
        answer = _most_expensive(report, cube, outlook, name)
        if answer:
            yield answer


def _this_month(outlook: Outlook) -> Answer:
    month = outlook.month
    until = "" if outlook.is_over else f", up to {day_name(outlook.today)}"
    return Answer(f"Spent in {month_name(month.first)}{until}", format_cost(month.spent), list(_about(month)))


def _about(month: Month) -> Iterator[str]:
    yield f"{number_of(month.calls, 'call')}."
    if month.estimated:
        yield f"{format_cost(month.estimated)} of it is estimated."
    if month.unpriced:
        yield f"{number_of(month.unpriced, 'call')} without a price not included."
    if month.since:
        yield f"Known from {day_name(month.since)} on only."


def _month_before(outlook: Outlook) -> Answer:
    before = outlook.before
    if before is None:
        return Answer("Spent in the month before", "not in this report", ["The report begins later."])
    notes = list(_about(before))
    so_far, spent = outlook.before_so_far, outlook.month.spent
    if so_far is not None and not outlook.is_over:
        notes.append(f"{format_cost(so_far)} up to the same day{_compared(spent, so_far)}.")
    return Answer(f"Spent in {month_name(before.first)}", format_cost(before.spent), notes)


def _compared(spent: Optional[Decimal], before: Decimal) -> str:
    if spent is None or not before:
        return ""
    change = float(spent / before) - 1
    if abs(change) < 0.005:
        return ": as much as this month"
    return f": this month is {percent(abs(change))} {'above' if change > 0 else 'below'} it"


def _forecast(outlook: Outlook) -> Answer:
    forecast, question = outlook.forecast, f"Forecast to {day_name(outlook.month.last)}"
    if forecast is None and outlook.whole_days < FEWEST_DAYS:
        return Answer(question, "too early to tell", ["A forecast needs three whole days."])
    if forecast is None:
        return Answer(question, "unknown", ["No call of the last days has a known price."])
    notes = [
        f"A forecast, not a bill: {format_cost(forecast.a_day)} a day goes on, "
        f"the mean of the last {forecast.days} whole days."
    ]
    if outlook.month.unpriced:
        notes.append("Calls without a price are not in it, so it may be more.")
    return Answer(question, f"about {format_cost(forecast.total)}", notes)


def _budget(outlook: Outlook, budget: Decimal) -> Answer:
    whose = f" of {_short(outlook.owner)}" if outlook.owner else ""
    question = f"Within the budget{whose} of {format_cost(budget)} for {outlook.month.name}?"
    figure, tone, *notes = _verdict(outlook, budget)
    if outlook.zone:
        notes.append(f"Its days are those of {outlook.zone}.")
    return Answer(question, figure, notes, tone)


def _verdict(outlook: Outlook, budget: Decimal) -> Sequence[str]:
    """Whether a budget holds, the tone of it, and what has to be known."""
    ends, spent, forecast = outlook.budget_ends, outlook.month.spent, outlook.forecast
    if spent is None:
        return "unknown", "bad", "No call of this month has a known price."
    if spent > budget and ends:
        over = format_cost(subtract_money(spent, budget))
        return "No", "bad", f"It was passed on {day_name(ends)}, by {over} so far."
    left = f"{format_cost(subtract_money(budget, spent))} of the month's budget is left today."
    unpriced = outlook.month.unpriced
    lacking = [f"{number_of(unpriced, 'call')} without a price not counted."] if unpriced else []
    if forecast is None:
        so_far = ("Yes", "good", left) if outlook.is_over else ("so far", "", left, "There is no forecast.")
        return *so_far, *lacking
    if ends:
        over = format_cost(subtract_money(forecast.total, budget))
        passes = f"The forecast passes it on {day_name(ends)}, and by {over} at the month's end."
        return "Probably not", "bad", passes, left, *lacking
    spare = format_cost(subtract_money(budget, forecast.total))
    leaves = f"The forecast leaves {spare} at the month's end."
    if lacking:
        return "Yes, as far as prices are known", "", leaves, left, *lacking
    return "Yes, by the forecast", "good", leaves, left


def _most_expensive(report: UsageReport, cube: Cube, outlook: Outlook, tag: str) -> Optional[Answer]:
    """Which value of a tag cost most, in the month and over the whole report."""
    groups = {
        name[len(tag) + 1 :]: _spent(totals)
        for name, totals in report.by_tag.items()
        if name.startswith(f"{tag}=") and name != f"{tag}="
    }
    ranked, whole = _ranked(groups), add_money(report.total_cost, report.estimated_cost)
    if not ranked:
        return None
    of_month = cube.spent_in_month(outlook.month.first, tag)
    rest = of_month.pop(OTHERS, ZERO)
    of_month.pop("", None)
    leading = _ranked(of_month)
    if not leading or rest > of_month[leading[0]] or not outlook.month.spent:
        notes = _shares(groups, ranked, whole, "all that is in this report")
        return Answer(f"Most expensive {_short(tag)}, over the whole report", _short(ranked[0]), notes)
    notes = _shares(of_month, leading, outlook.month.spent, "the month")
    if outlook.before is not None:
        notes.append(f"Over the whole report: {_short(ranked[0])}, {format_cost(groups[ranked[0]])}.")
    title = f"Most expensive {_short(tag)} in {month_name(outlook.month.first)}"
    return Answer(title, _short(leading[0]), notes)


def _ranked(spent: Mapping[str, Decimal]) -> List[str]:
    """Those that cost something, the most expensive first."""
    return sorted((name for name in spent if spent[name]), key=lambda name: (-spent[name], name))


def _shares(spent: Mapping[str, Decimal], ranked: Sequence[str], whole: Decimal, what: str) -> List[str]:
    first, *others = ranked
    notes = [f"{format_cost(spent[first])}, {percent(float(spent[first] / whole))} of {what}."]
    return notes + [f"Then {_short(name)}: {format_cost(spent[name])}." for name in others[:1]]


def _spent(totals: UsageTotals) -> Decimal:
    return add_money(totals.cost, totals.estimated_cost)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


def answers_html(found: Iterator[Answer]) -> str:
    """Write the answers as cards."""
    return "".join(
        f'<div class="answer {answer.tone}"><h2>{escape(answer.question)}</h2>'
        f'<p class="figure">{escape(answer.figure)}</p><p>{escape(" ".join(answer.notes))}</p></div>'
        for answer in found
    )


# ---------------------------------------------------------------------------------------- what is not priced


def unpriced_html(report: UsageReport, figures: Figures) -> str:
    """Say what the sums leave out, as loudly as it matters, and what to do."""
    lines = [*_without_price(report, figures), *_stale(figures)]
    share = report.unpriced_requests / report.total_requests
    title = "Every call has a price."
    if report.unpriced_requests:
        title = (
            f"{number_of(report.unpriced_requests, 'call')} of {report.total_requests:,} "
            f"({percent(share)}) without a price: not in any sum on this page."
        )
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    loud = " loud" if share >= LOUD else ""
    return f'<div class="unknown{loud}"><h2>{escape(title)}</h2>{f"<ul>{items}</ul>" if items else ""}</div>'


def _without_price(report: UsageReport, figures: Figures) -> Iterator[str]:
    without = {
        name: sums.unpriced_requests for name, sums in report.by_model.items() if sums.unpriced_requests
    }
    lacking = {name for name, model in figures.models.items() if model.lacks_usage}
    of_usage = {name: number for name, number in without.items() if name in lacking}
    of_price = {name: number for name, number in without.items() if name not in lacking}
    if of_price:
        yield (
            f"The price is unknown, or that of a part: {_listed(of_price)}. Whoever runs the program can "
            "give it in cost_tracking.price_overrides, or update the library, whose price table may know it "
            "by now; CostTracker.recompute then prices the calls that were made before."
        )
    if of_usage:
        yield (
            f"The provider did not say how many tokens were used: {_listed(of_usage)}. "
            "Its own bill has these calls."
        )


def _stale(figures: Figures) -> Iterator[str]:
    stale = {name: model.stale for name, model in figures.models.items() if model.stale}
    if stale:
        yield (
            f"Priced by prices that may be out of date: {_listed(stale, 'request')}. They were older than "
            "stale_after_days when the calls were made. Update the library, and compare with the provider's "
            "list."
        )


def _listed(counts: Mapping[str, int], what: str = "call") -> str:
    ranked: List[Tuple[str, int]] = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    names = [
        f"{_short(name) or '(none)'} ({number_of(number, what)})" for name, number in ranked[:MOST_NAMES]
    ]
    more = len(ranked) - len(names)
    return ", ".join(names) + (f" and {number_of(more, 'more model')}" if more else "")
