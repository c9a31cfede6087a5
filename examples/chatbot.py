"""A chatbot in a loop: a conversation that grows by a turn of each side, and what it cost.

    python examples/chatbot.py [config.yaml]

Type a line and press Enter; an empty line, or the end of the input, ends the conversation.
"""

import sys
from pathlib import Path

from llm_orchestrator import LLMOrchestrator, ProviderError, format_cost

CONFIG = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("config.local.yaml")


def main() -> None:
    with LLMOrchestrator(CONFIG) as orchestrator:
        conversation = orchestrator.start_conversation(
            "You are a friendly assistant. Answer in one sentence.", max_tokens=80
        )
        while question := read_line():
            print("bot: ", end="", flush=True)
            try:
                with conversation.stream(question) as stream:
                    for chunk in stream:
                        print(chunk, end="", flush=True)
            except ProviderError as error:  # the conversation is as it was; ask again
                print(f"[{error}]", end="")
            print()
        print(f"\n{len(conversation.messages)} messages, {format_cost(conversation.cost)}")


def read_line() -> str:
    try:
        return input("you: ").strip()
    except EOFError:
        return ""


main()
