"""A model that uses tools: ten lines make the loop, and they are yours to change.

    python examples/tool_loop.py [config.yaml]

A small model, such as the local one, may answer by itself or call a tool wrongly; the loop copes with both.
"""

import sys
from pathlib import Path

from llm_orchestrator import Conversation, LLMOrchestrator, Message, ToolCall

CONFIG = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("config.local.yaml")
MOST_TURNS = 5  # each turn costs, and a model may never stop


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


TOOLS = {"add": add, "population": population}


def ask(conversation: Conversation, question: str) -> str:
    response = conversation.send(question)
    for _ in range(MOST_TURNS):
        if not response.tool_calls:
            break
        response = conversation.send([result_of(call) for call in response.tool_calls])
    return response.content


def result_of(call: ToolCall) -> Message:
    try:
        result = call.result(TOOLS[call.name](**call.arguments))
    except Exception as error:  # whatever went wrong, the model is told, and may mend it
        result = call.result(f"{type(error).__name__}: {error}")
    print(f"{call.name}({call.raw_arguments}) -> {result.text}")
    return result


with LLMOrchestrator(CONFIG) as orchestrator:
    talk = orchestrator.start_conversation(
        "Use your tools.", tools=list(TOOLS.values()), temperature=0, max_tokens=200
    )
    print(ask(talk, "How many people live in Rome and Oslo together?"))
    print(f"{len(talk.messages)} messages, {talk.usage.total_tokens} tokens")
