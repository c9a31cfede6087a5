"""``OrchestratorModel``: what pydantic-ai asks of a model, asked of the orchestrator."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, AsyncIterator, Dict, Iterator, List, Optional

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse, check_allow_model_requests

from llm_orchestrator.frameworks.pydantic_ai.arguments import read_settings, read_tools
from llm_orchestrator.frameworks.pydantic_ai.errors import translated
from llm_orchestrator.frameworks.pydantic_ai.messages import facts_of, read_messages, response_of, usage_of
from llm_orchestrator.streaming import AsyncLLMStream
from llm_orchestrator.types import AnswerEvent, ReasoningDelta, TextDelta, ToolCallDelta

__all__ = ["OrchestratorModel"]

#: What the models behind an orchestrator can do, as far as all of them can.
PROFILE = {"supports_json_schema_output": True, "supports_thinking": True, "supports_video_input": False}


class OrchestratorModel(Model):  # type: ignore[misc]  # its types are not followed
    """A model of pydantic-ai that asks an orchestrator.

    Args:
        orchestrator: The orchestrator.
        model: A model of its active provider; None for the active model.
        settings: pydantic-ai's settings for all calls. Any argument of ``send_request`` may be among
            them, with ``orchestrator_`` before its name.
        profile: What the model can do, in pydantic-ai's words, where it is less or more than usual.
    """

    unsupported_settings = frozenset({"service_tier"})

    def __init__(
        self, orchestrator: Any, model: Optional[str] = None, *, settings: Any = None, profile: Any = None
    ) -> None:
        super().__init__(settings=settings, profile={**PROFILE, **(profile or {})})
        self.orchestrator = orchestrator
        self._model = model

    @property
    def model_name(self) -> str:
        """The model that is asked."""
        return self._model or str(self.orchestrator.active_model)

    @property
    def system(self) -> str:
        """The configured provider."""
        return str(self.orchestrator.active_provider)

    def _arguments(self, messages: List[ModelMessage], settings: Any, parameters: Any) -> Dict[str, Any]:
        check_allow_model_requests()
        settings, parameters = self.prepare_request(settings, parameters)
        return {
            "model": self._model,
            "messages": read_messages(messages, parameters),
            **read_tools(settings or {}, parameters),
            **read_settings(settings or {}, parameters),
        }

    async def request(
        self,
        messages: List[ModelMessage],
        model_settings: Any,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Ask for a whole answer; pydantic-ai calls it."""
        with translated(self.model_name):
            arguments = self._arguments(messages, model_settings, model_request_parameters)
            return response_of(await self.orchestrator.asend_request(**arguments))

    @asynccontextmanager
    async def request_stream(
        self,
        messages: List[ModelMessage],
        model_settings: Any,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncIterator[StreamedResponse]:
        """Ask for a streamed answer; pydantic-ai calls it."""
        with translated(self.model_name):  # not around the yield, where the program's own code runs
            arguments = self._arguments(messages, model_settings, model_request_parameters)
            stream = self.orchestrator.asend_streaming_request(**arguments)
            await stream.__aenter__()
        try:
            yield _Streamed(
                model_request_parameters=model_request_parameters,
                stream=stream,
                model_name=self.model_name,
                provider_name=self.system,
                timestamp=datetime.now(timezone.utc),
            )
        finally:
            await stream.aclose()


@dataclass
class _Streamed(StreamedResponse):  # type: ignore[misc]
    stream: AsyncLLMStream
    # Abstract properties in pydantic-ai; the defaults make attributes of them.
    model_name: str = ""
    provider_name: str = ""
    provider_url: Optional[str] = None
    timestamp: Optional[datetime] = None

    async def _get_event_iterator(self) -> AsyncIterator[Any]:
        with translated(self.model_name):
            async for event in self.stream.events():
                for written in self._written(event):
                    yield written
            response = await self.stream.final_response()
        for name, value in facts_of(response).items():
            setattr(self, name, value)
        self.model_name = response.model
        self._add_usage(usage_of(response), reported=response.usage.prompt_tokens is not None)

    def _written(self, event: AnswerEvent) -> Iterator[Any]:
        parts = self._parts_manager
        if isinstance(event, TextDelta):
            yield from parts.handle_text_delta(vendor_part_id="text", content=event.text)
        elif isinstance(event, ReasoningDelta):
            yield from parts.handle_thinking_delta(vendor_part_id="reasoning", content=event.text)
        elif isinstance(event, ToolCallDelta):
            yield from parts.handle_tool_call_delta_events(
                vendor_part_id=event.index, tool_name=event.name, args=event.arguments, tool_call_id=event.id
            )

    async def close_stream(self) -> None:
        await self.stream.aclose()
