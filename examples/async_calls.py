"""Several questions at once, with async calls.

python examples/async_calls.py [config.yaml]
"""

import asyncio
import sys
from pathlib import Path

from llm_orchestrator import LLMOrchestrator

CONFIG = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("config.local.yaml")
QUESTIONS = [
    "What is the capital of France?",
    "What is the capital of Japan?",
    "What is the capital of Peru?",
]


async def main() -> None:
    async with LLMOrchestrator(CONFIG) as orchestrator:
        calls = [orchestrator.asend_request(question, max_tokens=30) for question in QUESTIONS]
        for question, response in zip(QUESTIONS, await asyncio.gather(*calls)):
            print(f"{question}\n  {response.content}")

        async with orchestrator.asend_streaming_request("Count to five.", max_tokens=30) as stream:
            async for chunk in stream:
                print(chunk, end="", flush=True)
        print()


asyncio.run(main())
