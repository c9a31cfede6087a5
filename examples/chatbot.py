"""A chatbot in a loop: the conversation is a list of messages that grows by a turn of each side.

    python examples/chatbot.py [config.yaml]

Type a line and press Enter; an empty line, or the end of the input, ends the conversation.
"""

import sys
from pathlib import Path

from llm_orchestrator import LLMOrchestrator, ProviderError

CONFIG = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("config.local.yaml")


def main() -> None:
    messages = [{"role": "system", "content": "You are a friendly assistant. Answer in one sentence."}]
    with LLMOrchestrator(CONFIG) as orchestrator:
        while True:
            try:
                question = input("you: ").strip()
            except EOFError:
                question = ""
            if not question:
                return
            turn = {"role": "user", "content": question}
            print("bot: ", end="", flush=True)
            try:
                with orchestrator.send_streaming_request([*messages, turn], max_tokens=80) as stream:
                    for chunk in stream:
                        print(chunk, end="", flush=True)
                # Both turns are appended only now: a failed answer leaves the conversation as it was.
                messages += [turn, stream.final_response().message]
            except ProviderError as error:
                print(f"[{error}]", end="")
            print()


main()
