"""What the library adds: to the start of a program, and to one warm call.

    python benchmarks/bench_overhead.py

Start-up is compared with the start-up of what the library stands on, in fresh processes. A warm call is
compared with the SDK's own generic call against the same canned server, ledger and cost tracking on. All
figures are CPU time; the contenders take turns, and medians (for calls the lower quartile) are shown, because
other work on the machine only ever adds to a figure.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

PROGRAM_ROUNDS = 7
CALL_ROUNDS, CALLS = 40, 20
HERE = Path(__file__).resolve().parent
BODY = {"model": "canned", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100}

CONFIG = """
active_provider: openai
active_model: canned
providers:
  openai: {api_key: sk-benchmark-key, api: chat, fallback_models: [other]}
  anthropic: {api_key: sk-benchmark-key}
  gemini: {api_key: sk-benchmark-key}
cost_tracking: {enabled: true, log_path: %s}
"""


def median_cpu_of_programs(programs: Dict[str, str], rounds: int = PROGRAM_ROUNDS) -> Dict[str, float]:
    """CPU milliseconds of fresh interpreters, each program's median less that of an empty one."""
    # Programs are compiled once, when they are installed: a start that compiles again would measure that
    # instead.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for program in programs.values():
        subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    figures: Dict[str, List[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            before = os.times()
            subprocess.run([sys.executable, "-c", program], check=True, env=environment)
            after = os.times()
            spent = (
                after.children_user + after.children_system - before.children_user - before.children_system
            )
            figures[name].append(spent * 1000)
    empty = statistics.median(figures.pop("nothing"))
    return {name: statistics.median(times) - empty for name, times in figures.items()}


def start_up() -> None:
    """Print what importing and constructing costs."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(CONFIG % (Path(folder) / "costs.csv").as_posix())
        figures = median_cpu_of_programs(
            {
                "nothing": "pass",
                "import pydantic": "import pydantic",
                "import llm_orchestrator": "import llm_orchestrator",
                "pydantic and yaml": "from pydantic import BaseModel; import yaml",
                "orchestrator from YAML": (
                    f"from llm_orchestrator import LLMOrchestrator; LLMOrchestrator({str(config)!r})"
                ),
            }
        )
    for name, milliseconds in figures.items():
        print(f"  {name:24} {milliseconds:8.1f} ms")
    ratio = figures["import llm_orchestrator"] / figures["import pydantic"]
    print(f"  import llm_orchestrator / import pydantic:    {ratio:.2f}   (target 0.50)")
    ratio = figures["orchestrator from YAML"] / figures["pydantic and yaml"]
    print(f"  orchestrator from YAML / pydantic and yaml:   {ratio:.2f}   (target 1.30)")


def generic_calls(url: str) -> Dict[str, Callable[[], Any]]:
    """The SDKs' generic calls, with the body read, as the library makes them."""
    import anthropic
    import openai

    from llm_orchestrator.providers.http.library import http_library_of

    openai_client: Any = openai.OpenAI(api_key="sk-benchmark-key", base_url=f"{url}/v1", max_retries=0)
    anthropic_client: Any = anthropic.Anthropic(api_key="sk-benchmark-key", base_url=url, max_retries=0)

    def call(client: Any, sdk: Any, path: str) -> Callable[[], Any]:
        response = http_library_of(sdk).Response
        return lambda: client.post(path, body=BODY, cast_to=response, stream=True).read()

    return {
        "openai": call(openai_client, openai, "/chat/completions"),
        "anthropic": call(anthropic_client, anthropic, "/v1/messages"),
    }


def warm_calls() -> None:
    """Print what a call through the library costs beside the SDK's generic call."""
    from llm_orchestrator import LLMOrchestrator

    server = subprocess.Popen(
        [sys.executable, str(HERE / "canned_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None and server.stdin is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "active_provider": "openai",
            "active_model": "canned",
            "providers": {
                "openai": {"api_key": "sk-benchmark-key", "base_url": f"{url}/v1", "api": "chat"},
                "anthropic": {"api_key": "sk-benchmark-key", "base_url": url},
            },
            "cost_tracking": {"log_path": str(Path(folder) / "costs.csv")},
        }
        with LLMOrchestrator(config) as orchestrator:
            for name, generic in generic_calls(url).items():
                sibling = orchestrator.for_provider(name, "canned")
                compare(name, generic, lambda: sibling.send_request("Hi", max_tokens=100))  # noqa: B023
    server.stdin.close()
    server.wait()


def compare(name: str, generic: Callable[[], Any], ours: Callable[[], Any]) -> None:
    """Print the CPU of both contenders, measured in many short turns, as other work comes and goes."""
    figures: Dict[Callable[[], Any], List[float]] = {generic: [], ours: []}
    for contender in figures:
        for _ in range(20):
            contender()
    for _ in range(CALL_ROUNDS):
        for contender, times in figures.items():
            before = time.process_time()
            for _ in range(CALLS):
                contender()
            times.append((time.process_time() - before) / CALLS * 1e6)
    alone, through = (statistics.quantiles(figures[contender])[0] for contender in (generic, ours))
    print(f"  {name:10} generic call {alone:6.0f} us, through the library {through:6.0f} us: ", end="")
    print(f"{through - alone:+6.0f} us   (target +250 us)")


if __name__ == "__main__":
    print("start-up")
    start_up()
    print("one warm call")
    warm_calls()
