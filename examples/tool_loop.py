"""A model that uses tools: `run` makes the calls that it asks for, and ends with its answer.

    python examples/tool_loop.py [config.yaml]

A small model, such as the local one, may answer by itself or call a tool wrongly; the loop copes with both.
"""

import sys
from pathlib import Path

from llm_orchestrator import Conversation, LLMOrchestrator, ToolCall, TooManyTurnsError

CONFIG = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("config.local.yaml")


def add(a: float, b: float) -> float:
    """Add two numbers.

    Args:
        a: The first number.
        b: The second number.
    """
    return a + b


def population(city: str) -> int:
    """Tell how many people live in a city."""
    return {"Rome": 2_750_000, "Oslo": 720_000}[city]


def decide(call: ToolCall) -> bool:
    """What is asked before each call; False refuses it."""
    return call.name in ("add", "population")


def show(talk: Conversation) -> None:
    results = {message.tool_call_id: message.text for message in talk.messages if message.role == "tool"}
    for message in talk.messages:
        for call in message.tool_calls:
            print(f"{call.name}({call.raw_arguments}) -> {results[call.id]}")


with LLMOrchestrator(CONFIG) as orchestrator:
    talk = orchestrator.start_conversation(
        "Use your tools.", tools=[add, population], temperature=0, max_tokens=200
    )
    try:
        answer = talk.run("How many people live in Rome and Oslo together?", max_turns=5, before_tool=decide)
        print(answer.content)
    except TooManyTurnsError as error:  # each turn costs, and a model may never stop
        print(error)
    show(talk)
    print(f"{len(talk.messages)} messages, {talk.usage.total_tokens} tokens")
