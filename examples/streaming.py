"""Streams: text as it comes, typed events, leaving early, and what a broken stream leaves you.

python examples/streaming.py [config.yaml]
"""

import sys
from pathlib import Path

from llm_orchestrator import LLMOrchestrator, ReasoningDelta, StreamInterruptedError, TextDelta

CONFIG = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("config.local.yaml")

with LLMOrchestrator(CONFIG) as orchestrator:
    # Text, and the whole answer at the end.
    with orchestrator.send_streaming_request("Write two lines about rain.", max_tokens=60) as stream:
        for chunk in stream:
            print(chunk, end="", flush=True)
        response = stream.final_response()
    print(f"\n[{response.finish_reason.value}, {response.usage.completion_tokens} tokens]")

    # Events tell text, reasoning and pieces of tool calls apart.
    with orchestrator.send_streaming_request("Name three colours.", max_tokens=30) as stream:
        for event in stream.events():
            if isinstance(event, TextDelta):
                print(event.text, end="", flush=True)
            elif isinstance(event, ReasoningDelta):
                print(f"(thinking: {event.text})", end="", flush=True)
    print()

    # Leaving early releases the connection; the ledger has the call, marked as interrupted.
    with orchestrator.send_streaming_request("Count to one thousand.", max_tokens=200) as stream:
        for _ in stream:
            if len(stream.text) > 40:
                break
    print(f"[left after {len(stream.text)} characters]")

    # An answer that breaks off is an error that keeps what came, never an answer.
    try:
        print(orchestrator.send_streaming_request("Say goodbye.", max_tokens=20).final_response().content)
    except StreamInterruptedError as error:
        print(f"[broke off after {error.partial_text!r}]")
