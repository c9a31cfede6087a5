"""The parameters of a call, named once for all ways of calling.

Programs, editors and type checkers see them as those of the methods. What becomes of them is in
``arguments`` and ``embedding``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional, Sequence, Type, Union

from llm_orchestrator.types import JSON, CacheMode, Choice, Effort, Messages
from llm_orchestrator.types.served_tools import ServedTool, ToolServer

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["call_parameters", "embedding_parameters"]


def call_parameters(
    messages: Messages,
    *,
    model: Optional[str] = None,
    temperature: Optional[float] = None,
    max_tokens: Optional[int] = None,
    top_p: Optional[float] = None,
    top_k: Optional[int] = None,
    stop: Union[str, Sequence[str], None] = None,
    seed: Optional[int] = None,
    frequency_penalty: Optional[float] = None,
    presence_penalty: Optional[float] = None,
    tools: Optional[
        Sequence[Union[Callable[..., Any], Type[BaseModel], ToolServer, ServedTool, JSON]]
    ] = None,
    tool_choice: Union[Choice, str, JSON, None] = None,
    parallel_tool_calls: Optional[bool] = None,
    response_format: Any = None,
    reasoning_effort: Union[Effort, str, None] = None,
    logprobs: Union[bool, int, None] = None,
    cache: Optional[CacheMode] = None,
    timeout: Optional[float] = None,
    total_timeout: Optional[float] = None,
    max_retries: Optional[int] = None,
    fallback: bool = True,
    reask: int = 0,
    tags: Optional[Mapping[str, str]] = None,
    extra_headers: Optional[Mapping[str, str]] = None,
    **provider_options: Any,
) -> None:
    """The parameters of a call; ``LLMOrchestrator.send_request`` documents them."""


def embedding_parameters(
    texts: Union[str, Sequence[str]],
    *,
    model: Optional[str] = None,
    dimensions: Optional[int] = None,
    batch_size: Optional[int] = None,
    timeout: Optional[float] = None,
    total_timeout: Optional[float] = None,
    max_retries: Optional[int] = None,
    tags: Optional[Mapping[str, str]] = None,
    extra_headers: Optional[Mapping[str, str]] = None,
    **provider_options: Any,
) -> None:
    """The parameters of ``embed``, which documents them."""
