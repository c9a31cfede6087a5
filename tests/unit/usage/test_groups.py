"""Who spent it: groups of one kind and of several, which add up to the whole, and the rows they are about."""

from __future__ import annotations

import json
import pickle
import tempfile
from datetime import datetime, timedelta, timezone
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_orchestrator.cost_tracker import CostTracker, UsageReport, UsageTotals
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage import recent
from llm_orchestrator.usage.columns import REPORT_COLUMNS
from llm_orchestrator.usage.selection import Selection
from llm_orchestrator.usage.tally import Tally
from tests.support.costs import TOKENS, make
from tests.support.ledgers import row, write

START = datetime(2026, 10, 31, 22, tzinfo=timezone.utc)


def spent(tracker: CostTracker, cost: str, model: str = "m", **tags: str) -> None:
    tracker.log_usage("p", model, TOKENS, cost=Decimal(cost), tags=tags)


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[CostTracker]:
    tracker = make(tmp_path / "costs.csv")
    yield tracker
    tracker.close()


def costs_of(report: UsageReport, by: Any) -> Dict[Any, Decimal]:
    return {name: sums.cost for name, sums in report.grouped(by).items()}


def test_two_kinds_together_have_a_row_for_the_calls_without_the_tag(tracker: CostTracker) -> None:
    spent(tracker, "1", "a", customer="acme")
    spent(tracker, "2", "b", customer="acme")
    spent(tracker, "4", "a", customer="globex")
    spent(tracker, "8", "a")
    spent(tracker, "16", "a", team="docs")
    report = tracker.get_usage_report()

    assert costs_of(report, "tag:customer") == {"acme": 3, "globex": 4, "": 24}
    assert costs_of(report, ["tag:customer", "model"]) == {
        ("acme", "a"): 1,
        ("acme", "b"): 2,
        ("globex", "a"): 4,
        ("", "a"): 24,
    }
    assert costs_of(report, "tag") == {"customer=acme": 3, "customer=globex": 4, "team=docs": 16, "": 8}
    assert "" not in report.by_tag
    assert report.to_dicts(["tag:customer", "model"])[2] == {
        "tag:customer": "acme",
        "model": "b",
        "requests": 1,
        "tokens": 15,
        "cost": Decimal(2),
        "estimated_cost": Decimal(0),
        "unpriced_requests": 0,
        "estimated_requests": 0,
    }


def test_an_empty_tag_and_a_tag_with_a_sign_in_its_name_lose_nothing(tracker: CostTracker) -> None:
    spent(tracker, "1", customer="")
    spent(tracker, "2")
    spent(tracker, "4", **{"a=b": "c"})
    report = tracker.get_usage_report()

    assert costs_of(report, "tag:customer") == {"": 7}
    assert costs_of(report, "tag:a=b") == {"c": 4, "": 3}
    assert costs_of(report, ["tag:a=b"]) == {("c",): 4, ("",): 3}


def test_a_group_without_a_known_price_costs_none_and_not_zero(tracker: CostTracker) -> None:
    tracker.log_usage("p", "unknown", TOKENS)
    spent(tracker, "0", "free")
    report = tracker.get_usage_report()

    assert {group["name"]: group["cost"] for group in report.to_dicts("model")} == {
        "unknown": None,
        "free": 0,
    }
    assert (report.by_model["unknown"].known_cost, report.known_cost) == (None, 0)
    assert tracker.get_usage_report(model="unknown").known_cost is None


@pytest.mark.parametrize("by", ["colour", "tag:", "model:x", "", ["model", "model"], ["model", "colour"], []])
def test_groups_that_do_not_exist_are_refused(by: Any) -> None:
    with pytest.raises(ValueError, match="A report has no groups by"):
        make(None).get_usage_report().grouped(by)


def test_a_report_that_was_copied_has_its_sums_and_says_what_needs_the_rows(tracker: CostTracker) -> None:
    spent(tracker, "1")
    spent(tracker, "2", customer="acme")
    report = pickle.loads(pickle.dumps(tracker.get_usage_report()))

    assert costs_of(report, "tag") == {"customer=acme": 2, "": 1}
    assert costs_of(report, "tag:customer") == {"acme": 2, "": 1}
    for by in ("month", ["model", "day"]):
        with pytest.raises(ConfigurationError, match="Call it on the report that get_usage_report returned"):
            report.grouped(by)


def test_rows_that_came_since_are_in_no_group(tracker: CostTracker) -> None:
    spent(tracker, "1")
    report = tracker.get_usage_report()
    spent(tracker, "2")

    assert costs_of(report, ["provider", "model"]) == {("p", "m"): 1}


def test_calls_that_memory_keeps_as_sums_only_are_a_group_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent, "MOST_RECORDS", 2)
    tracker = make(None)
    for cost in ("1", "2", "4", "8"):
        spent(tracker, cost)
    report = tracker.get_usage_report()

    assert costs_of(report, ["provider", "model"]) == {("p", "m"): 12, ("(earlier calls)",) * 2: 3}
    assert sum(costs_of(report, "month").values()) == report.total_cost == 15


# Which rows


def test_a_report_of_one_customer_is_about_the_same_rows_as_its_exports(
    tracker: CostTracker, tmp_path: Path
) -> None:
    spent(tracker, "1", "a", customer="acme", team="docs")
    spent(tracker, "2", "b", customer="acme")
    spent(tracker, "4", "a", customer="globex")
    spent(tracker, "8", "a")

    def total(**only: Any) -> Decimal:
        rows = tracker.to_dicts(**only)
        report = tracker.get_usage_report(**only)
        assert tracker.export_to_csv(tmp_path / "x", **only) == len(rows) == report.total_requests
        assert tracker.export_to_jsonl(tmp_path / "x", **only) == len(rows)
        groups = report.grouped(["tag:customer", "model", "day"]).values()
        assert sum(row["cost"] for row in rows) == report.total_cost == sum(group.cost for group in groups)
        return report.total_cost

    assert total(tags={"customer": "acme"}) == 3
    assert total(tags={"customer": "acme", "team": "docs"}) == 1
    assert total(tags={"customer": ""}) == 8
    assert total(model="a") == 13
    assert total(model="a", tags={"customer": "acme"}) == 1
    assert total(provider="p") == total() == total(tags={}) == 15
    assert total(provider="q") == total(model="") == 0


@pytest.mark.parametrize(
    ("only", "told"),
    [
        ({"model": 3}, "3 is not the name of a model"),
        ({"provider": ["p"]}, "is not the name of a provider"),
        ({"tags": "customer=acme"}, "'customer=acme' are not tags. Use a dict"),
    ],
)
def test_a_condition_of_another_type_is_refused(only: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        make(None).get_usage_report(**only)


def test_a_call_that_fell_back_counts_for_each_of_its_models(tracker: CostTracker) -> None:
    for number in range(3):
        call: Dict[str, Any] = {"call_id": f"{number}", "cost": Decimal(1)}
        tracker.log_usage("p", "first", TOKENS, final=False, **call)
        tracker.log_usage("p", "second", TOKENS, attempt=2, **call)

    assert tracker.get_usage_report().total_requests == 3
    for model in ("first", "second"):
        report = tracker.get_usage_report(model=model)
        assert (report.total_requests, report.total_cost) == (3, 3)


def test_calls_that_ended_with_another_model_are_forgotten() -> None:
    rows = [
        [row(call_id=call, model=model, final=final)[name] for name in REPORT_COLUMNS]
        for call in ("c", "d")
        for model, final in (("first", "false"), ("second", "true"))
    ]
    tally = Tally()

    assert tally.add_all(rows, Selection(model="first").has) == 4
    assert (tally.rows, tally.totals()[0].requests, tally._unfinished) == (2, 2, {})


# Sums

_TEXTS = st.sampled_from(["", "acme", "globex", "a=b", "ü"])
_MONEY = st.decimals(min_value=0, max_value=10**6, places=12)
_ATTEMPT = st.fixed_dictionaries(
    {
        "provider": st.sampled_from(["p", "q"]),
        "model": st.sampled_from(["m", "n", "o"]),
        "total_tokens": st.sampled_from(["", 0, 7, 10**9 - 1]),
        "cost": st.one_of(st.just(""), _MONEY),
        "usage_status": st.sampled_from(["reported", "estimated"]),
        "price_status": st.sampled_from(["priced", "partial"]),
        "hours": st.integers(0, 80),
    }
)
_CALL = st.tuples(
    st.lists(_ATTEMPT, min_size=1, max_size=3),
    st.one_of(st.just(""), st.dictionaries(st.sampled_from(["customer", "team", "a=b"]), _TEXTS)),
    st.sampled_from(["one", "two"]),
)
_KINDS = ["provider", "model", "session", "day", "month", "tag:customer", "tag:team", "tag:a", "tag:nobody"]


def rows_of(calls: List[Any]) -> Iterator[Dict[str, str]]:
    for number, (attempts, tags, session) in enumerate(calls):
        for place, attempt in enumerate(attempts, 1):
            cells = dict(attempt)
            moment = START + timedelta(hours=cells.pop("hours"))
            if cells["cost"] != "":
                cells["cost"] = format(cells["cost"], "f")
            yield row(
                timestamp=moment.isoformat(),
                session_id=session,
                call_id=f"c{number}",
                attempt=place,
                final="true" if place == len(attempts) else "false",
                tags=json.dumps(tags) if tags else "",
                **cells,
            )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(_CALL, max_size=12),
    st.one_of(
        st.sampled_from(_KINDS), st.lists(st.sampled_from(_KINDS), min_size=1, max_size=3, unique=True)
    ),
    st.sampled_from([{}, {"model": "m"}, {"provider": "q"}, {"tags": {"customer": "acme"}}]),
)
def test_the_sums_of_any_grouping_are_the_total(calls: List[Any], by: Any, only: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tracker = CostTracker(log_path=write(Path(folder) / "costs.csv", rows_of(calls)))
        report = tracker.get_usage_report(**only)
        groups: List[UsageTotals] = list(report.grouped(by).values())

    def add(name: str) -> Any:
        with localcontext() as context:
            context.prec = 60
            return sum((group[name] for group in groups), Decimal(0))

    assert add("tokens") == report.total_tokens
    assert (add("cost"), add("estimated_cost")) == (report.total_cost, report.estimated_cost)
    for name, total in (
        ("requests", report.total_requests),
        ("unpriced_requests", report.unpriced_requests),
        ("estimated_requests", report.estimated_requests),
    ):
        is_split = any(len(attempts) > 1 for attempts, _, _ in calls)  # one call may be in several groups
        assert add(name) >= total if is_split else add(name) == total
