"""The values of the SDK's ``responses``: ``Response``, its items and its events."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from pydantic import Field, PrivateAttr

from llm_orchestrator.frameworks.openai.values import Value
from llm_orchestrator.types import LLMResponse

__all__ = [
    "ContentPart",
    "OutputItem",
    "Response",
    "ResponseStreamEvent",
    "ResponseUsage",
]


class ResponseUsage(Value):
    """How many tokens were read and written; None where it was not told."""

    input_tokens: Optional[int] = None
    output_tokens: Optional[int] = None
    total_tokens: Optional[int] = None
    input_tokens_details: Optional[Value] = None
    output_tokens_details: Optional[Value] = None


class ContentPart(Value):
    """A part of a message: ``output_text`` with ``text``, or ``refusal`` with ``refusal``."""

    type: str


class OutputItem(Value):
    """One item of an answer: a ``message``, a ``function_call``, or visible ``reasoning``.

    Append the items to ``input`` as they are, or as ``model_dump()`` makes them: ``provider`` and
    ``provider_state`` of one of them carry signatures and encrypted reasoning back to the provider.
    """

    id: str
    type: str
    status: str = "completed"
    provider: Optional[str] = None
    provider_state: Optional[Dict[str, Any]] = Field(default=None, repr=False)


class Response(Value):
    """A whole answer of ``responses.create`` and ``parse``."""

    id: str
    created_at: float
    model: str
    output: List[OutputItem]
    status: str
    object: str = "response"
    error: Optional[Value] = None
    incomplete_details: Optional[Value] = None
    parallel_tool_calls: bool = True
    tool_choice: Any = "auto"
    tools: List[Any] = Field(default_factory=list)
    usage: Optional[ResponseUsage] = None
    _request_id: Optional[str] = PrivateAttr(None)
    _llm_response: Any = PrivateAttr(None)

    @property
    def output_text(self) -> str:
        """The text of the answer; empty when there is none."""
        return "" if self.llm_response is None else self.llm_response.content

    @property
    def output_parsed(self) -> Any:
        """The answer of ``parse`` as a value of ``text_format``; None for a refusal and a tool call."""
        return None if self.llm_response is None else self.llm_response.parsed

    @property
    def llm_response(self) -> Optional[LLMResponse]:
        """The library's own answer, with cost, attempts and warnings."""
        response: Optional[LLMResponse] = self._llm_response
        return response


class ResponseStreamEvent(Value):
    """An event of a stream; ``type`` says which, and what fields it has."""

    type: str
    sequence_number: int
