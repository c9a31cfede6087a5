"""The values that travel through the library: messages, requests, responses, usage, costs and stream events.

All are frozen dataclasses, independent of providers, files and connections. ``None`` always means unknown,
never zero.
"""

from __future__ import annotations

from llm_orchestrator.types.citation import Citation
from llm_orchestrator.types.cost import CostDetails
from llm_orchestrator.types.embedding import EmbeddingResponse
from llm_orchestrator.types.events import (
    AnswerEvent,
    OutputRejected,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    ToolResults,
)
from llm_orchestrator.types.hosted_call import HostedCall
from llm_orchestrator.types.logprob import TokenLogprob
from llm_orchestrator.types.media import Media
from llm_orchestrator.types.messages import (
    Message,
    MessageLike,
    Messages,
    Role,
    ToolCall,
    arguments_text,
    parse_arguments,
    parts_of,
    read_message,
    read_saved,
    tool_call,
)
from llm_orchestrator.types.model_info import ModelInfo
from llm_orchestrator.types.parameters import (
    CACHE_MODES,
    CHECKED_PARAMETERS,
    CHOICES,
    EFFORTS,
    PARAMETERS,
    CacheMode,
    Choice,
    Effort,
    checked,
    number_from_text,
)
from llm_orchestrator.types.request import (
    ADDED_FIELDS,
    DROPPABLE_PARAMETERS,
    MODEL_PARAMETERS,
    EmbeddingRequest,
    LLMRequest,
)
from llm_orchestrator.types.response import (
    MISSING_USAGE,
    Attempt,
    Exchange,
    FinishReason,
    LLMResponse,
    Parsed_co,
    TokenUsage,
)
from llm_orchestrator.utils.json import JSON

__all__ = [
    "ADDED_FIELDS",
    "CACHE_MODES",
    "CHECKED_PARAMETERS",
    "CHOICES",
    "DROPPABLE_PARAMETERS",
    "EFFORTS",
    "JSON",
    "MISSING_USAGE",
    "MODEL_PARAMETERS",
    "PARAMETERS",
    "AnswerEvent",
    "Attempt",
    "CacheMode",
    "Choice",
    "Citation",
    "CostDetails",
    "Effort",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "Exchange",
    "FinishReason",
    "HostedCall",
    "LLMRequest",
    "LLMResponse",
    "Media",
    "Message",
    "MessageLike",
    "Messages",
    "ModelInfo",
    "OutputRejected",
    "Parsed_co",
    "ReasoningDelta",
    "Role",
    "StreamEvent",
    "TextDelta",
    "TokenLogprob",
    "TokenUsage",
    "ToolCall",
    "ToolCallDelta",
    "ToolResults",
    "arguments_text",
    "checked",
    "number_from_text",
    "parse_arguments",
    "parts_of",
    "read_message",
    "read_saved",
    "tool_call",
]
