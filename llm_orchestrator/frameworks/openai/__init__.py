"""The shape of the OpenAI SDK's client: ``orchestrator.openai`` and ``orchestrator.aopenai``.

Programs written for that client run on the orchestrator: its active provider, its fallback, its ledger.
"""

from __future__ import annotations

from llm_orchestrator.frameworks.openai.client import AsyncOpenAIClient, OpenAIClient
from llm_orchestrator.frameworks.openai.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    LengthFinishReasonError,
    NotFoundError,
    OpenAIError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from llm_orchestrator.frameworks.openai.response_values import Response, ResponseStreamEvent
from llm_orchestrator.frameworks.openai.streams import AsyncStream, Stream
from llm_orchestrator.frameworks.openai.values import (
    ChatCompletion,
    ChatCompletionChunk,
    CreateEmbeddingResponse,
)

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncOpenAIClient",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ConflictError",
    "CreateEmbeddingResponse",
    "InternalServerError",
    "LengthFinishReasonError",
    "NotFoundError",
    "OpenAIClient",
    "OpenAIError",
    "PermissionDeniedError",
    "RateLimitError",
    "Response",
    "ResponseStreamEvent",
    "Stream",
    "UnprocessableEntityError",
]
