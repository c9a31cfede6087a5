"""The way through google-genai's public calls, for releases without the private ones we use otherwise.

The JSON body travels in the SDK's ``extra_body``, which replaces what the typed arguments say; the typed
result is dumped by its JSON names. That is slower, knows one timeout only, and loses the fields that the
SDK does not know.
"""

from __future__ import annotations

import json
import re
from collections import abc
from typing import Any, AsyncGenerator, AsyncIterator, Dict, Generator, Tuple
from urllib.parse import parse_qs

from llm_orchestrator.providers.wire import BufferedReply, Limits, RawReply, WireRequest
from llm_orchestrator.types import JSON

__all__ = ["TypedCalls"]

PATH = re.compile(r"(publishers/google/)?models(/(?P<model>[^:?]+)(:(?P<method>\w+))?)?(\?(?P<query>.*))?")
METHODS = {"generateContent": "generate_content", "streamGenerateContent": "generate_content_stream"}
#: Fields that the SDK adds to its results; they are not Gemini's.
SDK_FIELDS = {"sdk_http_response", "automatic_function_calling_history", "parsed"}

Call = Tuple[str, Dict[str, Any]]


class TypedCalls:
    """Makes requests by the typed calls of one client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def open(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Make one call; of a stream, up to its first event."""
        name, arguments = _typed_call(wire, limits)
        result = getattr(self._client.models, name)(**arguments)
        if name != "generate_content_stream":
            return _whole_reply(result)
        events = _events(result)
        return BufferedReply(_with_first(next(events, b""), events))

    async def aopen(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Make one call, async; of a stream, up to its first event."""
        name, arguments = _typed_call(wire, limits)
        result = await getattr(self._client.aio.models, name)(**arguments)
        if name != "generate_content_stream":
            return _whole_reply(result)
        reply = _AsyncReply(_aevents(result))
        await reply.read_first()
        return reply


class _AsyncReply(BufferedReply):
    """A reply whose bytes come from an async generator."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(())
        self._events = events
        self._first = b""

    async def read_first(self) -> None:
        """Wait for the first event, so that an error is raised before the reply is handed out."""
        async for event in self._events:
            self._first = event
            return

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        """The body, piece by piece."""
        yield self._first
        async for event in self._events:
            yield event

    async def aclose(self) -> None:
        """Stop the source of the bytes."""
        await self._events.aclose()


def _typed_call(wire: WireRequest, limits: Limits) -> Call:
    """The typed call that sends a request, by name, and its arguments."""
    place = PATH.fullmatch(wire.path)
    assert place is not None, wire.path
    options = {"headers": dict(wire.headers), "timeout": int(limits.head() * 1000)}
    if place["method"]:
        config: Dict[str, Any] = {
            "http_options": {**options, "extra_body": wire.body},
            "automatic_function_calling": {"disable": True},
            **_no_second_request(),
        }
        arguments = {"model": place["model"], "contents": "replaced by extra_body", "config": config}
        return METHODS[place["method"]], arguments
    if place["model"]:
        return "get", {"model": place["model"], "config": {"http_options": options}}
    query = parse_qs(place["query"] or "")
    page = {"page_size": int(query["pageSize"][0]), "page_token": query.get("pageToken", [None])[0]}
    return "list", {"config": {"http_options": options, **page}}


def _no_second_request() -> Dict[str, Any]:
    """Newer releases would ask Gemini to continue a long answer, which is a request that nobody counts."""
    from google.genai import types

    known = "automatic_continuation" in types.GenerateContentConfig.model_fields
    return {"automatic_continuation": False} if known else {}


def _whole_reply(result: Any) -> BufferedReply:
    return BufferedReply([json.dumps(_document(result)).encode()])


def _document(result: Any) -> Dict[str, Any]:
    if hasattr(result, "page"):
        models = [_document(model) for model in result.page]
        return {"models": models, "nextPageToken": result.config.get("page_token")}
    document: Dict[str, Any] = result.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude=SDK_FIELDS
    )
    if "supportedActions" in document:
        document["supportedGenerationMethods"] = document.pop("supportedActions")
    for candidate in document.get("candidates", ()):
        for part in candidate.get("content", {}).get("parts", ()):
            _restore_base64(part)
    return document


def _restore_base64(part: Dict[str, Any]) -> None:
    """Undo the SDK's change of alphabet: signatures must go back as they came."""
    if "thoughtSignature" in part:
        part["thoughtSignature"] = _standard_alphabet(part["thoughtSignature"])
    if "inlineData" in part:
        part["inlineData"]["data"] = _standard_alphabet(part["inlineData"]["data"])


def _standard_alphabet(base64: str) -> str:
    return base64.replace("-", "+").replace("_", "/")


def _with_first(first: bytes, events: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    try:
        yield first
        yield from events
    finally:
        events.close()


def _events(chunks: Any) -> Generator[bytes, None, None]:
    try:
        for chunk in chunks:
            yield _event(_document(chunk))
    except Exception as error:  # noqa: BLE001 (what Gemini sent goes on; all else is raised again)
        yield _event(_sent_error(error))
    finally:
        chunks.close()


async def _aevents(chunks: Any) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in chunks:
            yield _event(_document(chunk))
    except Exception as error:  # noqa: BLE001 (what Gemini sent goes on; all else is raised again)
        yield _event(_sent_error(error))
    finally:
        await chunks.aclose()


def _sent_error(error: Exception) -> JSON:
    details = getattr(error, "details", None)
    if isinstance(details, abc.Mapping) and "error" in details:
        return details
    raise error


def _event(document: JSON) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"
