"""Ledgers for the tests of the page: made-up rows of several models, days, caches, failures and fallbacks."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, Iterator

from llm_orchestrator.usage.columns import COLUMNS
from llm_orchestrator.usage.ledger_csv import encode

#: Name, provider, rates for input, cache read, cache write and output, usual seconds, share of the calls.
MODELS = (
    ("gpt-6-luna", "openai", "0.1", "0.01", "0.125", "0.5", 0.8, 40),
    ("gpt-6.1-terra", "openai", "0.6", "0.06", "0.75", "3", 1.6, 12),
    ("claude-haiku-5-5", "anthropic", "1", "0.1", "1.25", "5", 1.1, 25),
    ("claude-sonnet-5-5", "anthropic", "3", "0.3", "3.75", "15", 2.4, 6),
    ("gemini-3.8-flash", "gemini", "0.3", "0.03", "0", "2.5", 0.9, 17),
)
START = datetime(2026, 11, 1, 6, tzinfo=timezone.utc)


def row(**cells: Any) -> Dict[str, str]:
    """A row of one whole call, with other cells."""
    usual = {
        "timestamp": START.isoformat(),
        "provider": "p",
        "model": "m",
        "session_id": "s",
        "call_id": "c",
        "attempt": "1",
        "final": "true",
        "usage_status": "reported",
        "price_status": "priced",
        "estimated": "false",
        "status": "ok",
        "schema": "v2",
    }
    return {**dict.fromkeys(COLUMNS, ""), **usual, **{name: str(value) for name, value in cells.items()}}


def write(path: Path, rows: Iterator[Dict[str, str]]) -> Path:
    """Write rows as a ledger."""
    with open(path, "wb") as file:
        file.write(encode(COLUMNS))
        for cells in rows:
            file.write(encode(cells[column] for column in COLUMNS))
    return path


def made_up(calls: int, days: float = 21) -> Iterator[Dict[str, str]]:
    """Rows like those of an application, the same every time."""
    chance = random.Random(7)
    weights = [model[-1] for model in MODELS]
    for number in range(calls):
        moment = START + timedelta(days=days * number / calls)
        yield from _call(chance, number, moment, chance.choices(MODELS, weights)[0])


def _call(chance: random.Random, number: int, moment: datetime, model: Any) -> Iterator[Dict[str, str]]:
    name, provider, *rates, usual, _ = model
    whole = row(
        timestamp=moment.isoformat(timespec="microseconds"),
        provider=provider,
        model=name,
        requested_model=name,
        session_id=f"session-{number // 40}",
        call_id=f"{number:032x}",
        tags=f'{{"team": "{chance.choice(("docs", "search", "support"))}"}}',
        streamed="true",
        usage_raw='{"input_tokens": 12}',
        **_usage(chance, [Decimal(rate) for rate in rates]),
        **_times(chance, usual),
    )
    if chance.random() < 0.03:
        failed = dict.fromkeys(("prompt_tokens", "completion_tokens", "cached_tokens", "counts", "rates"), "")
        status = "error" if chance.random() < 0.8 else "interrupted"
        yield {**whole, **failed, "cost": "0", "final": "false", "status": status, "time_to_first_token": ""}
        whole["attempt"] = "2"
        other = next((other[0] for other in MODELS[1::2] if other[1] == provider), name)
        if chance.random() < 0.35:
            whole.update(model=other, requested_model=other)
    yield whole


def _usage(chance: random.Random, rates: Any) -> Dict[str, Any]:
    new, out = int(chance.lognormvariate(6, 1)) + 1, int(chance.lognormvariate(5.3, 0.9)) + 1
    cached = int(new * chance.uniform(1, 4)) if chance.random() < 0.45 else 0
    written = new // 5 if rates[2] and chance.random() < 0.2 else 0
    counts = dict(zip(("in", "cache_read", "cache_write", "out"), (new, cached, written, out)))
    cost = sum((count * rate for count, rate in zip(counts.values(), rates)), Decimal(0)) / 1_000_000
    return {
        "prompt_tokens": new + cached + written,
        "completion_tokens": out,
        "total_tokens": new + cached + written + out,
        "cached_tokens": cached,
        "cache_write_tokens": written,
        "reasoning_tokens": out // 3 if chance.random() < 0.4 else 0,
        "cost": format(cost, "f"),
        "counts": " ".join(f"{name}={count}" for name, count in counts.items()),
        "rates": " ".join(f"{name}={rate}" for name, rate in zip(counts, rates)),
        "multiplier": "1",
        "discount": "1",
    }


def _times(chance: random.Random, usual: float) -> Dict[str, str]:
    latency = chance.lognormvariate(math.log(2 * usual), 0.55)
    return {
        "latency": f"{latency:.6f}",
        "time_to_first_token": f"{latency * chance.uniform(0.15, 0.4):.6f}",
    }
