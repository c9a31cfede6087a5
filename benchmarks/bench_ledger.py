"""How long the ledger takes: a row in a file and in a database, eight processes, a report of a million rows.

    python benchmarks/bench_ledger.py [rows of the report]

Figures are CPU time; those of a row are the best of many short runs, because other work on the machine only
ever adds to them. A million rows need 700 MB of disk for a minute.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Dict, Tuple

from measure import peak_mb

from llm_orchestrator import CostTracker, LLMResponse, TokenUsage
from llm_orchestrator.types import Attempt, Exchange
from llm_orchestrator.usage.attempts import CallFacts, usage_record_of
from llm_orchestrator.usage.columns import COLUMNS
from llm_orchestrator.usage.ledger import Ledger
from llm_orchestrator.usage.ledger_csv import encode
from llm_orchestrator.usage.record import UsageRecord
from llm_orchestrator.utils.values import evolve

APPEND_US = 60.0
#: What a call may cost its own thread with a database, as against a file.
DATABASE_RATIO = 1.15
CALLS = 4_000
REPORT_S = 6.0
REPORT_MB = 100.0
PROCESSES = 8
ROWS_EACH = 2_000

RAW = {
    "input_tokens": 1000,
    "input_tokens_details": {"cached_tokens": 100},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 30},
    "total_tokens": 1050,
}
RESPONSE = LLMResponse(
    "",
    "gpt-6-luna",
    "openai",
    "gpt-6-luna",
    TokenUsage(1000, 50, 1050, 100, None, 30, raw=RAW),
    raw_response={"service_tier": "default", "output": [{"type": "message"}]},
)
EXCHANGE = Exchange("responses", {"model": "gpt-6-luna", "input": []}, {})
ATTEMPT = Attempt("gpt-6-luna", status_code=200, request_id="req_0123456789", latency=0.5)


def log(tracker: CostTracker, session_id: str = "session") -> UsageRecord:
    """Price a call and record it, as an orchestrator does."""
    now = datetime.now(timezone.utc)
    record = usage_record_of(
        CallFacts(session_id, os.urandom(16).hex(), False, {"team": "docs"}, None),
        evolve(ATTEMPT, started_at=now),
        RESPONSE,
        number=1,
        status="ok",
        details=tracker.price_response(RESPONSE, "openai", at=now, exchange=EXCHANGE),
        exchange=EXCHANGE,
    )
    record = evolve(record, final=True)
    tracker.add(record)
    return record


def append_us(path: Path) -> float:
    """Microseconds of CPU to turn a record into a row and write it."""
    record = log(CostTracker(log_path=None))
    ledger = Ledger(path)
    fastest = float("inf")
    for _ in range(50):
        start = time.process_time()
        for _ in range(100):
            ledger.append(record)
        fastest = min(fastest, (time.process_time() - start) / 100)
    ledger.close()
    return fastest * 1e6


def call_us(tracker: CostTracker) -> Tuple[float, float]:
    """Microseconds of CPU of a priced and recorded call: on its own thread, and on others."""
    log(tracker)
    fastest, start, whole = float("inf"), time.thread_time(), time.process_time()
    for _ in range(CALLS // 100):
        begun = time.thread_time()
        for _ in range(100):
            log(tracker)
        fastest = min(fastest, (time.thread_time() - begun) / 100)
    own = time.thread_time() - start
    tracker.close()
    others = (time.process_time() - whole - own) / CALLS
    return fastest * 1e6, others * 1e6


def compare_with_database(folder: Path) -> None:
    """Print what a call costs with a file and with a database, whose server is a file, too."""
    file, _ = call_us(CostTracker(log_path=folder / "calls.csv"))
    url = f"sqlite:///{folder}/calls.db"
    database, carrying = call_us(CostTracker(database_url=url, spool_path=folder / "spool"))
    print(
        f"a call: {file:.0f} us with a file, {database:.0f} us with a database: {database / file:.2f}   "
        f"target {DATABASE_RATIO:g}; {carrying:.0f} us more on the thread that carries its row over"
    )


def write_rows(path: str, name: str) -> None:
    """What each of the processes does."""
    tracker = CostTracker(log_path=path)
    for _ in range(ROWS_EACH):
        log(tracker, name)
    tracker.close()


def rows_of_processes(path: Path) -> Dict[str, int]:
    """How many rows of each process are in the ledger once all have ended."""
    writers = [
        multiprocessing.Process(target=write_rows, args=(str(path), f"process {number}"))
        for number in range(PROCESSES)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    by_session = CostTracker(log_path=path).get_usage_report().by_session
    return {name: totals.requests for name, totals in by_session.items()}


def write_many(path: Path, count: int) -> None:
    """Write a ledger of several models, sessions, tags and days."""
    row = log(CostTracker(log_path=None)).to_row()
    start = datetime(2026, 10, 1, tzinfo=timezone.utc)
    with open(path, "wb") as file:
        file.write(encode(COLUMNS))
        for number in range(count):
            row["timestamp"] = (start + timedelta(seconds=2 * number)).isoformat(timespec="microseconds")
            row["model"], row["session_id"] = f"model-{number % 7}", f"session-{number // 500}"
            row["call_id"] = f"{number:032x}"
            row["tags"] = f'{{"team": "t{number % 5}"}}' if number % 2 else ""
            file.write(encode(row[column] for column in COLUMNS))


def main() -> None:
    """Print every figure beside its target."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        many = Path(folder) / "many.csv"
        write_many(many, count)
        start = time.process_time()
        report = CostTracker(log_path=many).get_usage_report()
        seconds = time.process_time() - start
        print(
            f"report of {report.total_requests:,} rows: {seconds:.2f} s   target {REPORT_S:g} s for 1,000,000"
        )
        start = time.process_time()
        groups = report.grouped(["tag:team", "model"])
        seconds = time.process_time() - start
        print(
            f"its {len(groups)} groups by a tag and the model: {seconds:.2f} s   target {REPORT_S:g} s more"
        )
        start = time.process_time()
        team = CostTracker(log_path=many).get_usage_report(datetime(2026, 10, 1), tags={"team": "t1"})
        seconds = time.process_time() - start
        print(f"report of {team.total_requests:,} rows of one tag since a day: {seconds:.2f} s")
        print(f"memory at most: {peak_mb():.0f} MB   target {REPORT_MB:g} MB")
        compare_with_database(Path(folder))
        print(f"append a row: {append_us(Path(folder) / 'one.csv'):.1f} us   target {APPEND_US:g} us")
        rows = rows_of_processes(Path(folder) / "shared.csv")
        print(f"{PROCESSES} processes: {sum(rows.values()):,} rows   target {PROCESSES * ROWS_EACH:,}")


if __name__ == "__main__":
    main()
