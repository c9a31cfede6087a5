"""Ask one question, stream one answer, see what it cost.

    python examples/quickstart.py [config.yaml]

Without an argument it runs on the local model; any other configuration runs the same program on another
provider.
"""

import sys
from pathlib import Path

from llm_orchestrator import LLMOrchestrator, format_cost

CONFIG = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("config.local.yaml")

with LLMOrchestrator(CONFIG) as orchestrator:
    response = orchestrator.send_request([{"role": "user", "content": "What is 2+2?"}], max_tokens=60)
    print(response.content)
    print(response.tokens_used, format_cost(response.cost))

    for chunk in orchestrator.send_streaming_request("Count to ten", max_tokens=60):
        print(chunk, end="", flush=True)

    print(f"\nThis session has cost {format_cost(orchestrator.get_session_cost())}.")
