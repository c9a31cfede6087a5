"""How much the model thinks, what it shows of that, what it costs, and how it goes on.

python examples/reasoning.py [config.yaml]
"""

import sys
from pathlib import Path

from llm_orchestrator import LLMOrchestrator, ReasoningDelta, TextDelta, format_cost

CONFIG = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("config.local.yaml")

with LLMOrchestrator(CONFIG) as orchestrator:
    messages = [{"role": "user", "content": "I have 17 sheep, all but 9 run away. How many are left?"}]
    with orchestrator.send_streaming_request(messages, reasoning_effort="low", max_tokens=2000) as stream:
        for event in stream.events():
            if isinstance(event, ReasoningDelta):
                print(f"[{event.text}]", end="", flush=True)
            elif isinstance(event, TextDelta):
                print(event.text, end="", flush=True)
    response = stream.final_response()
    usage = response.usage
    print(f"\n{usage.completion_tokens} tokens written, {usage.reasoning_tokens} of them to think", end="")
    print(f", {format_cost(response.cost)}")
    for warning in response.warnings:
        print(f"note: {warning}")

    # The message holds what the provider wants back of its thoughts, signed or encrypted.
    messages += [response.message, {"role": "user", "content": "And if two come back?"}]
    print(orchestrator.send_request(messages, reasoning_effort="none", max_tokens=200).content)
