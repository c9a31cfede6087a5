"""The values of the OpenAI SDK's client, with the fields that its documentation names.

Fields that were not told are None. Each value also has the fields a provider or the library adds.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from llm_orchestrator.types import EmbeddingResponse, LLMResponse

__all__ = [
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatCompletionMessage",
    "ChatCompletionMessageToolCall",
    "Choice",
    "ChoiceDelta",
    "ChunkChoice",
    "CompletionUsage",
    "CreateEmbeddingResponse",
    "Embedding",
    "Function",
    "ParsedChatCompletionMessage",
    "Value",
]


class Value(BaseModel):
    """A value with the methods of the SDK's: ``model_dump_json``, ``to_dict`` and the like."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    def to_dict(self, **options: Any) -> Dict[str, Any]:
        """Return the value as a dict for JSON.

        Args:
            **options: Those of ``model_dump``.

        Returns:
            The fields that were set.
        """
        return self.model_dump(**{"mode": "json", "exclude_unset": True, **options})

    def to_json(self, *, indent: Optional[int] = 2, **options: Any) -> str:
        """Return the value as a JSON text.

        Args:
            indent: Spaces of a level; None for one line.
            **options: Those of ``to_dict``.

        Returns:
            The text of what ``to_dict`` returns.
        """
        return json.dumps(self.to_dict(**options), indent=indent, ensure_ascii=False)


class CompletionUsage(Value):
    """How many tokens were read and written; None where it was not told."""

    completion_tokens: Optional[int] = None
    prompt_tokens: Optional[int] = None
    total_tokens: Optional[int] = None
    completion_tokens_details: Optional[Value] = None
    prompt_tokens_details: Optional[Value] = None


class Function(Value):
    """The function that a tool call names, and its arguments as a JSON text."""

    arguments: Optional[str] = None
    name: Optional[str] = None


class ChatCompletionMessageToolCall(Value):
    """One call of a tool; in a chunk a piece of one, with its ``index``."""

    id: Optional[str] = None
    function: Function
    type: Optional[str] = "function"


class ChatCompletionMessage(Value):
    """The assistant's message.

    Append it to ``messages`` as it is, or as ``model_dump()`` makes it: ``provider`` and ``provider_state``
    then carry signatures and encrypted reasoning back to the provider.
    """

    content: Optional[str] = None
    refusal: Optional[str] = None
    role: str = "assistant"
    tool_calls: Optional[List[ChatCompletionMessageToolCall]] = None
    provider: Optional[str] = None
    provider_state: Optional[Dict[str, Any]] = Field(default=None, repr=False)


class ParsedChatCompletionMessage(ChatCompletionMessage):
    """The message of ``parse``, with the answer as a value of ``response_format``."""

    parsed: Any = None


class Choice(Value):
    """One answer."""

    finish_reason: Optional[str] = None
    index: int = 0
    logprobs: Optional[Any] = None
    message: ChatCompletionMessage


class _Answer(Value):
    """What answers have in common."""

    id: str
    model: str
    created: int
    usage: Optional[CompletionUsage] = None
    _request_id: Optional[str] = PrivateAttr(None)
    _llm_response: Any = PrivateAttr(None)

    @property
    def llm_response(self) -> Optional[LLMResponse]:
        """The library's own answer, with cost, attempts and warnings."""
        response: Optional[LLMResponse] = self._llm_response
        return response


class ChatCompletion(_Answer):
    """A whole answer of ``chat.completions.create`` and ``parse``."""

    choices: List[Choice]
    object: str = "chat.completion"


class ChoiceDelta(Value):
    """What a chunk adds to the message."""

    content: Optional[str] = None
    refusal: Optional[str] = None
    role: Optional[str] = None
    tool_calls: Optional[List[ChatCompletionMessageToolCall]] = None


class ChunkChoice(Value):
    """The answer that a chunk is of."""

    delta: ChoiceDelta
    finish_reason: Optional[str] = None
    index: int = 0
    logprobs: Optional[Any] = None


class ChatCompletionChunk(_Answer):
    """A piece of a streamed answer."""

    choices: List[ChunkChoice]
    object: str = "chat.completion.chunk"


class Embedding(Value):
    """The vector of one text: floats, or with ``encoding_format="base64"`` their bytes in base64."""

    embedding: Any
    index: int
    object: str = "embedding"


class CreateEmbeddingResponse(Value):
    """The vectors of ``embeddings.create``, in the order of the texts."""

    data: List[Embedding]
    model: str
    object: str = "list"
    usage: Optional[CompletionUsage] = None
    _llm_response: Any = PrivateAttr(None)

    @property
    def llm_response(self) -> Optional[EmbeddingResponse]:
        """The library's own response, with cost, attempts and warnings."""
        response: Optional[EmbeddingResponse] = self._llm_response
        return response
