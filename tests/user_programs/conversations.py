"""Conversations, tools, structured output and attachments."""

from decimal import Decimal
from typing import Any, Dict, List, Optional

from pydantic import BaseModel

from llm_orchestrator import (
    CallEvent,
    Conversation,
    LLMOrchestrator,
    Message,
    ToolCall,
    ToolEvent,
    file_part,
    image_part,
)
from llm_orchestrator.mcp import MCPTools


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


def clock(orchestrator: LLMOrchestrator) -> str:
    tools = MCPTools(["uvx", "mcp-server-time"], only=["get_current_time"], timeout=30)
    with orchestrator.start_conversation(tools=[temperature, tools]) as conversation:
        kept: Conversation = conversation
        return kept.run("How late is it in Rome?", tool_timeout=5).content


async def clocks(orchestrator: LLMOrchestrator) -> str:
    async with MCPTools("https://example.com/mcp", headers={"Authorization": "Bearer x"}) as tools:
        names: List[str] = [tool.name for tool in tools.tools]
        response = await orchestrator.asend_request("How late is it?", tools=[tools, temperature])
        return response.content + ", ".join(names)


class Watch:
    def __call__(self, event: CallEvent) -> None:
        print(event.status)

    def on_tool(self, event: ToolEvent) -> None:
        print(event.tool_call.name, event.seconds, event.error)


def watched() -> LLMOrchestrator:
    return LLMOrchestrator(hooks=[Watch()])


def _result(call: ToolCall) -> Message:
    arguments: Optional[Dict[str, Any]] = call.arguments
    if not arguments:
        return call.result("What city?")
    return call.run([temperature], timeout=5)


def city(orchestrator: LLMOrchestrator) -> object:
    parts = [{"type": "text", "text": "Which city?"}, image_part("city.png"), file_part("guide.pdf")]
    return orchestrator.send_request([{"role": "user", "content": parts}], response_format=City).parsed
