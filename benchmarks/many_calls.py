"""Many calls at once by one contender, in a process of its own.

    python benchmarks/many_calls.py CONTENDER URL [--calls 10000] [--in-flight 500]

It prints the seconds, the CPU seconds and the memory in MB as JSON. Nothing of the library is imported unless
it is the contender, so that it runs in the environments of others, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict

from bare_client import BareClient
from contenders import KEY, LIMIT, MESSAGES, MODEL, QUESTION, configuration, http_alone, library, sdk
from measure import AsyncCall, at_once, peak_mb


def ours(url: str, folder: Path) -> AsyncCall:
    """The library over connections of its own."""
    from llm_orchestrator import LLMOrchestrator

    return library(LLMOrchestrator(configuration(url, folder / "ledger.csv")), "chat").awhole


def ours_on_sdk(url: str, folder: Path) -> AsyncCall:
    """The library over the SDK's generic call."""
    from llm_orchestrator import LLMOrchestrator

    return library(LLMOrchestrator(configuration(url, folder / "ledger.csv")), "chat-sdk").awhole


def sdk_over_aiohttp(url: str, _folder: Path) -> AsyncCall:
    """OpenAI's SDK with aiohttp below, by its guide."""
    import openai

    client = openai.AsyncOpenAI(
        api_key=KEY, base_url=f"{url}/v1", max_retries=0, http_client=openai.DefaultAioHttpClient()
    )
    create: Any = client.chat.completions.create
    return lambda: create(model=MODEL, messages=MESSAGES, max_tokens=LIMIT)


def litellm(url: str, _folder: Path) -> AsyncCall:
    """The package litellm, by its guide; it would look for a table of prices on the network first."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm as package

    asked = {"api_base": f"{url}/v1", "api_key": KEY, "max_tokens": LIMIT, "num_retries": 0}
    return lambda: package.acompletion(model=f"openai/{MODEL}", messages=MESSAGES, **asked)


def pydantic_ai(url: str, _folder: Path) -> AsyncCall:
    """The package pydantic-ai, by its guide."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=f"{url}/v1", api_key=KEY))
    agent = Agent(model, model_settings={"max_tokens": LIMIT})
    return lambda: agent.run(QUESTION)


CONTENDERS: Dict[str, Callable[[str, Path], AsyncCall]] = {
    "bare": lambda url, _: BareClient(url).call,
    "ours": ours,
    "ours on sdk": ours_on_sdk,
    "sdk": lambda url, _: sdk(url, "chat").awhole,
    "http alone": lambda url, _: http_alone(url).awhole,
    "sdk over aiohttp": sdk_over_aiohttp,
    "litellm": litellm,
    "pydantic-ai": pydantic_ai,
}


async def measured(contender: str, url: str, calls: int, in_flight: int) -> Dict[str, float]:
    """Make the calls, connections included.

    Args:
        contender: One of ``CONTENDERS``.
        url: Where the canned server listens.
        calls: How many.
        in_flight: How many at once.

    Returns:
        What it took.
    """
    with tempfile.TemporaryDirectory() as folder:
        call = CONTENDERS[contender](url, Path(folder))
        before = peak_mb()
        clock, cpu = time.perf_counter(), time.process_time()
        await at_once(call, calls, in_flight)
        return {
            "seconds": time.perf_counter() - clock,
            "cpu": time.process_time() - cpu,
            "memory": peak_mb(),
            "memory of calls": peak_mb() - before,
        }


def main() -> None:
    """Read the command line, measure, and print the figures."""
    parser = argparse.ArgumentParser(description="Many calls at once by one contender.")
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("url", help="where the canned server listens")
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--in-flight", type=int, default=500)
    options = parser.parse_args()
    loop = asyncio.new_event_loop()
    figures = measured(options.contender, options.url, options.calls, options.in_flight)
    print(json.dumps(loop.run_until_complete(figures)))


if __name__ == "__main__":
    main()
