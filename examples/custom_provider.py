"""A provider of your own: a protocol nobody else speaks, with retries, streams and costs like any other.

    python examples/custom_provider.py

This one needs no server: its "model" turns the question around. For one that speaks HTTP see
``docs/adding-a-provider.md``.
"""

import json
from typing import Any, Mapping, Optional, Sequence

from llm_orchestrator import (
    BaseLLMProvider,
    FinishReason,
    LLMOrchestrator,
    LLMRequest,
    LLMResponse,
    Message,
    TextDelta,
    TokenUsage,
    register_provider,
)
from llm_orchestrator.providers.wire import BufferedReply, Limits, StreamState, WireRequest


class Backwards(BaseLLMProvider):
    """Answers with the question's words in reverse order."""

    protocol = "backwards"

    # Translation: our request into the protocol's JSON, its JSON into our values. No network here.

    def build_request(self, request: LLMRequest, *, stream: bool) -> WireRequest:
        return WireRequest("say", {"question": request.messages[-1].text, "stream": stream})

    def parse_reply(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> LLMResponse:
        words = body["words"]
        return LLMResponse(
            content=" ".join(words),
            model="backwards-1",
            provider=self.name,
            usage=TokenUsage(len(words), len(words), 2 * len(words)),
            finish_reason=FinishReason.STOP,
            message=Message("assistant", " ".join(words), provider=self.name),
        )

    def parse_event(self, event: Mapping[str, Any], state: StreamState) -> Sequence[TextDelta]:
        if event.get("end"):
            state.complete = state.done = True
            return []
        words = state.reply.setdefault("words", [])
        words.append(event["word"])
        return [TextDelta(event["word"] if len(words) == 1 else " " + event["word"])]

    # Talking: the one call, in two forms. A real provider sends the request with its SDK or HTTP client here.

    def open_call(self, wire: WireRequest, limits: Limits) -> BufferedReply:
        words = wire.body["question"].split()[::-1]
        if not wire.body["stream"]:
            return BufferedReply([json.dumps({"words": words}).encode()])
        events = [{"word": word} for word in words] + [{"end": True}]
        return BufferedReply(f"data: {json.dumps(event)}\n\n".encode() for event in events)

    async def aopen_call(self, wire: WireRequest, limits: Limits) -> BufferedReply:
        return self.open_call(wire, limits)


def main(config: Optional[Mapping[str, Any]] = None) -> None:
    register_provider("backwards", Backwards)
    config = config or {
        "active_provider": "backwards",
        "active_model": "backwards-1",
        "providers": {"backwards": {}},
        "cost_tracking": {
            "log_path": None,
            "price_overrides": [
                {"provider": "backwards", "model": "backwards-1", "rates": {"in": "1", "out": "2"}}
            ],
        },
    }
    with LLMOrchestrator(config) as orchestrator:
        response = orchestrator.send_request("world hello")
        print(response.content, response.tokens_used, response.cost)
        for chunk in orchestrator.send_streaming_request("streams like I"):
            print(chunk, end="", flush=True)
        print()


if __name__ == "__main__":
    main()
