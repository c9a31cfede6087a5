"""A budget holds for sessions and tags of any text, on every ledger, and none of them is in another's way."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Dict

import pytest

from llm_orchestrator import BudgetExceededError, CostTracker
from llm_orchestrator.utils.money import ZERO
from tests.support.budgets import CENT

#: Longer than what PostgreSQL indexes, and not to be compressed.
LONG = "".join(random.Random(7).choice("abcdefghijklmnopqrstuvwxyzÄÖÜ0123456789") for _ in range(6000))
NAMES = [
    *(
        "a=b",
        "%_",
        "\\",
        "'; DROP TABLE llm_budget; --",
        "=sum(a)",
        "'=x",
        "{0} :s0",
        " ",
        "tag:x=y",
        "x,y",
        '"',
    ),
    *("\0n", "\ud800", "a\nb", "c\rd", "\x85e", "é\u2028z", "\ufffe", "🙂" * 600),
    *(LONG, LONG[:-1]),
]


def spend(tracker: CostTracker, session: str, tags: Dict[str, str]) -> None:
    tracker.check_budget(session, None, tags)
    asked = tracker.request_budget(session, tags, lambda: CENT, 60)
    if asked:
        asked.take().settle(ZERO)
    tracker.log_usage("p", "m", None, cost=CENT, session_id=session, tags=tags)


def test_every_name_has_a_budget_of_its_own(place: Dict[str, Any], tmp_path: Path) -> None:
    if not place:
        place = {"log_path": tmp_path / "costs.csv"}
    else:
        pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")
    tracker = CostTracker(budget={"session": "0.01", "tags": {"customer": {"month": "0.01"}}}, **place)
    for name in NAMES:
        spend(tracker, name, {})
        with pytest.raises(BudgetExceededError):
            spend(tracker, name, {})
        spend(tracker, f"customer {name}", {"customer": name})
        with pytest.raises(BudgetExceededError):
            spend(tracker, f"another {name}", {"customer": name})
    report = tracker.get_usage_report()
    assert (report.total_requests, report.waiting_rows) == (2 * len(NAMES), 0)
    of_tags = [one for one in tracker.budget_status() if "tag:" in one.budget]
    assert len({one.budget for one in of_tags}) == len(NAMES)
    assert {one.spent for one in of_tags} == {CENT}
    tracker.close()
