"""Streams an answer from a real model on this machine, then shows what it cost and where that is written.

`make demo` runs it. With another configuration as its argument it runs on any provider:
`python examples/demo.py config.yaml`.
"""

import sys
from pathlib import Path

from llm_orchestrator import LLMOrchestrator, format_cost


def main() -> None:
    config = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("config.local.yaml")
    with LLMOrchestrator(config) as orchestrator:
        print(f"{orchestrator.active_model} ({orchestrator.active_provider}) answers:\n")
        question = "Say hello and introduce yourself in one sentence."
        with orchestrator.send_streaming_request(question, temperature=0, max_tokens=80) as stream:
            for text in stream:
                print(text, end="", flush=True)
            response = stream.final_response()

        tokens = response.tokens_used
        print(
            f"\n\ntokens:   {tokens['prompt']} read, {tokens['completion']} written, {tokens['total']} in all"
        )
        print(f"cost:     {format_cost(response.cost)}")
        for number, attempt in enumerate(response.attempts, 1):
            print(f"attempt {number}: {attempt.model}, {attempt.error or 'ok'}, {attempt.latency:.2f} s")
        print(f"ledger:   {Path(orchestrator.config.cost_tracking.log_path).resolve()}")


if __name__ == "__main__":
    main()
