"""From the library's answers to the SDK's: ``ChatCompletion`` and its chunks."""

from __future__ import annotations

import time
import uuid
from collections import abc
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence

from llm_orchestrator.frameworks.openai.values import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    ChatCompletionMessageToolCall,
    Choice,
    ChoiceDelta,
    ChunkChoice,
    CompletionUsage,
    Function,
    ParsedChatCompletionMessage,
    Value,
)
from llm_orchestrator.types import (
    AnswerEvent,
    LLMResponse,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    TokenUsage,
    ToolCall,
    ToolCallDelta,
)

__all__ = ["ChunkWriter", "completion_of", "parsed_completion_of", "state_of", "usage_of"]


def completion_of(response: LLMResponse) -> ChatCompletion:
    """Write an answer as a ``ChatCompletion``, with the texts of further answers as further choices."""
    made = ChatCompletion(
        id=f"chatcmpl-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=response.model,
        choices=[
            Choice(
                finish_reason=response.finish_reason.value,
                message=ChatCompletionMessage(**_fields(response)),
                logprobs=_logprobs(response),
            ),
            *_other_choices(response),
        ],
        usage=usage_of(response.usage),
    )
    made._llm_response, made._request_id = response, response.request_id
    return made


def _other_choices(response: LLMResponse) -> Iterator[Choice]:
    """The further answers; why they ended is not known."""
    for index, text in enumerate(response.alternatives, start=1):
        yield Choice(index=index, message=ChatCompletionMessage(content=text))


def parsed_completion_of(response: LLMResponse, tools: Sequence[Any]) -> ChatCompletion:
    """The same with the value of ``response_format``, and the arguments of calls as values of their tools."""
    made = completion_of(response)
    made.choices[0].message = ParsedChatCompletionMessage(**_fields(response), parsed=response.parsed)
    models = {tool["function"]["name"]: _model_of(tool) for tool in tools if _model_of(tool) is not None}
    for call, written in zip(response.tool_calls, made.choices[0].message.tool_calls or ()):
        model = models.get(call.name)
        arguments = call.arguments if model is None else call.parse(model)
        written.function.parsed_arguments = arguments  # type: ignore[attr-defined]
    return made


def _model_of(tool: Any) -> Any:
    """The class that the SDK's ``pydantic_function_tool`` made a tool of; None for any other."""
    return getattr(tool.get("function"), "model", None) if isinstance(tool, abc.Mapping) else None


def _fields(response: LLMResponse) -> Dict[str, Any]:
    """The fields of the assistant's message."""
    fields: Dict[str, Any] = {
        "content": response.content or (None if response.tool_calls or response.refusal else ""),
        "refusal": response.refusal,
        "tool_calls": [_tool_call(call) for call in response.tool_calls] or None,
        **state_of(response),
    }
    if response.reasoning is not None:
        fields["reasoning_content"] = response.reasoning
    return fields


def state_of(response: LLMResponse) -> Dict[str, Any]:
    """What only the provider can read of the answer, as ``Message.to_dict`` writes it."""
    message = response.message
    if message is None or message.provider_state is None:
        return {}
    return {"provider": message.provider, "provider_state": dict(message.provider_state)}


def _tool_call(call: ToolCall) -> ChatCompletionMessageToolCall:
    return ChatCompletionMessageToolCall(
        id=call.id, type="function", function=Function(name=call.name, arguments=call.arguments_text())
    )


def _logprobs(response: LLMResponse) -> Optional[Value]:
    """How likely each token of the text was; None where that was not told."""
    return Value(content=_tokens(response.logprobs)) if response.logprobs else None


def _tokens(logprobs: Iterable[TokenLogprob]) -> List[Value]:
    return [
        Value(
            token=each.token,
            logprob=each.logprob,
            bytes=None if each.data is None else [*each.data],
            top_logprobs=_tokens(each.top_logprobs),
        )
        for each in logprobs
    ]


def usage_of(usage: TokenUsage) -> Optional[CompletionUsage]:
    """Write the usage; None where nothing was told."""
    if (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (None, None, None):
        return None
    return CompletionUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        prompt_tokens_details=_details("cached_tokens", usage.cached_tokens),
        completion_tokens_details=_details("reasoning_tokens", usage.reasoning_tokens),
    )


def _details(name: str, count: Optional[int]) -> Optional[Value]:
    return None if count is None else Value(**{name: count})


class ChunkWriter:
    """Writes the events of one stream as chunks.

    Args:
        model: The model that was asked, until the answer says which one answers.
        with_usage: Whether a last chunk without choices tells the usage.
    """

    def __init__(self, model: str, with_usage: bool) -> None:
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._model = model
        self._with_usage = with_usage
        self._calls: List[int] = []

    def first(self) -> List[ChatCompletionChunk]:
        """The chunk that says who speaks."""
        return [self._chunk(ChoiceDelta(role="assistant", content=""))]

    def of(self, event: AnswerEvent) -> List[ChatCompletionChunk]:
        """The chunks of an event."""
        if isinstance(event, TextDelta):
            return [self._chunk(ChoiceDelta(content=event.text))]
        if isinstance(event, ReasoningDelta):
            return [self._chunk(ChoiceDelta(reasoning_content=event.text))]
        if isinstance(event, ToolCallDelta):
            return [self._chunk(ChoiceDelta(tool_calls=[self._piece(event)]))]
        return []  # marks between answers, which none of these calls asks for

    def _piece(self, event: ToolCallDelta) -> ChatCompletionMessageToolCall:
        is_first = event.index not in self._calls
        if is_first:
            self._calls.append(event.index)
        return ChatCompletionMessageToolCall(
            id=event.id,
            type="function" if is_first else None,
            function=Function(name=event.name, arguments=event.arguments),
            index=event.index,
        )

    def last(self, response: LLMResponse) -> List[ChatCompletionChunk]:
        """The chunk that says why the answer ended, with what is known only then, and that of the usage."""
        self._model = response.model
        refusal = {} if response.refusal is None else {"refusal": response.refusal}
        ended = self._chunk(
            ChoiceDelta(**refusal, **state_of(response)), response.finish_reason.value, _logprobs(response)
        )
        told = [self._usage_chunk(response)] if self._with_usage else []
        for chunk in (ended, *told):
            chunk._llm_response, chunk._request_id = response, response.request_id
        return [ended, *told]

    def _chunk(
        self, delta: ChoiceDelta, finish_reason: Optional[str] = None, logprobs: Optional[Value] = None
    ) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[ChunkChoice(delta=delta, finish_reason=finish_reason, logprobs=logprobs)],
        )

    def _usage_chunk(self, response: LLMResponse) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[],
            usage=usage_of(response.usage),
        )
