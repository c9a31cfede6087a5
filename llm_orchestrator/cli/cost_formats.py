"""The sums of a report as a table, as CSV and as JSON."""

from __future__ import annotations

import csv
import json
import sys
from decimal import Decimal
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from llm_orchestrator.cli.terminal import note, say, show_table
from llm_orchestrator.usage.groups import KINDS
from llm_orchestrator.usage.report import UsageReport, UsageTotals
from llm_orchestrator.utils.money import format_cost
from llm_orchestrator.utils.suggestions import did_you_mean

__all__ = ["print_csv", "print_json", "print_table"]

#: The sums of several kinds of groups together, by a name of each kind.
Groups = Mapping[Tuple[str, ...], UsageTotals]

_SUMS = ("requests", "tokens", "cost", "estimated_cost", "unpriced_requests", "estimated_requests")


def print_table(report: UsageReport, by: List[str]) -> None:
    """Show a row for each group, and the sums of all."""
    groups = _groups(report, by)
    _note_what_lacks(report, by, groups)
    columns = (*by, "calls", "tokens", "cost", "estimated", "unpriced")
    if any(map(any, groups)):
        show_table(columns, [_row(*group) for group in _sorted(groups, by)], numbers=columns[len(by) :])
    say(str(report), style="bold")


def print_csv(report: UsageReport, by: List[str]) -> None:
    """Write a line for each group: of one kind with the columns by and name, else with a column a kind."""
    names = ("by", "name") if len(by) == 1 else by
    writer = csv.DictWriter(sys.stdout, (*names, *_SUMS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(_plain, report.to_dicts(by[0] if len(by) == 1 else by)))


def print_json(report: UsageReport, by: List[str]) -> None:
    """Write the sums of all, those of the kinds that every report has, and the groups asked for."""
    totals = {name: value for name, value in report.items() if not name.startswith("by_")}
    kinds = {f"by_{kind}": [_plain(group, "by") for group in report.to_dicts(kind)] for kind in KINDS}
    groups = [_plain(group) for group in report.to_dicts(by)]
    print(
        json.dumps(
            {**_plain({**totals, "total_cost": report.known_cost}), **kinds, "groups": groups}, indent=2
        )
    )


def _groups(report: UsageReport, by: List[str]) -> Groups:
    """The groups by a tuple of names; one kind alone needs no second reading."""
    if len(by) == 1:
        return {(name,): sums for name, sums in report.grouped(by[0]).items()}
    return report.grouped(by)


def _row(names: Tuple[str, ...], sums: UsageTotals) -> Sequence[str]:
    return (
        *(name or "(none)" for name in names),
        f"{sums.requests:,}",
        f"{sums.tokens:,}",
        format_cost(sums.known_cost),
        format_cost(sums.estimated_cost) if sums.estimated_requests else "",
        f"{sums.unpriced_requests:,}" if sums.unpriced_requests else "",
    )


def _sorted(groups: Groups, by: Sequence[str]) -> List[Tuple[Tuple[str, ...], UsageTotals]]:
    """Days and months in order, everything else by cost: first that of the first kind, then of the next."""
    spent: Dict[Tuple[str, ...], Decimal] = {}
    for names, sums in groups.items():
        for end in range(1, len(names) + 1):
            spent[names[:end]] = spent.get(names[:end], Decimal(0)) + sums.cost + sums.estimated_cost

    def place(names: Tuple[str, ...]) -> List[Tuple[Decimal, str]]:
        return [
            (Decimal(0) if kind in ("day", "month") else -spent[names[: end + 1]], names[end])
            for end, kind in enumerate(by)
        ]

    return sorted(groups.items(), key=lambda group: place(group[0]))


def _note_what_lacks(report: UsageReport, by: Sequence[str], groups: Groups) -> None:
    """Say that no call has a tag which was asked for: it may be misspelt."""
    for number, kind in enumerate(by):
        if not groups or any(names[number] for names in groups):
            continue  # every call has a model, a day ...; only tags are optional
        known = {name.partition("=")[0] for name in report.by_tag}
        name = kind[len("tag:") :]
        hint = "Set tags with `ask --tag NAME=VALUE`, or with tags= in a program."
        what = f"the tag {name!r}" if name else "a tag"
        note(f"No call has {what}. {did_you_mean(name, known) if known else hint}")


def _plain(group: Mapping[str, Any], without: str = "") -> Dict[str, Any]:
    """Money as a string, so that it stays exact."""
    return {
        name: format(value, "f") if isinstance(value, Decimal) else value
        for name, value in group.items()
        if name != without
    }
