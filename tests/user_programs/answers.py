"""Whole answers and streams, sync and async."""

import asyncio
from decimal import Decimal
from typing import List, Optional

from pydantic import BaseModel

from llm_orchestrator import (
    AsyncLLMStream,
    FinishReason,
    LLMOrchestrator,
    LLMResponse,
    LLMStream,
    OrchestratorError,
    OutputRejected,
    ProviderError,
    StreamInterruptedError,
    TextDelta,
)


class City(BaseModel):
    name: str


def answer(orchestrator: LLMOrchestrator, question: str) -> Optional[str]:
    try:
        response: LLMResponse = orchestrator.send_request(
            [{"role": "user", "content": question}], temperature=0.2, max_tokens=100, tags={"page": "home"}
        )
    except ProviderError as error:
        models: List[str] = [attempt.model for attempt in error.attempts]
        print(error.status_code, error.retry_after, models)
        return None
    except OrchestratorError:
        return None
    cost: Optional[Decimal] = response.cost
    if response.finish_reason is FinishReason.LENGTH or cost is None:
        return None
    return response.content


def show(orchestrator: LLMOrchestrator) -> str:
    stream: LLMStream = orchestrator.send_streaming_request("Count to ten")
    try:
        with stream:
            for chunk in stream:
                print(chunk.upper(), end="")
            return stream.final_response().content
    except StreamInterruptedError as error:
        return error.partial_text


def fill_in(orchestrator: LLMOrchestrator) -> int:
    stream = orchestrator.send_streaming_request("A city", response_format=City, reask=1)
    for value in stream.partial():
        print(value)
    again = orchestrator.send_streaming_request("A city", response_format=City, reask=1)
    return sum(1 for event in again.events() if isinstance(event, OutputRejected) and event.reason)


async def show_async(orchestrator: LLMOrchestrator) -> int:
    stream: AsyncLLMStream = orchestrator.asend_streaming_request("Count to ten")
    pieces = [event.text async for event in stream.events() if isinstance(event, TextDelta)]
    response = await orchestrator.asend_request("Again")
    return len(pieces) + (response.usage.total_tokens or 0)


def what_came_beside(orchestrator: LLMOrchestrator) -> List[str]:
    response = orchestrator.send_request("Hi", logprobs=3, tools=[{"type": "web_search"}])
    likely: List[Optional[float]] = [token.logprob for token in response.logprobs]
    likeliest: List[str] = [other.token for token in response.logprobs for other in token.top_logprobs]
    addresses: List[Optional[str]] = [each.url for call in response.hosted_calls for each in call.sources]
    print(likely, addresses, [image.data for image in response.images], orchestrator)
    return [*likeliest, *(asked for call in response.hosted_calls for asked in call.asked)]


def main() -> None:
    with LLMOrchestrator("config.yaml") as orchestrator:
        answer(orchestrator, "Hi")
        show(orchestrator)
        fill_in(orchestrator)
        what_came_beside(orchestrator)
        asyncio.run(show_async(orchestrator))
        names: List[str] = orchestrator.for_provider("other").get_available_models()
        print(names, orchestrator.get_session_cost())
