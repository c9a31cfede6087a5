"""The cost tracker as its users meet it: records, session costs, reports, exports and the ledger file."""

from __future__ import annotations

import gc
import logging
import os
import time
import weakref
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from llm_orchestrator.cost_tracker import CostTracker, UsageRecord, UsageReport, format_cost
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.pricing import CostDetails
from llm_orchestrator.types import TokenUsage
from tests.support.costs import EIGHT, TOKENS, FixedPrices, fill, make, read
from tests.support.databases import Rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "costs.csv"


@pytest.fixture
def tracker(path: Path, place: Dict[str, Any]) -> Iterator[CostTracker]:
    """One with its ledger in each place in turn."""
    tracker = make(path, **place)
    yield tracker
    tracker.close()


@pytest.fixture
def file_tracker(path: Path) -> Iterator[CostTracker]:
    tracker = make(path)
    yield tracker
    tracker.close()


# Records


def test_a_logged_call_is_a_row_of_the_csv_file_at_once(file_tracker: CostTracker, path: Path) -> None:
    file_tracker.log_usage("openai", "m", TOKENS, "session-1", cost=Decimal("0.25"))

    assert path.read_text().startswith(EIGHT + ",")
    (row,) = read(path)
    assert (row["provider"], row["model"], row["session_id"]) == ("openai", "m", "session-1")
    assert (row["prompt_tokens"], row["completion_tokens"], row["total_tokens"]) == ("10", "5", "15")
    assert row["cost"] == "0.25"
    written = datetime.fromisoformat(row["timestamp"])
    assert written.utcoffset() == timedelta(0)
    assert abs(datetime.now(timezone.utc) - written) < timedelta(seconds=10)


def test_a_row_holds_what_is_known_about_the_attempt(tracker: CostTracker, rows: Rows) -> None:
    usage = TokenUsage(100, 20, 120, cached_tokens=60, cache_write_tokens=30, reasoning_tokens=15)
    record = tracker.log_usage(
        "anthropic",
        "served",
        usage,
        cost_details=CostDetails(status="stale", total=Decimal("0.5")),
        call_id="call",
        attempt=2,
        requested_model="asked",
        request_id="req_1",
        latency=1.25,
        streamed=True,
        tags={"team": 'a "b", c'},
    )

    (row,) = rows(tracker)
    expected = {
        "cached_tokens": "60",
        "cache_write_tokens": "30",
        "reasoning_tokens": "15",
        "cost": "0.5",
        "price_status": "stale",
        "usage_status": "reported",
        "call_id": "call",
        "attempt": "2",
        "final": "true",
        "status": "ok",
        "requested_model": "asked",
        "request_id": "req_1",
        "latency": "1.250000",
        "streamed": "true",
        "tags": '{"team": "a \\"b\\", c"}',
        "status_code": "",
    }
    assert {name: row[name] for name in expected} == expected
    assert isinstance(record, UsageRecord)
    assert record.to_row() == row


def test_a_total_left_out_is_the_sum_of_its_parts(tracker: CostTracker) -> None:
    assert tracker.log_usage("p", "m", {"prompt": 2, "completion": 3}, cost=Decimal(0)).total_tokens == 5
    assert tracker.log_usage("p", "m", {"prompt": 2}, cost=Decimal(0)).total_tokens is None


def test_misspelled_tokens_are_refused_instead_of_lost(tracker: CostTracker, rows: Rows) -> None:
    with pytest.raises(ValueError, match="prompt_tokens"):
        tracker.log_usage("p", "m", {"prompt_tokens": 2})
    assert rows(tracker) == []


@pytest.mark.parametrize("count", [1.5, 10.0, "10", -1, True])
def test_tokens_that_are_no_count_are_refused_instead_of_lost(tracker: CostTracker, count: Any) -> None:
    with pytest.raises(ValueError, match="is not a number of completion tokens"):
        tracker.log_usage("p", "m", {"prompt": 2, "completion": count})


@pytest.mark.parametrize("cost", [Decimal("NaN"), float("inf"), "free"])
def test_a_cost_that_is_no_money_is_refused_instead_of_lost(tracker: CostTracker, cost: Any) -> None:
    with pytest.raises(ValueError, match="is not an amount of money"):
        tracker.log_usage("p", "m", TOKENS, cost=cost)


def test_a_credit_is_counted_and_computed_again(tracker: CostTracker, rows: Rows) -> None:
    tracker.log_usage("p", "m", TOKENS, cost=Decimal("-0.5"))
    assert tracker.get_usage_report().total_cost == Decimal("-0.5")
    assert tracker.recompute(rows(tracker)[0]) == Decimal("-0.5")


def test_without_a_cost_the_price_table_is_asked_once(tracker: CostTracker) -> None:
    when = datetime(2026, 5, 1, tzinfo=timezone.utc)
    record = tracker.log_usage("openai", "priced", TOKENS, requested_model="alias", timestamp=when)

    assert record.cost == Decimal("0.000015")
    (asked,) = tracker.price_table.asked  # type: ignore[attr-defined]
    assert (asked.provider, asked.model) == ("openai", "priced")
    assert (asked.requested_model, asked.at, asked.usage.prompt_tokens) == ("alias", when, 10)


def test_without_a_table_of_its_own_the_tracker_uses_the_one_shipped() -> None:
    record = CostTracker(log_path=None).log_usage("local", "any.gguf", TOKENS)
    assert (record.cost, record.price_status) == (Decimal(0), "free")


def test_an_unknown_price_stays_unknown_and_warns_once(
    tracker: CostTracker, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        assert tracker.log_usage("openai", "never-seen", TOKENS).cost is None
    tracker.log_usage("openai", "other", TOKENS)

    assert [row["cost"] for row in rows(tracker)] == [""] * 4
    assert tracker.get_session_cost() == 0
    report = tracker.get_usage_report()
    assert (report.unpriced_requests, report.total_requests, report.total_tokens) == (4, 4, 60)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 2
    assert "openai/never-seen is unknown" in said[0]
    assert "Add one to price_overrides" in said[0]


def test_usage_that_was_not_reported_is_not_zero(
    tracker: CostTracker, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    tracker.log_usage("openai", "priced", None)
    assert "no usage was reported" in caplog.text
    (row,) = rows(tracker)
    assert (row["total_tokens"], row["cost"], row["usage_status"]) == ("", "", "missing")
    assert tracker.get_usage_report().unpriced_requests == 1


def test_a_request_answered_with_an_error_costs_nothing_and_one_without_an_answer_is_unknown(
    tracker: CostTracker, caplog: pytest.LogCaptureFixture
) -> None:
    rejected = tracker.log_usage("p", "m", None, status="error", error_type="RateLimitError", status_code=429)
    broken = tracker.log_usage(
        "p", "m", None, status="error", error_type="InvalidResponseError", status_code=200
    )
    timed_out = tracker.log_usage("p", "m", None, status="error", error_type="ProviderTimeoutError")
    assert (rejected.cost, broken.cost, timed_out.cost) == (Decimal(0), None, None)
    assert not caplog.records


@pytest.mark.parametrize("amount", ["0.0000001", "0.000000000001", "0", "12345678.123456789012", "1E-7"])
def test_amounts_are_written_in_full(tracker: CostTracker, rows: Rows, amount: str) -> None:
    tracker.log_usage("p", "m", TOKENS, cost=Decimal(amount))
    (row,) = rows(tracker)
    assert "e" not in row["cost"].lower()
    assert Decimal(row["cost"]) == Decimal(amount) == tracker.get_usage_report().total_cost


def test_sums_are_exact_in_an_application_with_a_coarse_decimal_context(tracker: CostTracker) -> None:
    with localcontext() as context:
        context.prec = 3
        for amount in ("1000", "0.000000000001"):
            tracker.log_usage("p", "m", TOKENS, cost=Decimal(amount))
        assert str(tracker.get_session_cost()) == "1000.000000000001"
        assert str(tracker.get_usage_report().total_cost) == "1000.000000000001"


@pytest.mark.parametrize("in_memory", [False, True])
def test_tags_of_any_kind_become_text(path: Path, in_memory: bool) -> None:
    endless: Dict[Any, Any] = {(1, 2): b"x"}
    endless["self"] = endless
    tracker = make(None if in_memory else path)
    tracker.log_usage("p", "m", TOKENS, cost=Decimal(1), tags=endless)
    tracker.log_usage("p", "m", TOKENS, cost=Decimal(1), tags={"=1+1\n": '@x\r\n,"y"'})
    by_tag = tracker.get_usage_report().by_tag
    assert by_tag["(1, 2)=b'x'"].requests == by_tag['=1+1\n=@x\r\n,"y"'].requests == 1
    tracker.close()


# Sessions and reports


def test_session_costs_are_kept_apart(tracker: CostTracker) -> None:
    tracker.log_usage("p", "m", TOKENS, cost=Decimal("0.1"))
    tracker.log_usage("p", "m", TOKENS, "other", cost=Decimal("0.2"))
    tracker.log_usage("p", "m", TOKENS, "other", cost=Decimal("0.3"))
    assert tracker.get_session_cost() == tracker.get_session_cost("s") == Decimal("0.1")
    assert tracker.get_session_cost("other") == Decimal("0.5")
    assert tracker.get_session_cost("nobody") == Decimal(0)


def test_a_report_sums_by_provider_model_and_session(tracker: CostTracker) -> None:
    tracker.log_usage("openai", "a", TOKENS, "one", cost=Decimal("0.1"))
    tracker.log_usage("openai", "b", TOKENS, "one", cost=Decimal("0.2"))
    tracker.log_usage("gemini", "c", TOKENS, "two", cost=Decimal("0.4"))
    report = tracker.get_usage_report()

    assert isinstance(report, UsageReport)
    assert (report["total_requests"], report["total_tokens"], report["total_cost"]) == (3, 45, Decimal("0.7"))
    assert report["by_provider"]["openai"]["cost"] == report.by_provider["openai"].cost == Decimal("0.3")
    assert report.by_model["c"] == {
        "requests": 1,
        "tokens": 15,
        "cost": Decimal("0.4"),
        "estimated_cost": Decimal(0),
        "unpriced_requests": 0,
        "estimated_requests": 0,
    }
    assert {name: entry.requests for name, entry in report.by_session.items()} == {"one": 2, "two": 1}
    assert list(report) == [
        "total_requests",
        "total_tokens",
        "total_cost",
        "unpriced_requests",
        "estimated_cost",
        "by_provider",
        "by_model",
        "by_session",
        "by_tag",
        "by_day",
        "estimated_requests",
    ]
    with pytest.raises(KeyError):
        report["nonsense"]


def test_a_report_counts_calls_and_not_attempts(tracker: CostTracker) -> None:
    failed: Dict[str, Any] = {"status": "error", "status_code": 503, "final": False, "call_id": "x"}
    tracker.log_usage("p", "a", None, attempt=1, **failed)
    tracker.log_usage("p", "a", None, attempt=2, **failed)
    tracker.log_usage("p", "b", TOKENS, attempt=3, call_id="x", cost=Decimal("0.1"))
    tracker.log_usage("p", "b", TOKENS, call_id="y", cost=Decimal("0.1"))
    report = tracker.get_usage_report()
    assert report.total_requests == 2
    assert (report.by_model["a"].requests, report.by_model["b"].requests) == (1, 2)
    assert report.unpriced_requests == 0


def test_estimates_and_unpriced_calls_are_never_blended_into_the_reported_sum(tracker: CostTracker) -> None:
    tracker.log_usage("p", "m", TOKENS, cost=Decimal("0.5"))
    estimated = TokenUsage(10, 5, 15, source="estimated")
    tracker.log_usage("p", "m", estimated, cost=Decimal("0.01"), status="interrupted")
    tracker.log_usage("p", "unknown", TOKENS)
    partial = CostDetails(status="partial", total=Decimal("0.25"))
    tracker.log_usage("p", "m", TOKENS, cost_details=partial)

    report = tracker.get_usage_report()
    assert (report.total_cost, report.estimated_cost) == (Decimal("0.75"), Decimal("0.01"))
    assert report.unpriced_requests == 2
    assert tracker.get_session_cost() == Decimal("0.75")
    assert str(report) == "4 calls, 60 tokens: reported $0.75 + estimated $0.01 (1 call) + unpriced 2"


def test_a_report_covers_what_other_processes_wrote_before(path: Path) -> None:
    make(path).log_usage("p", "m", TOKENS, "yesterday", cost=Decimal("0.1"))
    later = make(path)
    later.log_usage("p", "m", TOKENS, cost=Decimal("0.2"))
    assert later.get_usage_report().total_cost == Decimal("0.3")
    assert later.get_session_cost() == Decimal("0.2")
    assert path.read_text().count("timestamp") == 1


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not hasattr(time, "tzset"):
        pytest.skip("this system cannot change the local time zone")
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("new_york")
@pytest.mark.parametrize("in_memory", [False, True])
def test_dates_without_a_zone_are_local_time(path: Path, in_memory: bool) -> None:
    tracker = make(None if in_memory else path)
    for hour, model in [(3, "july 3, 23:00"), (4, "july 4, 00:00"), (27, "july 4, 23:00"), (28, "july 5")]:
        moment = datetime(2026, 7, 4, tzinfo=timezone.utc) + timedelta(hours=hour)
        tracker.log_usage("p", model, TOKENS, cost=Decimal(1), timestamp=moment)

    def models(*dates: Any) -> List[str]:
        return list(tracker.get_usage_report(*dates).by_model)

    day = ["july 4, 00:00", "july 4, 23:00"]
    assert models(date(2026, 7, 4), date(2026, 7, 4)) == day
    assert models(datetime(2026, 7, 4), datetime(2026, 7, 4, 23, 30)) == day
    assert (
        models(datetime(2026, 7, 4, 4, tzinfo=timezone.utc), datetime(2026, 7, 5, 3, tzinfo=timezone.utc))
        == day
    )
    assert models(None, datetime(2026, 7, 3, 23)) == ["july 3, 23:00"]
    assert models(datetime(2026, 7, 5)) == ["july 5"]
    tracker.log_usage("p", "naive", TOKENS, cost=Decimal(1), timestamp=datetime(2026, 8, 1, 12))
    noon = datetime(2026, 8, 1, 16, tzinfo=timezone.utc)
    assert models(noon, noon) == ["naive"]
    tracker.close()


def test_a_date_that_is_none_is_named() -> None:
    with pytest.raises(TypeError, match="'2026-07-04' is not a date"):
        make(None).get_usage_report("2026-07-04")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cost", "shown"),
    [
        (None, "unknown"),
        (Decimal("0.0000001"), "$0.0000001"),
        (Decimal("0.00075"), "$0.00075"),
        (Decimal("0.0012345"), "$0.0012"),
        (Decimal("0.00999"), "$0.01"),
        (Decimal("0.01"), "$0.01"),
        (Decimal("1234.567"), "$1,234.57"),
        (Decimal(0), "$0.00"),
        (0.00025, "$0.00025"),
    ],
)
def test_tiny_amounts_are_not_shown_as_zero(cost: Any, shown: str) -> None:
    assert format_cost(cost) == shown


# With and without a file


def test_memory_and_file_give_the_same_report_and_the_same_export(path: Path, tmp_path: Path) -> None:
    in_file, in_memory = make(path), make(None)
    fill(in_file)
    fill(in_memory)
    assert in_memory.get_usage_report() == in_file.get_usage_report()
    assert in_file.get_usage_report().by_model["=cmd()"].requests == 4

    assert in_file.export_to_csv(tmp_path / "a.csv") == 5
    assert in_memory.export_to_csv(tmp_path / "b.csv") == 5
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes() == path.read_bytes()
    in_file.close()


def test_an_export_can_be_limited_to_dates(tracker: CostTracker, tmp_path: Path) -> None:
    fill(tracker)
    wanted = datetime(2026, 1, 3, tzinfo=timezone.utc)
    assert tracker.export_to_csv(str(tmp_path / "out.csv"), start_date=wanted, end_date=wanted) == 1
    assert [row["call_id"] for row in read(tmp_path / "out.csv")] == ["call-2"]


def test_an_export_never_overwrites_the_ledger_and_says_when_it_cannot_write(
    file_tracker: CostTracker, path: Path, tmp_path: Path
) -> None:
    fill(file_tracker)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="is the ledger itself"):
        file_tracker.export_to_csv(path)
    for name in ("costs.1.csv", "costs.2026.csv"):
        with pytest.raises(ConfigurationError, match="would be read as one of its rotated files"):
            file_tracker.export_to_csv(tmp_path / name)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        file_tracker.export_to_csv(tmp_path / "missing" / "out.csv")
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_a_disabled_tracker_stores_and_writes_nothing(path: Path) -> None:
    tracker = CostTracker(enabled=False, log_path=path / "missing" / "folder.csv", price_table=FixedPrices())
    record = tracker.log_usage("p", "priced", TOKENS)
    tracker.log_usage_later(provider="p", model="priced", tokens=TOKENS)
    tracker.close()
    assert record.cost == Decimal("0.000015")
    assert tracker.get_session_cost() == 0
    assert tracker.get_usage_report().total_requests == 0
    assert tracker.log_path is None


def test_what_a_finalizer_hands_over_is_written_with_the_next_use(tracker: CostTracker, rows: Rows) -> None:
    before = datetime.now(timezone.utc)
    with tracker._recorder._lock:  # a finalizer may run while any thread holds it
        for model in ("a", "b"):
            tracker.log_usage_later(
                provider="p", model=model, tokens=TOKENS, status="interrupted", cost=Decimal(1)
            )
    after = datetime.now(timezone.utc)
    assert tracker.get_session_cost() == 2
    written = rows(tracker)
    assert [row["model"] for row in written] == ["a", "b"]
    assert before <= datetime.fromisoformat(written[0]["timestamp"]) <= after
    tracker.log_usage_later(provider="p", model="c", tokens=None)
    tracker.close()
    assert [row["model"] for row in rows(tracker)] == ["a", "b", "c"]


def test_a_record_after_close_is_not_lost(tracker: CostTracker, rows: Rows) -> None:
    fill(tracker)
    tracker.close()
    tracker.close()
    tracker.log_usage("p", "late", TOKENS)
    assert rows(tracker)[-1]["model"] == "late"


def test_records_do_not_pile_up_beside_a_ledger_file(tracker: CostTracker) -> None:
    record = weakref.ref(tracker.log_usage("p", "m", TOKENS))
    gc.collect(0)
    assert record() is None
