"""The signatures of the ways of calling, for editors and type checkers alone; no program imports this.

With a type as ``response_format`` the answer is typed by it. A template below has the parameters of a call,
and a decorator gives them to a method, with the result of one way: they are written once, not for each way.
"""

from __future__ import annotations

import os
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Callable, Coroutine, Generic, Mapping, Optional, Sequence, Type, Union

from pydantic import BaseModel
from typing_extensions import Concatenate, ParamSpec, TypeVar

from llm_orchestrator.bulk import AsyncBulkRun, BulkProgress, BulkRun
from llm_orchestrator.calls.tool_loop import BeforeTool, OnToolError
from llm_orchestrator.streaming import AsyncLLMStream, LLMStream
from llm_orchestrator.types import JSON, CacheMode, Choice, Effort, LLMResponse, MessageLike, Messages
from llm_orchestrator.types.served_tools import ServedTool, ToolServer

__all__ = [
    "aof_rows",
    "astreamed",
    "awhole",
    "loop_of_any",
    "of_rows",
    "rows_of_any",
    "streamed",
    "typed_call",
    "typed_loop",
    "typed_rows",
    "whole",
]

P = ParamSpec("P")
T = TypeVar("T")


class Typed(Generic[T]):
    """What a template returns: the type that answers are parsed into."""


# ---------------------------------------------------------------- the ways

if TYPE_CHECKING:

    def whole(
        template: Callable[P, Typed[T]],
    ) -> Callable[[Callable[..., Any]], Callable[Concatenate[Any, P], LLMResponse[T]]]:
        """A whole answer."""

    def awhole(
        template: Callable[P, Typed[T]],
    ) -> Callable[[Callable[..., Any]], Callable[Concatenate[Any, P], Coroutine[Any, Any, LLMResponse[T]]]]:
        """A whole answer, async."""

    def streamed(
        template: Callable[P, Typed[T]],
    ) -> Callable[[Callable[..., Any]], Callable[Concatenate[Any, P], LLMStream[T]]]:
        """A streamed answer."""

    def astreamed(
        template: Callable[P, Typed[T]],
    ) -> Callable[[Callable[..., Any]], Callable[Concatenate[Any, P], AsyncLLMStream[T]]]:
        """A streamed answer, async."""

    def of_rows(
        template: Callable[P, Typed[T]],
    ) -> Callable[[Callable[..., Any]], Callable[Concatenate[Any, P], BulkRun[T]]]:
        """An answer to each row."""

    def aof_rows(
        template: Callable[P, Typed[T]],
    ) -> Callable[[Callable[..., Any]], Callable[Concatenate[Any, P], AsyncBulkRun[T]]]:
        """An answer to each row, async."""


# ---------------------------------------------------------------- the templates


def typed_call(
    messages: Messages,
    *,
    response_format: Type[T],
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
) -> Typed[T]:
    """``call_parameters`` with a type."""
    raise NotImplementedError


def typed_rows(
    rows: Any,
    *,
    response_format: Type[T],
    messages: Union[str, Callable[[Any], Any], None] = None,
    key: Union[str, Callable[[Any], Any], None] = None,
    journal: Union[str, os.PathLike[str], None] = None,
    concurrency: int = 64,
    mode: str = "now",
    wait: bool = True,
    on_error: str = "keep",
    order: str = "completion",
    max_cost: Union[float, Decimal, None] = None,
    progress: Union[bool, Callable[[BulkProgress], None], None] = None,
    embed: bool = False,
    **arguments: Any,
) -> Typed[T]:
    """``LLMOrchestrator.map`` with a type."""
    raise NotImplementedError


def typed_loop(
    messages: Union[Messages, MessageLike],
    max_turns: int = 8,
    *,
    response_format: Type[T],
    before_tool: Optional[BeforeTool] = None,
    on_tool_error: OnToolError = "result",
    tool_timeout: Optional[float] = None,
    **arguments: Any,
) -> Typed[T]:
    """``loop_arguments`` with a type."""
    raise NotImplementedError


def loop_of_any(
    messages: Union[Messages, MessageLike],
    max_turns: int = 8,
    *,
    response_format: Any = None,
    before_tool: Optional[BeforeTool] = None,
    on_tool_error: OnToolError = "result",
    tool_timeout: Optional[float] = None,
    **arguments: Any,
) -> Typed[Any]:
    """``loop_arguments``."""
    raise NotImplementedError


def rows_of_any(
    rows: Any,
    *,
    response_format: Any = None,
    messages: Union[str, Callable[[Any], Any], None] = None,
    key: Union[str, Callable[[Any], Any], None] = None,
    journal: Union[str, os.PathLike[str], None] = None,
    concurrency: int = 64,
    mode: str = "now",
    wait: bool = True,
    on_error: str = "keep",
    order: str = "completion",
    max_cost: Union[float, Decimal, None] = None,
    progress: Union[bool, Callable[[BulkProgress], None], None] = None,
    embed: bool = False,
    **arguments: Any,
) -> Typed[Any]:
    """``LLMOrchestrator.map``."""
    raise NotImplementedError
