"""Conversations, tools, structured output and attachments."""

from decimal import Decimal
from typing import Any, Dict, List, Optional

from pydantic import BaseModel

from llm_orchestrator import (
    Conversation,
    LLMOrchestrator,
    Message,
    ToolCall,
    file_part,
    image_part,
)


class City(BaseModel):
    name: str
    population: int


def temperature(city: str) -> str:
    """Look up how warm it is in a city."""
    return f"21 degrees in {city}"


def talk(orchestrator: LLMOrchestrator) -> Optional[Decimal]:
    conversation: Conversation = orchestrator.start_conversation("Be brief.", tools=[temperature])
    print(conversation.run("How warm is it in Rome?").content)
    response = conversation.send("How warm is it in Rome?")
    while response.tool_calls:
        results: List[Message] = [_result(call) for call in response.tool_calls]
        response = conversation.send(results)
    for chunk in conversation.stream("And in Oslo?"):
        print(chunk)
    again = Conversation.from_json(conversation.to_json(), orchestrator)
    return again.cost


def _result(call: ToolCall) -> Message:
    arguments: Optional[Dict[str, Any]] = call.arguments
    if not arguments:
        return call.result("What city?")
    return call.run([temperature], timeout=5)


def city(orchestrator: LLMOrchestrator) -> object:
    parts = [{"type": "text", "text": "Which city?"}, image_part("city.png"), file_part("guide.pdf")]
    return orchestrator.send_request([{"role": "user", "content": parts}], response_format=City).parsed
