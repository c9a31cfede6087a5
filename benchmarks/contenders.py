"""What the benchmarks compare: the library, the vendor SDKs' documented typed calls, the HTTP library alone.

Each contender asks the same question of the same server, whole and streamed, sync and async. The SDKs are
used as their guides show, with retries off; the library with its ledger on.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncIterable,
    Awaitable,
    Callable,
    Dict,
    Iterable,
    NamedTuple,
    Optional,
    Sequence,
)

if TYPE_CHECKING:
    from llm_orchestrator import LLMOrchestrator

KEY = "sk-benchmark-key"
MODEL, QUESTION, LIMIT = "canned", "Hi", 600
MESSAGES = [{"role": "user", "content": QUESTION}]
TRANSPORTS = ("direct", "sdk")
DIALECTS = ("chat", "responses", "anthropic", "gemini")
TITLES = {
    "chat": "OpenAI Chat",
    "responses": "OpenAI Responses",
    "anthropic": "Anthropic",
    "gemini": "Gemini",
}


class Contender(NamedTuple):
    """One way to ask: whole and streamed, sync and async; a stream is not read yet.

    Its async client must be closed on its loop; the library's belongs to the orchestrator.
    """

    whole: Callable[[], Any]
    stream: Callable[[], Iterable[Any]]
    awhole: Callable[[], Awaitable[Any]]
    astream: Callable[[], Awaitable[AsyncIterable[Any]]]
    aclose: Optional[Callable[[], Awaitable[Any]]] = None

    def drain(self) -> None:
        """Read a stream to its end."""
        for _ in self.stream():
            pass

    async def adrain(self) -> None:
        """Read a stream to its end, async."""
        async for _ in await self.astream():
            pass


def configuration(url: str, ledger: Path, transports: Sequence[str] = TRANSPORTS) -> Dict[str, Any]:
    """The configuration with an entry for each dialect and each transport.

    Args:
        url: Where the canned server listens.
        ledger: The ledger's file.
        transports: Those that are needed.

    Returns:
        The configuration.
    """
    openai = {"api_key": KEY, "adapter": "openai", "base_url": f"{url}/v1"}
    entries: Dict[str, Dict[str, Any]] = {
        "chat": {**openai, "api": "chat"},
        "responses": {**openai, "api": "responses"},
        "anthropic": {"api_key": KEY, "adapter": "anthropic", "base_url": url},
        "gemini": {"api_key": KEY, "adapter": "gemini", "base_url": url},
    }
    return {
        "active_provider": "chat",
        "active_model": MODEL,
        "providers": {
            name if transport == "direct" else f"{name}-{transport}": {**entry, "transport": transport}
            for name, entry in entries.items()
            for transport in transports
        },
        "cost_tracking": {"log_path": str(ledger)},
    }


def library(orchestrator: LLMOrchestrator, entry: str) -> Contender:
    """Ask through the library.

    Args:
        orchestrator: Has two entries for each dialect.
        entry: One of ``DIALECTS``, with ``-sdk`` behind it for the SDK's transport.

    Returns:
        The contender.
    """
    ours = orchestrator.for_provider(entry, MODEL)

    async def astream() -> AsyncIterable[Any]:
        return ours.asend_streaming_request(QUESTION, max_tokens=LIMIT)

    return Contender(
        whole=lambda: ours.send_request(QUESTION, max_tokens=LIMIT),
        stream=lambda: ours.send_streaming_request(QUESTION, max_tokens=LIMIT),
        awhole=lambda: ours.asend_request(QUESTION, max_tokens=LIMIT),
        astream=astream,
    )


def sdk(url: str, dialect: str) -> Contender:
    """Ask through the vendor's SDK, by the call its guide shows.

    Args:
        url: Where the canned server listens.
        dialect: One of ``DIALECTS``.

    Returns:
        The contender.
    """
    if dialect == "gemini":
        return _gemini(url)
    if dialect == "anthropic":
        import anthropic

        arguments: Dict[str, Any] = {"api_key": KEY, "base_url": url, "max_retries": 0}
        claude, aclaude = anthropic.Anthropic(**arguments), anthropic.AsyncAnthropic(**arguments)
        return _created(aclaude, claude.messages, aclaude.messages, messages=MESSAGES, max_tokens=LIMIT)
    import openai

    arguments = {"api_key": KEY, "base_url": f"{url}/v1", "max_retries": 0}
    client, aclient = openai.OpenAI(**arguments), openai.AsyncOpenAI(**arguments)
    if dialect == "chat":
        asked = client.chat.completions, aclient.chat.completions
        return _created(aclient, *asked, messages=MESSAGES, max_tokens=LIMIT)
    return _created(aclient, client.responses, aclient.responses, input=QUESTION, max_output_tokens=LIMIT)


def _created(aclient: Any, resource: Any, aresource: Any, **arguments: Any) -> Contender:
    create, acreate = resource.create, aresource.create
    return Contender(
        whole=lambda: create(model=MODEL, **arguments),
        stream=lambda: create(model=MODEL, stream=True, **arguments),
        awhole=lambda: acreate(model=MODEL, **arguments),
        astream=lambda: acreate(model=MODEL, stream=True, **arguments),
        aclose=aclient.close,
    )


def _gemini(url: str) -> Contender:
    from google import genai
    from google.genai import types

    client = genai.Client(api_key=KEY, vertexai=False, http_options=types.HttpOptions(base_url=url))
    asked: Dict[str, Any] = {
        "model": MODEL,
        "contents": QUESTION,
        "config": types.GenerateContentConfig(max_output_tokens=LIMIT),
    }
    return Contender(
        whole=lambda: client.models.generate_content(**asked),
        stream=lambda: client.models.generate_content_stream(**asked),
        awhole=lambda: client.aio.models.generate_content(**asked),
        astream=lambda: client.aio.models.generate_content_stream(**asked),
        aclose=client.aio.aclose,
    )


def http_alone(url: str) -> Contender:
    """Send the bytes of a Chat request with the HTTP library that the SDKs use: the floor of who uses it.

    Args:
        url: Where the canned server listens.

    Returns:
        The contender.
    """
    import openai

    from llm_orchestrator.providers.http.library import http_library_of

    http = http_library_of(openai)
    # As many connections as the SDKs allow; the HTTP library alone would stop at a hundred.
    settings: Dict[str, Any] = {"timeout": 600, "limits": http.Limits(max_connections=1000)}
    client, aclient = http.Client(**settings), http.AsyncClient(**settings)
    address = f"{url}/v1/chat/completions"
    body = {"model": MODEL, "messages": MESSAGES, "max_tokens": LIMIT}
    streamed = {**body, "stream": True}

    def stream() -> Iterable[bytes]:
        reply = client.send(client.build_request("POST", address, json=streamed), stream=True)
        with closing(reply):
            yield from reply.iter_bytes()

    async def astream() -> AsyncIterable[bytes]:
        reply = await aclient.send(aclient.build_request("POST", address, json=streamed), stream=True)
        pieces: AsyncIterable[bytes] = reply.aiter_bytes()  # closes the reply at its end
        return pieces

    return Contender(
        whole=lambda: client.post(address, json=body),
        stream=stream,
        awhole=lambda: aclient.post(address, json=body),
        astream=astream,
        aclose=aclient.aclose,
    )
