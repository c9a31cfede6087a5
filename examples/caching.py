"""A long prompt that is asked again and again: what the provider's cache saves, in dollars.

python examples/caching.py [config.yaml]
"""

import sys
from decimal import Decimal
from pathlib import Path
from typing import Optional

from llm_orchestrator import LLMOrchestrator, LLMResponse, format_cost

CONFIG = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("config.local.yaml")
# Providers cache prompts from 1,024 to 4,096 tokens on; the local model reads no more than 2,048.
ROOMS = 500 if len(sys.argv) > 1 else 60
HANDBOOK = "\n".join(f"Room {number} is cleaned at {7 + number % 12} o'clock." for number in range(1, ROOMS))
QUESTIONS = ["When is room 12 cleaned?", "And room 30?", "Which of the two comes first?"]


def uncached_cost(response: LLMResponse) -> Optional[Decimal]:
    """What the call would have cost, had every token of its prompt been read anew."""
    details = response.cost_details
    if details.total is None or "in" not in details.rates:
        return details.total
    prompt = sum(count for name, count in details.counts.items() if name == "in" or name.startswith("cache"))
    return prompt * details.rates["in"] / 1_000_000 + details.output


with LLMOrchestrator(CONFIG) as orchestrator:
    messages = [{"role": "system", "content": f"Answer by this list alone.\n{HANDBOOK}"}]
    paid, uncached = Decimal(0), Decimal(0)
    for question in QUESTIONS:
        messages.append({"role": "user", "content": question})
        response = orchestrator.send_request(messages, cache="auto", max_tokens=40)
        messages.append(response.message)
        usage = response.usage
        print(f"{usage.prompt_tokens} tokens read, {usage.cached_tokens or 0} of them from the cache", end="")
        print(f": {format_cost(response.cost)}")
        paid += response.cost or 0
        uncached += uncached_cost(response) or 0
    print(f"Paid {format_cost(paid)}, without the cache {format_cost(uncached)}: ", end="")
    print(f"{format_cost(uncached - paid)} saved.")
