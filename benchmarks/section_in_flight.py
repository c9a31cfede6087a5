"""Many async calls at once: calls a second with 500 in flight, and what 10,000 calls over TLS take."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

from bare_client import BareClient
from contenders import DIALECTS, TITLES, configuration, library, sdk
from figures import Figure, compared, single
from measure import HERE, AsyncCall, Measured, at_once, canned_server, printed_by, rate

from llm_orchestrator import LLMOrchestrator

RATE_TARGETS = {"chat": 6.0, "responses": 6.0, "anthropic": 6.0, "gemini": 5.0}
IN_FLIGHT, LATENCY, TURNS = 500, 0.02, 3
#: Calls that count in one turn: those of the library take about a sixth of the time.
CALLS = {"ours": 2000, "theirs": 600}

MANY_CALLS, LONG_LATENCY = 10_000, 0.2
#: How long they take if nothing but the latency does.
LIMIT_SECONDS = MANY_CALLS / IN_FLIGHT * LONG_LATENCY
SECONDS_TARGET, MEMORY_TARGET = 1.8 * LIMIT_SECONDS, 120.0
HERE_CONTENDERS = ("bare", "ours", "sdk", "http alone")
#: Contenders with environments of their own, which ``make bench-others`` makes.
OTHERS = {
    "sdk over aiohttp": ".venvs/bench-openai",
    "litellm": ".venvs/bench-litellm",
    "pydantic-ai": ".venvs/bench-pydantic-ai-slim",
}


def in_flight(folder: Path) -> List[Figure]:
    """Calls a second with 500 in flight, the server taking 20 ms for each; and the CPU time of one of them.

    The rate goes by the clock, so it needs a machine that has two cores to spare; the CPU time does not.
    """
    with canned_server(latency=LATENCY) as url:
        return asyncio.run(_races(url, folder / "in_flight.csv"))


async def _races(url: str, ledger: Path) -> List[Figure]:
    bare = BareClient(url)
    await at_once(bare.call, IN_FLIGHT, IN_FLIGHT)
    ceiling, _ = await rate(bare.call, 20 * IN_FLIGHT, IN_FLIGHT)
    print(f"  the server's own limit, by a client that reads nothing: {ceiling:,.0f} calls a second")
    figures: List[Figure] = []
    async with LLMOrchestrator(configuration(url, ledger)) as orchestrator:
        # The SDKs' clients are kept to the end: dropped earlier, they would close during a measurement.
        pairs = [(library(orchestrator, dialect), sdk(url, dialect)) for dialect in DIALECTS]
        for dialect, (ours, theirs) in zip(DIALECTS, pairs):
            figures += await _race(dialect, {"ours": ours.awhole, "theirs": theirs.awhole})
        for _, theirs in pairs:
            if theirs.aclose is not None:
                await theirs.aclose()
    return sorted(figures, key=lambda figure: figure.what)


async def _race(dialect: str, contenders: Dict[str, AsyncCall]) -> List[Figure]:
    rates: Measured = {name: [] for name in contenders}
    cpu: Measured = {name: [] for name in contenders}
    for call in contenders.values():
        await at_once(call, IN_FLIGHT, IN_FLIGHT)  # opens the connections
    for _ in range(TURNS):
        for name, call in contenders.items():
            a_second, of_a_call = await rate(call, CALLS[name], IN_FLIGHT)
            rates[name].append(a_second)
            cpu[name].append(of_a_call)
    who, target = TITLES[dialect], RATE_TARGETS[dialect]
    what = f"calls a second, {IN_FLIGHT} in flight"
    return [
        compared(what, who, rates, target=target, unit="/s", more_is_better=True, is_cell=True),
        compared(f"one call, {IN_FLIGHT} in flight", who, cpu, target=None),
    ]


def many_calls(_folder: Path) -> List[Figure]:
    """10,000 calls over TLS, 500 in flight, 200 ms each, and the memory they need; each contender alone."""
    print(f"  the latency alone takes {LIMIT_SECONDS:g} s", flush=True)
    with canned_server(latency=LONG_LATENCY, tls=True) as url:
        results = {name: _many_calls(name, sys.executable, url) for name in HERE_CONTENDERS}
        for name, folder in OTHERS.items():
            python = HERE.parent / folder / "bin" / "python"
            if python.exists():
                results[name] = _many_calls(name, str(python), url)
            else:
                print(f"  {name}: skipped, `make bench-others` installs it", flush=True)
    ours = results["ours"]
    figures = [single("10,000 calls, TLS", "OpenAI Chat", ours["seconds"], target=SECONDS_TARGET, unit="s")]
    if not math.isnan(ours["memory"]):
        what, who = "process with 500 TLS connections", "OpenAI Chat"
        figures.append(single(what, who, ours["memory"], target=MEMORY_TARGET, unit="MB"))
    return figures


def _many_calls(name: str, python: str, url: str) -> Dict[str, float]:
    command = [python, str(HERE / "many_calls.py"), name, url]
    command += ["--calls", str(MANY_CALLS), "--in-flight", str(IN_FLIGHT)]
    try:
        result: Dict[str, float] = json.loads(printed_by(*command).splitlines()[-1])
    except subprocess.CalledProcessError as error:
        print(f"  {name}: failed, {error.stderr.splitlines()[-1]}", flush=True)
        return {"seconds": math.nan, "cpu": math.nan, "memory": math.nan, "memory of calls": math.nan}
    print(
        f"  {name:16} {result['seconds']:6.1f} s, CPU {result['cpu']:5.1f} s, "
        f"process {result['memory']:4.0f} MB, {result['memory of calls']:4.0f} of them for the calls",
        flush=True,
    )
    return result
