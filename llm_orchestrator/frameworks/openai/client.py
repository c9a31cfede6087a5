"""The clients: objects that programs written for the OpenAI SDK's client can be given in its place."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Optional, Protocol, Tuple

from llm_orchestrator.frameworks.openai.arguments import chat_arguments, embedding_arguments, given_only
from llm_orchestrator.frameworks.openai.completions import ChunkWriter, completion_of, parsed_completion_of
from llm_orchestrator.frameworks.openai.embeddings import embeddings_of
from llm_orchestrator.frameworks.openai.errors import bad_request, translated
from llm_orchestrator.frameworks.openai.raw import RawReplies
from llm_orchestrator.frameworks.openai.response_arguments import response_arguments
from llm_orchestrator.frameworks.openai.response_events import EventWriter
from llm_orchestrator.frameworks.openai.response_items import response_of
from llm_orchestrator.frameworks.openai.response_values import Response
from llm_orchestrator.frameworks.openai.streams import AsyncStream, Stream
from llm_orchestrator.frameworks.openai.values import (
    ChatCompletion,
    CreateEmbeddingResponse,
)
from llm_orchestrator.utils.hidden import hidden

__all__ = ["AsyncOpenAIClient", "Calls", "OpenAIClient"]


class Calls(Protocol):
    """What the clients call of the orchestrator."""

    @property
    def send_request(self) -> Callable[..., Any]:
        """A whole answer."""

    @property
    def asend_request(self) -> Callable[..., Any]:
        """A whole answer, async."""

    @property
    def send_streaming_request(self) -> Callable[..., Any]:
        """A streamed answer."""

    @property
    def asend_streaming_request(self) -> Callable[..., Any]:
        """A streamed answer, async."""

    @property
    def embed(self) -> Callable[..., Any]:
        """Vectors."""

    @property
    def aembed(self) -> Callable[..., Any]:
        """Vectors, async."""


class OpenAIClient:
    """The part of the OpenAI SDK's client that asks models, on the orchestrator.

    Args:
        calls: The orchestrator.

    Attributes:
        chat: Has ``completions`` with ``create`` and ``parse``.
        beta: Has the same ``chat``, for programs of the time when ``parse`` was there.
        embeddings: Has ``create``.
        responses: Has ``create`` and ``parse``.
    """

    def __init__(self, calls: Calls) -> None:
        self.chat = Chat(Completions(calls))
        self.beta = Beta(self.chat)
        self.embeddings = Embeddings(calls)
        self.responses = Responses(calls)


class AsyncOpenAIClient:
    """The same as ``OpenAIClient`` for async programs: its methods are awaited.

    Args:
        calls: The orchestrator.

    Attributes:
        chat: Has ``completions`` with ``create`` and ``parse``.
        beta: Has the same ``chat``.
        embeddings: Has ``create``.
        responses: Has ``create`` and ``parse``.
    """

    def __init__(self, calls: Calls) -> None:
        self.chat = Chat(AsyncCompletions(calls))
        self.beta = Beta(self.chat)
        self.embeddings = AsyncEmbeddings(calls)
        self.responses = AsyncResponses(calls)


class Chat:
    """What stands below ``client.chat``."""

    def __init__(self, completions: Any) -> None:
        self.completions = completions


class Beta:
    """What stands below ``client.beta``."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat


class Completions:
    """What stands below ``client.chat.completions``."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.with_raw_response = RawReplies(self)

    def create(self, **arguments: Any) -> Any:
        """Ask for an answer.

        Args:
            **arguments: Those of the SDK's method, and ``cache``, ``fallback``, ``max_retries``, ``tags``,
                ``top_k`` and ``total_timeout`` of ``send_request``. ``model`` is one of the active provider.

        Returns:
            A ``ChatCompletion``; with ``stream=True`` a ``Stream`` of chunks, once the provider answers.

        Raises:
            OpenAIError: Its subclasses are those of the SDK.
            TypeError: An argument is unknown, or ``messages`` or ``model`` is missing.
        """
        with translated():
            options, writer = _read("chat.completions.create", arguments)
            if writer is not None:
                return Stream(self._calls.send_streaming_request(**options), writer)
            return completion_of(self._calls.send_request(**options))

    def parse(self, **arguments: Any) -> ChatCompletion:
        """Ask for an answer that is a value of ``response_format``, a pydantic class.

        Args:
            **arguments: Those of ``create``, but ``stream``.

        Returns:
            The answer; ``choices[0].message.parsed`` is the value, None for a refusal and a tool call.

        Raises:
            LengthFinishReasonError: The token limit was reached before the value was complete.
            APIResponseValidationError: The answer does not fit.
            OpenAIError: Its other subclasses are those of the SDK.
        """
        with translated():
            options, _ = _read("chat.completions.parse", arguments)
            return parsed_completion_of(self._calls.send_request(**options), options.get("tools", ()))


class AsyncCompletions:
    """What stands below ``client.chat.completions`` of an async client."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.with_raw_response = RawReplies(self)

    async def create(self, **arguments: Any) -> Any:
        """Ask for an answer; arguments, result and errors are those of ``Completions.create``."""
        with translated():
            options, writer = _read("chat.completions.create", arguments)
            if writer is not None:
                return await AsyncStream(self._calls.asend_streaming_request(**options), writer).opened()
            return completion_of(await self._calls.asend_request(**options))

    async def parse(self, **arguments: Any) -> ChatCompletion:
        """Ask for an answer that is a value of ``response_format``; see ``Completions.parse``."""
        with translated():
            options, _ = _read("chat.completions.parse", arguments)
            response = await self._calls.asend_request(**options)
            return parsed_completion_of(response, options.get("tools", ()))


def _read(method: str, arguments: Mapping[str, Any]) -> Tuple[Dict[str, Any], Optional[ChunkWriter]]:
    """The arguments of the library's method, and for a stream what writes its chunks."""
    given = _hidden(arguments)
    streamed = bool(given.pop("stream", False))
    with_usage = bool((given.pop("stream_options", None) or {}).get("include_usage"))
    options = chat_arguments(method, given)
    if not streamed:
        return options, None
    if method.endswith("parse"):
        raise bad_request("parse gives whole answers. Leave out stream, or use create.", param="stream")
    if options.get("n", 1) != 1:
        raise bad_request("A stream has one answer. Leave out n, or stream.", param="n")
    return options, ChunkWriter(options["model"], with_usage)


def _hidden(arguments: Mapping[str, Any]) -> Dict[str, Any]:
    """What was given, with keys in headers kept out of tracebacks."""
    given = given_only(arguments)
    if isinstance(given.get("extra_headers"), Mapping):
        given["extra_headers"] = hidden(given["extra_headers"])
    return given


class Embeddings:
    """What stands below ``client.embeddings``."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.with_raw_response = RawReplies(self)

    def create(self, **arguments: Any) -> CreateEmbeddingResponse:
        """Turn texts into vectors.

        Args:
            **arguments: Those of the SDK's method; ``input`` is a text or a list of texts. ``model`` is an
                embedding model of the active provider.

        Returns:
            The vectors, in the order of the texts.

        Raises:
            OpenAIError: Its subclasses are those of the SDK.
            TypeError: An argument is unknown, or ``input`` or ``model`` is missing.
        """
        with translated():
            options, in_base64 = embedding_arguments(_hidden(arguments))
            return embeddings_of(self._calls.embed(**options), in_base64)


class AsyncEmbeddings:
    """What stands below ``client.embeddings`` of an async client."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.with_raw_response = RawReplies(self)

    async def create(self, **arguments: Any) -> CreateEmbeddingResponse:
        """Turn texts into vectors; arguments, result and errors are those of ``Embeddings.create``."""
        with translated():
            options, in_base64 = embedding_arguments(_hidden(arguments))
            return embeddings_of(await self._calls.aembed(**options), in_base64)


class Responses:
    """What stands below ``client.responses``."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.with_raw_response = RawReplies(self)

    def create(self, **arguments: Any) -> Any:
        """Ask for an answer.

        Args:
            **arguments: Those of the SDK's method, and the library's own, as in ``chat.completions.create``.

        Returns:
            A ``Response``; with ``stream=True`` a ``Stream`` of events, once the provider answers.

        Raises:
            OpenAIError: Its subclasses are those of the SDK.
            TypeError: An argument is unknown, or ``input`` or ``model`` is missing.
        """
        with translated():
            options, writer = _read_response("responses.create", arguments)
            if writer is not None:
                return Stream(self._calls.send_streaming_request(**options), writer)
            return response_of(self._calls.send_request(**options), options)

    def parse(self, **arguments: Any) -> Response:
        """Ask for an answer that is a value of ``text_format``, a pydantic class.

        Args:
            **arguments: Those of ``create``, but ``stream``.

        Returns:
            The answer; ``output_parsed`` is the value.

        Raises:
            OpenAIError: As in ``chat.completions.parse``.
        """
        with translated():
            options, _ = _read_response("responses.parse", arguments)
            return response_of(self._calls.send_request(**options), options)


class AsyncResponses:
    """What stands below ``client.responses`` of an async client."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.with_raw_response = RawReplies(self)

    async def create(self, **arguments: Any) -> Any:
        """Ask for an answer; arguments, result and errors are those of ``Responses.create``."""
        with translated():
            options, writer = _read_response("responses.create", arguments)
            if writer is not None:
                return await AsyncStream(self._calls.asend_streaming_request(**options), writer).opened()
            return response_of(await self._calls.asend_request(**options), options)

    async def parse(self, **arguments: Any) -> Response:
        """Ask for an answer that is a value of ``text_format``; see ``Responses.parse``."""
        with translated():
            options, _ = _read_response("responses.parse", arguments)
            return response_of(await self._calls.asend_request(**options), options)


def _read_response(method: str, arguments: Mapping[str, Any]) -> Tuple[Dict[str, Any], Optional[EventWriter]]:
    """The arguments of the library's method, and for a stream what writes its events."""
    given = _hidden(arguments)
    streamed = bool(given.pop("stream", False))
    given.pop("stream_options", None)  # the usage is in the last event anyway
    options = response_arguments(method, given)
    if streamed and method.endswith("parse"):
        raise bad_request("parse gives whole answers. Leave out stream, or use create.", param="stream")
    return options, EventWriter(options) if streamed else None
