"""What the benchmarks compare: the library, the vendor SDKs' documented typed calls, the HTTP library alone.

Each contender asks the same question of the same server, whole and streamed, sync and async. The SDKs are
used as their guides show, with retries off; the library with its ledger on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Awaitable, Callable, Dict, NamedTuple

from llm_orchestrator import LLMOrchestrator

KEY = "sk-benchmark-key"
MODEL, QUESTION, LIMIT = "canned", "Hi", 600
MESSAGES = [{"role": "user", "content": QUESTION}]
DIALECTS = ("chat", "responses", "anthropic", "gemini")
TITLES = {
    "chat": "OpenAI Chat",
    "responses": "OpenAI Responses",
    "anthropic": "Anthropic",
    "gemini": "Gemini",
}

Sync = Callable[[], Any]
Async = Callable[[], Awaitable[Any]]


class Contender(NamedTuple):
    """One way to ask: whole and streamed, sync and async."""

    whole: Sync
    stream: Sync
    awhole: Async
    astream: Async


def configuration(url: str, ledger: Path) -> Dict[str, Any]:
    """The configuration with one entry for each dialect.

    Args:
        url: Where the canned server listens.
        ledger: The ledger's file.

    Returns:
        The configuration.
    """
    openai = {"api_key": KEY, "adapter": "openai", "base_url": f"{url}/v1"}
    return {
        "active_provider": "chat",
        "active_model": MODEL,
        "providers": {
            "chat": {**openai, "api": "chat"},
            "responses": {**openai, "api": "responses"},
            "anthropic": {"api_key": KEY, "base_url": url},
            "gemini": {"api_key": KEY, "base_url": url},
        },
        "cost_tracking": {"log_path": str(ledger)},
    }


def library(orchestrator: LLMOrchestrator, dialect: str) -> Contender:
    """Ask through the library.

    Args:
        orchestrator: Has an entry for each dialect.
        dialect: One of ``DIALECTS``.

    Returns:
        The contender.
    """
    ours = orchestrator.for_provider(dialect, MODEL)

    def stream() -> None:
        for _ in ours.send_streaming_request(QUESTION, max_tokens=LIMIT):
            pass

    async def astream() -> None:
        async for _ in ours.asend_streaming_request(QUESTION, max_tokens=LIMIT):
            pass

    return Contender(
        whole=lambda: ours.send_request(QUESTION, max_tokens=LIMIT),
        stream=stream,
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
        create = anthropic.Anthropic(**arguments).messages.create
        acreate = anthropic.AsyncAnthropic(**arguments).messages.create
        return _created(create, acreate, messages=MESSAGES, max_tokens=LIMIT)
    import openai

    arguments = {"api_key": KEY, "base_url": f"{url}/v1", "max_retries": 0}
    client, aclient = openai.OpenAI(**arguments), openai.AsyncOpenAI(**arguments)
    if dialect == "chat":
        return _created(
            client.chat.completions.create,
            aclient.chat.completions.create,
            messages=MESSAGES,
            max_tokens=LIMIT,
        )
    return _created(
        client.responses.create, aclient.responses.create, input=QUESTION, max_output_tokens=LIMIT
    )


def _created(create: Any, acreate: Any, **arguments: Any) -> Contender:
    def stream() -> None:
        for _ in create(model=MODEL, stream=True, **arguments):
            pass

    async def astream() -> None:
        async for _ in await acreate(model=MODEL, stream=True, **arguments):
            pass

    return Contender(
        whole=lambda: create(model=MODEL, **arguments),
        stream=stream,
        awhole=lambda: acreate(model=MODEL, **arguments),
        astream=astream,
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

    def stream() -> None:
        for _ in client.models.generate_content_stream(**asked):
            pass

    async def astream() -> None:
        async for _ in await client.aio.models.generate_content_stream(**asked):
            pass

    return Contender(
        whole=lambda: client.models.generate_content(**asked),
        stream=stream,
        awhole=lambda: client.aio.models.generate_content(**asked),
        astream=astream,
    )


def generic_call(url: str, dialect: str) -> Sync:
    """Ask for a whole answer by the SDK's generic call, which builds no models: the floor of who uses it.

    Args:
        url: Where the canned server listens.
        dialect: One of ``DIALECTS``.

    Returns:
        Sends the request and reads the reply's bytes; for Gemini, whose SDK has none, nothing but HTTP.
    """
    if dialect == "gemini":
        return http_alone(url).whole
    from llm_orchestrator.providers.http.library import http_library_of

    body: Dict[str, Any] = {"model": MODEL, "messages": MESSAGES, "max_tokens": LIMIT}
    if dialect == "anthropic":
        import anthropic as vendor

        path, client = "/v1/messages", vendor.Anthropic(api_key=KEY, base_url=url, max_retries=0)
    else:
        import openai as vendor

        path, client = "/chat/completions", vendor.OpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0)
    if dialect == "responses":
        path, body = "/responses", {"model": MODEL, "input": QUESTION, "max_output_tokens": LIMIT}
    response: Any = http_library_of(vendor).Response
    return lambda: client.post(path, body=body, cast_to=response, stream=True).read()


def http_alone(url: str) -> Contender:
    """Send the bytes of a Chat request with the HTTP library that the SDKs use: the floor.

    Args:
        url: Where the canned server listens.

    Returns:
        The contender.
    """
    import openai

    from llm_orchestrator.providers.http.library import http_library_of

    http = http_library_of(openai)
    client, aclient = http.Client(), http.AsyncClient()
    address = f"{url}/v1/chat/completions"
    body = {"model": MODEL, "messages": MESSAGES, "max_tokens": LIMIT}
    streamed = {**body, "stream": True}

    def stream() -> None:
        with client.stream("POST", address, json=streamed) as reply:
            for _ in reply.iter_bytes():
                pass

    async def astream() -> None:
        async with aclient.stream("POST", address, json=streamed) as reply:
            async for _ in reply.aiter_bytes():
                pass

    return Contender(
        whole=lambda: client.post(address, json=body),
        stream=stream,
        awhole=lambda: aclient.post(address, json=body),
        astream=astream,
    )
