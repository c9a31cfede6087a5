"""Python functions as tools: the model asks for calls, the program makes them, and the loop is ten lines.

python examples/tools.py [config.yaml]
"""

import sys
from pathlib import Path

from llm_orchestrator import LLMOrchestrator

CONFIG = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("config.local.yaml")


def temperature(city: str) -> str:
    """Tell how warm it is in a city right now.

    Args:
        city: Name of the city, in English.
    """
    return f"It is 21 degrees in {city}."


TOOLS = {"temperature": temperature}
MOST_ROUNDS = 5


def answer(orchestrator: LLMOrchestrator, question: str) -> str:
    messages = [{"role": "user", "content": question}]
    for _ in range(MOST_ROUNDS):
        response = orchestrator.send_request(messages, tools=list(TOOLS.values()), max_tokens=200)
        if not response.tool_calls:
            return response.content
        messages.append(response.message)
        for call in response.tool_calls:
            print(f"  {call.name}({call.raw_arguments})")
            try:
                result = TOOLS[call.name](**call.arguments)
            except (KeyError, TypeError) as error:  # the model named no tool of ours, or wrong arguments
                result = f"Error: {error!r}"
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return f"No answer after {MOST_ROUNDS} rounds of tools."


with LLMOrchestrator(CONFIG) as orchestrator:
    print("answer:", answer(orchestrator, "How warm is it in Rome?"))
