"""Compare the library with the vendors' SDKs: warm calls, stream chunks, many calls at once, start, memory.

    python benchmarks/bench_speed.py [--json FILE] [--check] [SECTION ...]

All times are CPU time, as a ratio within one run; a ratio of 0.5 is half the SDK's CPU. With ``--check`` the
exit code is 1 when a target is missed by more than 15 percent.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any, Awaitable, Callable, Dict, List

from contenders import (
    DIALECTS,
    KEY,
    MODEL,
    QUESTION,
    TITLES,
    configuration,
    generic_call,
    http_alone,
    library,
    sdk,
)
from measure import (
    Figure,
    as_json,
    canned_server,
    compared,
    in_turns,
    on_loop,
    printed_by,
    programs_in_turns,
    table,
)

from llm_orchestrator import LLMOrchestrator

TOLERANCE = 0.15
#: CPU of ours as a ratio to the SDK's typed call; async may be so much higher.
WHOLE_TARGETS = {"chat": 0.65, "responses": 0.60, "anthropic": 0.85, "gemini": 0.50}
CHUNK_TARGETS = {"chat": 0.15, "responses": 0.20, "anthropic": 0.55, "gemini": 0.12}
ASYNC_ALLOWANCE = 0.1
CHUNKS = 500
IN_FLIGHT, LATENCY, MANY_CALLS = 500, 0.02, 1500


def calls(folder: Path) -> List[Figure]:
    """Warm whole calls and stream chunks, sync and async."""
    figures: List[Figure] = []
    loop = asyncio.new_event_loop()
    with canned_server() as url, LLMOrchestrator(configuration(url, folder / "calls.csv")) as orchestrator:
        for dialect in DIALECTS:
            ours, theirs, floor = library(orchestrator, dialect), sdk(url, dialect), http_alone(url)
            _print_floor(dialect, theirs.whole, generic_call(url, dialect))
            for way in ("whole", "awhole", "stream", "astream"):
                contenders: Dict[str, Callable[[], Any]] = {
                    name: getattr(contender, way)
                    for name, contender in (("ours", ours), ("theirs", theirs), ("floor", floor))
                }
                if way.startswith("a"):
                    contenders = {name: on_loop(loop, call) for name, call in contenders.items()}
                figures.append(_call_figure(dialect, way, contenders))
        loop.run_until_complete(orchestrator.aclose())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    return sorted(figures, key=lambda figure: figure.what)


def _print_floor(dialect: str, typed: Callable[[], Any], generic: Callable[[], Any]) -> None:
    """What is left to win: the SDK's generic call carries all of the library's requests but Gemini's."""
    measured = in_turns({"typed": typed, "generic": generic}, turns=9, calls=20)
    floor, whole = (min(measured[name]) for name in ("generic", "typed"))
    print(
        f"  {TITLES[dialect]}, one call, sync: generic call {floor:.0f} us, {floor / whole:.2f} of the typed"
    )


def _call_figure(dialect: str, way: str, contenders: Dict[str, Callable[[], Any]]) -> Figure:
    is_async, is_stream = way.startswith("a"), way.endswith("stream")
    measured = in_turns(contenders, turns=15, calls=2 if is_stream else 20)
    share = CHUNKS if is_stream else 1
    target = (CHUNK_TARGETS if is_stream else WHOLE_TARGETS)[dialect] + (ASYNC_ALLOWANCE if is_async else 0)
    ours, theirs, floor = ([figure / share for figure in measured[name]] for name in contenders)
    kind = "one chunk" if is_stream else "one call"
    print(f"  {TITLES[dialect]}, {kind}, {'async' if is_async else 'sync'}: HTTP alone {min(floor):.0f} us")
    return compared(
        f"{kind}, {'async' if is_async else 'sync'}", TITLES[dialect], ours, theirs, target=round(target, 2)
    )


def concurrency(folder: Path) -> List[Figure]:
    """Requests a second with 500 async calls in flight, the server taking 20 ms for each."""
    with canned_server(LATENCY) as url:
        return asyncio.run(_races(url, folder / "many.csv"))


async def _races(url: str, ledger: Path) -> List[Figure]:
    figures = []
    async with LLMOrchestrator(configuration(url, ledger)) as orchestrator:
        # The SDKs' clients are kept to the end: dropped earlier, they would close during a measurement.
        pairs = [(library(orchestrator, dialect), sdk(url, dialect)) for dialect in DIALECTS]
        for dialect, (ours, theirs) in zip(DIALECTS, pairs):
            figures.append(await _race(dialect, ours.awhole, theirs.awhole))
    return figures


async def _race(
    dialect: str, ours: Callable[[], Awaitable[Any]], theirs: Callable[[], Awaitable[Any]]
) -> Figure:
    rates: Dict[str, List[float]] = {"ours": [], "theirs": []}
    for turn in range(4):
        for name, call in (("ours", ours), ("theirs", theirs)):
            rate = await _rate(call, IN_FLIGHT if turn == 0 else MANY_CALLS)
            if turn:  # the first one opens the connections
                rates[name].append(rate)
    return compared(
        "requests a second, 500 in flight",
        TITLES[dialect],
        rates["ours"],
        rates["theirs"],
        target=4,
        unit="/s",
        more_is_better=True,
    )


async def _rate(call: Callable[[], Awaitable[Any]], number: int) -> float:
    places = asyncio.Semaphore(IN_FLIGHT)

    async def one() -> None:
        async with places:
            await call()

    before = time.perf_counter()
    await asyncio.gather(*[one() for _ in range(number)])
    return number / (time.perf_counter() - before)


FIRST_ANSWERS = {
    "chat": (
        "import openai; openai.OpenAI(api_key={key!r}, base_url='{url}/v1', max_retries=0).chat.completions"
        ".create(model={model!r}, messages=[{{'role': 'user', 'content': {question!r}}}])"
    ),
    "responses": (
        "import openai; openai.OpenAI(api_key={key!r}, base_url='{url}/v1', max_retries=0).responses"
        ".create(model={model!r}, input={question!r})"
    ),
    "anthropic": (
        "import anthropic; anthropic.Anthropic(api_key={key!r}, base_url={url!r}, max_retries=0).messages"
        ".create(model={model!r}, max_tokens=600, messages=[{{'role': 'user', 'content': {question!r}}}])"
    ),
    "gemini": (
        "from google import genai\n"
        "client = genai.Client(api_key={key!r}, http_options={{'base_url': {url!r}}})\n"
        "client.models.generate_content(model={model!r}, contents={question!r})"
    ),
}


def start(folder: Path) -> List[Figure]:
    """Imports, construction, and a fresh process to its first answer."""
    with canned_server() as url:
        config = configuration(url, folder / "start.csv")
        file = folder / "config.json"  # JSON is YAML, too
        file.write_text(json.dumps(config))
        programs = {
            "nothing": "pass",
            "pydantic": "import pydantic",
            "pydantic and yaml": "from pydantic import BaseModel; import yaml",
            "import": "import llm_orchestrator",
            "construct": f"from llm_orchestrator import LLMOrchestrator; LLMOrchestrator({str(file)!r})",
        }
        for dialect, program in FIRST_ANSWERS.items():
            programs[f"{dialect} theirs"] = program.format(key=KEY, url=url, model=MODEL, question=QUESTION)
            programs[f"{dialect} ours"] = (
                f"from llm_orchestrator import LLMOrchestrator; LLMOrchestrator({str(file)!r})"
                f".for_provider({dialect!r}, {MODEL!r}).send_request({QUESTION!r}, max_tokens=600)"
            )
        measured = programs_in_turns(programs, turns=5)
    nothing = min(measured["nothing"])
    net = {name: [max(figure - nothing, 1.0) for figure in figures] for name, figures in measured.items()}
    figures = [
        compared("import", "import pydantic", net["import"], net["pydantic"], target=0.5, unit="ms"),
        compared(
            "construct from YAML",
            "pydantic and yaml",
            net["construct"],
            net["pydantic and yaml"],
            target=1.2,
            unit="ms",
        ),
    ]
    for dialect in DIALECTS:
        ours, theirs = measured[f"{dialect} ours"], measured[f"{dialect} theirs"]
        figures.append(
            compared("process to first answer", TITLES[dialect], ours, theirs, target=1.03, unit="ms")
        )
    return figures


#: Prints the milliseconds of the first call, after what the place before it says.
FIRST_CALL = """
import time
from llm_orchestrator import LLMOrchestrator
ours = LLMOrchestrator({file!r}).for_provider({dialect!r}, {model!r})
{before}
started = time.perf_counter()
ours.send_request({question!r}, max_tokens=600)
print((time.perf_counter() - started) * 1000)
"""


def first_call(folder: Path) -> List[Figure]:
    """The first call of a process, by the clock, with and without ``warm_up`` before it."""
    figures = []
    with canned_server() as url:
        file = folder / "config.json"
        file.write_text(json.dumps(configuration(url, folder / "first.csv")))
        for dialect in DIALECTS:
            asked = {"file": str(file), "dialect": dialect, "model": MODEL, "question": QUESTION}
            warm, cold = (
                [float(printed_by(FIRST_CALL.format(before=before, **asked))) for _ in range(4)]
                for before in ("ours.warm_up().join()", "")
            )
            figures.append(
                compared("first call after warm_up", TITLES[dialect], warm, cold, target=None, unit="ms")
            )
    return figures


def memory(folder: Path) -> List[Figure]:
    """Memory after 2,000 and after 10,000 calls."""
    with canned_server() as url, LLMOrchestrator(configuration(url, folder / "memory.csv")) as orchestrator:
        call = library(orchestrator, "chat").whole
        sizes = []
        for number in (2000, 8000):
            for _ in range(number):
                call()
            gc.collect()
            if not tracemalloc.is_tracing():
                tracemalloc.start()
                for _ in range(100):
                    call()
            sizes.append(tracemalloc.get_traced_memory()[0] / 1000)
        tracemalloc.stop()
    grown = sizes[1] - sizes[0]
    return [Figure("memory grown over 8,000 calls", "after 2,000", grown, sizes[0], grown, 0, 100, "kB")]


SECTIONS = {
    "calls": calls,
    "concurrency": concurrency,
    "start": start,
    "first call": first_call,
    "memory": memory,
}


def main() -> int:
    """Read the command line, measure, and print the table."""
    parser = argparse.ArgumentParser(description="Compare the library with the vendors' SDKs.")
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], help="default: all of them")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--check", action="store_true", help="fail when a target is missed by over 15 %%")
    options = parser.parse_args()
    figures: List[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.sections or SECTIONS:
            print(name, flush=True)
            figures += SECTIONS[name](Path(folder))
    print(table(figures))
    if options.json:
        options.json.write_text(as_json(figures) + "\n")
    missed = [figure for figure in figures if figure.is_missed(TOLERANCE)]
    if options.check and missed:
        print(f"{len(missed)} targets are missed by more than {TOLERANCE:.0%}.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
