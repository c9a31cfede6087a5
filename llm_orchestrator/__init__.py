"""One way to talk to large language models in production: OpenAI, Anthropic, Gemini and a local model.

The public names are imported when they are first used, so that importing the library costs next to nothing.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any, List

from llm_orchestrator import exceptions
from llm_orchestrator.exceptions import (
    AllFallbacksFailedError,
    AuthenticationError,
    BudgetExceededError,
    ConfigurationError,
    ContextLengthError,
    InvalidMessagesError,
    InvalidRequestError,
    InvalidResponseError,
    ModelNotFoundError,
    OrchestratorError,
    OutputParseError,
    OutputTruncatedError,
    OverloadedError,
    PermissionDeniedError,
    ProviderConnectionError,
    ProviderError,
    ProviderSwitchError,
    ProviderTimeoutError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    ToolServerError,
    ToolTimeoutError,
    TooManyTurnsError,
    UnsupportedParameterError,
)

if TYPE_CHECKING:
    from llm_orchestrator.bulk import (
        AsyncBulkRun,
        BatchState,
        BulkEstimate,
        BulkProgress,
        BulkResult,
        BulkRun,
        BulkStatus,
        BulkSummary,
    )
    from llm_orchestrator.config.manager import (
        ConfigManager,
        CostTrackingConfig,
        OrchestratorConfig,
        ProviderConfig,
    )
    from llm_orchestrator.conversation import Conversation
    from llm_orchestrator.conversation_store import ConversationStore, SavedConversation
    from llm_orchestrator.cost_tracker import CostTracker, UsageRecord, format_cost
    from llm_orchestrator.hooks import CallEvent, Hook, ToolEvent
    from llm_orchestrator.models.registry import ModelRegistry
    from llm_orchestrator.orchestrator import LLMOrchestrator
    from llm_orchestrator.pricing import CostDetails, price_usage
    from llm_orchestrator.providers import register_provider
    from llm_orchestrator.providers.base import BaseLLMProvider
    from llm_orchestrator.request.attachments import file_part, image_part
    from llm_orchestrator.streaming import AsyncLLMStream, LLMStream
    from llm_orchestrator.types import (
        Attempt,
        Citation,
        EmbeddingRequest,
        EmbeddingResponse,
        FinishReason,
        HostedCall,
        LLMRequest,
        LLMResponse,
        Media,
        Message,
        ModelInfo,
        OutputRejected,
        ReasoningDelta,
        TextDelta,
        TokenLogprob,
        TokenUsage,
        ToolCall,
        ToolCallDelta,
        ToolResults,
    )
    from llm_orchestrator.usage.limits import BudgetStatus
    from llm_orchestrator.usage.report import UsageReport

__version__ = "0.2.0"

_HOMES = {
    "bulk": [
        "AsyncBulkRun",
        "BatchState",
        "BulkEstimate",
        "BulkProgress",
        "BulkResult",
        "BulkRun",
        "BulkStatus",
        "BulkSummary",
    ],
    "config.manager": ["ConfigManager", "CostTrackingConfig", "OrchestratorConfig", "ProviderConfig"],
    "conversation": ["Conversation"],
    "conversation_store": ["ConversationStore", "SavedConversation"],
    "cost_tracker": ["CostTracker", "UsageRecord", "format_cost"],
    "hooks": ["CallEvent", "Hook", "ToolEvent"],
    "models.registry": ["ModelRegistry"],
    "orchestrator": ["LLMOrchestrator"],
    "request.attachments": ["file_part", "image_part"],
    "pricing": ["CostDetails", "price_usage"],
    "providers": ["register_provider"],
    "providers.base": ["BaseLLMProvider"],
    "streaming": ["AsyncLLMStream", "LLMStream"],
    "types": [
        "Attempt",
        "Citation",
        "EmbeddingRequest",
        "EmbeddingResponse",
        "FinishReason",
        "HostedCall",
        "LLMRequest",
        "LLMResponse",
        "Media",
        "Message",
        "ModelInfo",
        "OutputRejected",
        "ReasoningDelta",
        "TextDelta",
        "TokenLogprob",
        "TokenUsage",
        "ToolCall",
        "ToolCallDelta",
        "ToolResults",
    ],
    "usage.limits": ["BudgetStatus"],
    "usage.report": ["UsageReport"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AllFallbacksFailedError",
    "AsyncBulkRun",
    "AsyncLLMStream",
    "Attempt",
    "AuthenticationError",
    "BaseLLMProvider",
    "BatchState",
    "BudgetExceededError",
    "BudgetStatus",
    "BulkEstimate",
    "BulkProgress",
    "BulkResult",
    "BulkRun",
    "BulkStatus",
    "BulkSummary",
    "CallEvent",
    "Citation",
    "ConfigManager",
    "ConfigurationError",
    "ContextLengthError",
    "Conversation",
    "ConversationStore",
    "CostDetails",
    "CostTracker",
    "CostTrackingConfig",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "FinishReason",
    "Hook",
    "HostedCall",
    "InvalidMessagesError",
    "InvalidRequestError",
    "InvalidResponseError",
    "LLMOrchestrator",
    "LLMRequest",
    "LLMResponse",
    "LLMStream",
    "Media",
    "Message",
    "ModelInfo",
    "ModelNotFoundError",
    "ModelRegistry",
    "OrchestratorConfig",
    "OrchestratorError",
    "OutputParseError",
    "OutputRejected",
    "OutputTruncatedError",
    "OverloadedError",
    "PermissionDeniedError",
    "ProviderConfig",
    "ProviderConnectionError",
    "ProviderError",
    "ProviderSwitchError",
    "ProviderTimeoutError",
    "QuotaExceededError",
    "RateLimitError",
    "ReasoningDelta",
    "SavedConversation",
    "ServerError",
    "StreamInterruptedError",
    "TextDelta",
    "TokenLogprob",
    "TokenUsage",
    "TooManyTurnsError",
    "ToolCall",
    "ToolCallDelta",
    "ToolEvent",
    "ToolResults",
    "ToolServerError",
    "ToolTimeoutError",
    "UnsupportedParameterError",
    "UsageRecord",
    "UsageReport",
    "__version__",
    "file_part",
    "format_cost",
    "image_part",
    "price_usage",
    "register_provider",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
