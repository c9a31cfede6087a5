"""The local provider: a GGUF model in a llama.cpp server in this process, behind the OpenAI adapter.

The server starts with the first call and stops when the orchestrator is closed. It needs no key and only the
loopback interface; calls are free. It is not safe across a fork.
"""

from __future__ import annotations

import os
import threading
from typing import Any, ClassVar, Dict, List, Optional, Sequence, Tuple

from llm_orchestrator.exceptions import ConfigurationError, InvalidRequestError, ModelNotFoundError
from llm_orchestrator.providers.http.placeholders import PLACEHOLDER
from llm_orchestrator.providers.local.server import PARALLEL_REQUESTS, LocalServer
from llm_orchestrator.providers.openai_adapter import OpenAIAdapter
from llm_orchestrator.providers.wire import Endpoint, Limits, RawReply, WireRequest
from llm_orchestrator.types import JSON, EmbeddingRequest, LLMRequest, ModelInfo
from llm_orchestrator.utils.values import evolve

__all__ = ["LocalAdapter"]


class LocalAdapter(OpenAIAdapter):
    """A model on this machine."""

    protocol: ClassVar[str] = "local"
    service: ClassVar[str] = ""
    extra: ClassVar[str] = "local"
    batch_api: ClassVar[Any] = None
    parallel_requests: ClassVar[Optional[int]] = PARALLEL_REQUESTS
    #: A model on this machine is slow, and the time-out is one for each request.
    embedding_texts: ClassVar[Optional[int]] = 64
    embedding_tokens: ClassVar[Optional[int]] = None

    def __init__(
        self,
        name: str,
        *,
        model_path: Optional[str] = None,
        embedding_model: Optional[str] = None,
        configured_models: Sequence[str] = (),
        **arguments: Any,
    ) -> None:
        super().__init__(name, **{**arguments, "api": "chat"})
        self._model_path = model_path
        self._embeds = embedding_model is not None
        self._names = (*configured_models, os.path.splitext(os.path.basename(model_path or ""))[0])
        self._server: Optional[LocalServer] = None
        self._server_lock = threading.Lock()

    @property
    def hosted_by_openai(self) -> bool:
        """Never: the server is a compatible one."""
        return False

    @property
    def price_provider(self) -> str:
        """What runs on this machine is free."""
        return self.protocol

    @property
    def model_kinds(self) -> str:
        """Every model of the server is a chat model."""
        return self.protocol

    def endpoint(self) -> Endpoint:
        """Where the server is; starts it when it does not run yet."""
        return Endpoint(self._running_server().base_url, {})

    def client_arguments(self) -> Dict[str, Any]:
        """The arguments of the SDK's clients; starts the server when it does not run yet."""
        return {"api_key": PLACEHOLDER, "base_url": self._running_server().base_url, "max_retries": 0}

    def build_request(self, request: LLMRequest, *, stream: bool) -> WireRequest:
        """Translate a request for the one model that is there; see ``Adapter.build_request``."""
        self._check_model(request.model)
        return super().build_request(request, stream=stream)

    def embedding_request(self, request: EmbeddingRequest) -> WireRequest:
        """Ask for vectors, where the server was started for them; see ``Adapter.embedding_request``."""
        self._check_model(request.model)
        if not self._embeds:
            raise InvalidRequestError(
                f"Provider {self.name!r} was started for answers alone. Name its model as embedding_model in "
                "the entry."
            )
        return super().embedding_request(request)

    def _check_model(self, model: str) -> None:
        if self._model_path is not None and model not in self._names:
            raise ModelNotFoundError(
                f"Provider {self.name!r} runs one model, {self._names[0]!r}, and not {model!r}. "
                "Ask for that name, or change model_path."
            )

    def model_request(self, model: str) -> WireRequest:
        """Ask for the listing: the server has no address for a single model."""
        return self.list_request(None)

    def parse_models(self, body: JSON) -> Tuple[List[ModelInfo], Optional[str]]:
        """Translate the listing; every model makes vectors where the server was started for them."""
        models, cursor = super().parse_models(body)
        return [evolve(model, embeds=self._embeds) for model in models], cursor

    def offers(self, model: str, body: JSON) -> bool:
        """Look the model up in the listing."""
        models, _ = self.parse_models(body)
        return any(listed.name == model for listed in models)

    def open_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request; its reply keeps the server running."""
        server = self._running_server()
        return _holding(server, super().open_call(wire, limits))

    async def aopen_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request; its reply keeps the server running."""
        server = self._running_server()
        return _holding(server, await super().aopen_call(wire, limits))

    def close(self) -> None:
        """Close the connections of sync callers and release the server, which stops with its last reply."""
        super().close()
        with self._server_lock:
            self._server = None

    async def aclose(self) -> None:
        """Close the connections of the running loop and of sync callers, and stop the server."""
        await super().aclose()
        self.close()

    def _running_server(self) -> LocalServer:
        with self._server_lock:
            if self._server is None:
                if self._model_path is None:
                    raise ConfigurationError(
                        f"providers.{self.name}.model_path is missing. Set it to the GGUF file of a model."
                    )
                self._server = LocalServer(self._model_path, embeds=self._embeds)
            return self._server


def _holding(server: LocalServer, reply: RawReply) -> RawReply:
    """Let a reply hold the server: stopped in the middle of one, it would block every thread."""
    held: Any = reply
    if hasattr(reply, "extensions"):
        held.extensions["llm_orchestrator_server"] = server  # of both HTTP libraries
    else:
        held.server = server
    return reply
