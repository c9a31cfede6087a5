"""``ChatOrchestrator``: what LangChain asks of a chat model, asked of the orchestrator."""

from __future__ import annotations

from typing import Any, AsyncIterator, Dict, Iterator, List, Mapping, Optional, Sequence

from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import ConfigDict, Field

from llm_orchestrator.frameworks.langchain.messages import (
    chunk_of,
    last_chunk_of,
    read_messages,
    result_of,
    translated,
)
from llm_orchestrator.frameworks.langchain.output import structured, written_tool
from llm_orchestrator.request.options import without_secrets

__all__ = ["ChatOrchestrator"]


class ChatOrchestrator(BaseChatModel):  # type: ignore[misc]  # its types are not followed
    """A chat model of LangChain that asks an orchestrator; it is made with its attributes, by name.

    Attributes:
        orchestrator: The orchestrator.
        model: A model of its active provider; None for the active model.
        streaming: Whether ``invoke`` reads a stream, too.
        options: Arguments of ``send_request`` for every call that does not set them. All but those that
            LangChain has a use for itself (``tags``, ``cache``, ``metadata``) may be given by name, too.
    """

    model_config = ConfigDict(extra="allow")
    orchestrator: Any = Field(exclude=True, repr=False)
    model: Optional[str] = None
    streaming: bool = False
    options: Dict[str, Any] = Field(default_factory=dict)

    @property
    def _options(self) -> Dict[str, Any]:
        return {**(self.model_extra or {}), **self.options}

    @property
    def _llm_type(self) -> str:
        return "llm-orchestrator"

    @property
    def _identifying_params(self) -> Dict[str, Any]:
        """What LangChain's cache and its traces know an answer by, without what may be a key."""
        provider, model = self.orchestrator.active_provider, self.model or self.orchestrator.active_model
        return {**without_secrets(self._options), "provider": provider, "model": model}

    def __repr_args__(self) -> List[Any]:
        return list(self._identifying_params.items())

    def _get_ls_params(self, stop: Optional[List[str]] = None, **kwargs: Any) -> Any:
        known = self._identifying_params
        params = super()._get_ls_params(stop=stop, **{"model": known["model"], **kwargs})
        return {**params, "ls_provider": known["provider"]}

    def _arguments(self, messages: Any, stop: Any, given: Mapping[str, Any]) -> Dict[str, Any]:
        options = {**self._options, "model": self.model, **given, **given.get("options", {})}
        options.pop("options", None)
        options["stop"] = stop or options.get("stop") or None
        options.pop("stream", None)  # how it is asked, not what
        return {"messages": read_messages(messages), **options}

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        with translated():
            return result_of(self.orchestrator.send_request(**self._arguments(messages, stop, kwargs)))

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        with translated():
            return result_of(await self.orchestrator.asend_request(**self._arguments(messages, stop, kwargs)))

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        with translated():
            stream = self.orchestrator.send_streaming_request(**self._arguments(messages, stop, kwargs))
            try:
                yield from map(chunk_of, stream.events())
                yield last_chunk_of(stream.final_response())
            finally:
                stream.close()

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        with translated():
            stream = self.orchestrator.asend_streaming_request(**self._arguments(messages, stop, kwargs))
            try:
                async for event in stream.events():
                    yield chunk_of(event)
                yield last_chunk_of(await stream.final_response())
            finally:
                await stream.aclose()

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, strict: Optional[bool] = None, **kwargs: Any
    ) -> Runnable:
        """Return a model that may call these tools.

        Args:
            tools: Functions, classes, LangChain's tools, dicts of functions, or tools of the provider's own.
            tool_choice: ``auto``, ``none``, ``any``, a tool's name or a dict; None leaves it to the provider.
            strict: Whether the provider holds the model to the schema, where it can.
            **kwargs: Further arguments of ``send_request``.

        Returns:
            The model with the tools.
        """
        choice = "required" if tool_choice in ("any", True) else tool_choice or None
        return self.bind(tools=[written_tool(tool, strict) for tool in tools], tool_choice=choice, **kwargs)

    def with_structured_output(
        self,
        schema: Any,
        *,
        method: str = "json_schema",
        include_raw: bool = False,
        strict: Optional[bool] = None,
        **kwargs: Any,
    ) -> Runnable:
        """Return a model whose answers are values of a schema.

        Args:
            schema: A pydantic class, a TypedDict or a JSON schema.
            method: ``json_schema`` by the provider's own means, ``function_calling`` by a tool, or
                ``json_mode``, where the prompt says which JSON.
            include_raw: Whether to return a dict of ``raw``, ``parsed`` and ``parsing_error``.
            strict: Whether the provider holds the model to the schema, where it can.
            **kwargs: Further arguments of ``send_request``.

        Returns:
            What gives instances of a class, and dicts for any other schema.
        """
        if method == "function_calling":
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        return structured(self.bind(**kwargs), schema, method, include_raw, strict)
