"""Sends JSON through google-generativeai: the one module that uses the deprecated SDK.

It uses the clients below the SDK's ``configure()``, whose settings would hold for the whole process. They
turn JSON into protocol buffers and back, so what they have no field for cannot be sent. Their REST has no
async calls; a thread waits for async callers.
"""

from __future__ import annotations

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, AsyncIterator, Dict, Iterator, Optional
from urllib.parse import parse_qs, unquote, urlsplit

from llm_orchestrator.exceptions import (
    InvalidRequestError,
    InvalidResponseError,
    ProviderError,
    ProviderTimeoutError,
)
from llm_orchestrator.providers.gemini.embeddings import EMBED_METHOD
from llm_orchestrator.providers.gemini.requests import COUNT_METHOD
from llm_orchestrator.providers.http.error_bodies import bad_status
from llm_orchestrator.providers.http.exceptions import causes_of
from llm_orchestrator.providers.http.pools import MAX_CONNECTIONS
from llm_orchestrator.providers.wire import BufferedReply, Limits, RawReply, WireRequest

__all__ = ["LegacyTransport", "error_of_legacy"]


class LegacyTransport:
    """The clients of google-generativeai for one address."""

    #: What has to be installed.
    PACKAGE = "google.ai.generativelanguage_v1beta"

    def __init__(self, *, api_key: str, base_url: str) -> None:
        from google.ai import generativelanguage_v1beta as api
        from requests.adapters import HTTPAdapter

        self._api = api
        options = {"api_key": api_key, "api_endpoint": base_url.rstrip("/")}
        self._answers = api.GenerativeServiceClient(transport="rest", client_options=options)
        self._models = api.ModelServiceClient(transport="rest", client_options=options)
        for client in (self._answers, self._models):
            # A bad status is seen here first: the SDK would follow redirects with the key, repeat what got
            # status 401, and fail to read errors wrapped in an array.
            session = client.transport._session
            session.hooks["response"] = _raise_for_status
            for scheme in ("https://", "http://"):  # or the SDK would warn of every thread above the tenth
                session.mount(scheme, HTTPAdapter(pool_maxsize=MAX_CONNECTIONS))

    def open(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request; of a stream, wait for its head."""
        url = urlsplit(wire.path)
        options = {
            "timeout": limits.head(),
            "retry": None,
            "metadata": tuple((name.lower(), value) for name, value in wire.headers.items()),
        }
        if wire.body is None:
            return self._look_up(unquote(url.path), parse_qs(url.query), options)
        model, _, method = url.path.rpartition(":")
        if method == COUNT_METHOD:
            count = self._request(self._api.CountTokensRequest, {**wire.body, "model": unquote(model)})
            return _whole(self._answers.count_tokens(count, **options))
        if method == EMBED_METHOD:
            texts = self._request(self._api.BatchEmbedContentsRequest, {**wire.body, "model": unquote(model)})
            return _whole(self._answers.batch_embed_contents(texts, **options))
        request = self._request(self._api.GenerateContentRequest, {**wire.body, "model": unquote(model)})
        if method == "generateContent":
            return _whole(self._answers.generate_content(request, **options))
        return BufferedReply(_events(self._answers.stream_generate_content(request, **options)))

    async def aopen(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request, async; see ``open``."""
        thread = ThreadPoolExecutor(1)  # not the loop's own, which an application may have filled
        try:
            return _ThreadedReply(await _run(thread, self.open, wire, limits), thread)
        except BaseException:  # cancelled, too: without a reply nothing else ends the thread
            thread.shutdown(wait=False)
            raise

    def close(self) -> None:
        """Close the connections."""
        for client in (self._answers, self._models):
            client.transport._session.close()

    async def aclose(self) -> None:
        """Close the connections."""
        self.close()

    def _request(self, kind: Any, body: Dict[str, Any]) -> Any:
        from google.protobuf import json_format

        try:
            return kind.wrap(json_format.ParseDict(body, kind.pb(kind())))
        except json_format.ParseError as error:
            rejected = InvalidRequestError(
                f"google-generativeai cannot send this: {error}. Leave it out, or use the adapter gemini."
            )
            rejected.sent = False
            raise rejected from error

    def _look_up(self, path: str, query: Dict[str, Any], options: Dict[str, Any]) -> RawReply:
        if path != "models":
            return _whole(self._models.get_model(self._api.GetModelRequest(name=path), **options))
        page = self._api.ListModelsRequest(
            page_size=int(query["pageSize"][0]), page_token=query.get("pageToken", [""])[0]
        )
        pages = self._models.list_models(page, **options).pages
        return _whole(next(iter(pages)))


class _ThreadedReply(BufferedReply):
    """A reply that is read in a thread of its own, for async callers."""

    def __init__(self, reply: Any, thread: ThreadPoolExecutor) -> None:
        super().__init__(reply.iter_bytes())
        self._thread = thread

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        """The body, piece by piece."""
        while True:
            chunk: Optional[bytes] = await _run(self._thread, next, self._chunks, None)
            if chunk is None:
                return
            yield chunk

    async def aclose(self) -> None:
        """Stop the source of the bytes, once the thread is done with it."""
        self._thread.submit(self.close)
        self._thread.shutdown(wait=False)


async def _run(thread: ThreadPoolExecutor, work: Any, *arguments: Any) -> Any:
    import asyncio

    return await asyncio.get_running_loop().run_in_executor(thread, work, *arguments)


def error_of_legacy(error: Exception) -> Optional[ProviderError]:
    """Turn the exceptions that only this SDK raises into ours."""
    requests, json_format = (sys.modules.get(name) for name in ("requests", "google.protobuf.json_format"))
    if (
        requests is not None
        and isinstance(error, requests.exceptions.RequestException)
        and _is_timeout(error)
    ):
        timeout = ProviderTimeoutError("The provider did not answer in time. Raise timeout, or try again.")
        timeout.sent = not isinstance(error, requests.exceptions.ConnectTimeout)
        return timeout
    if json_format is not None and isinstance(error, json_format.ParseError):
        return InvalidResponseError(f"The reply cannot be read: {error}. Try again.")
    return None


def _is_timeout(error: Exception) -> bool:
    """Whether time ran out: while a body is read, only the innermost cause says so."""
    return any(isinstance(cause, (TimeoutError, socket.timeout)) for cause in causes_of(error))


def _raise_for_status(response: Any, **others: Any) -> None:
    """Raise for a bad status, as a response hook."""
    if response.status_code != 200:
        raise bad_status(response.status_code, response.headers, response.content, response.request)


def _whole(message: Any) -> RawReply:
    return BufferedReply([json.dumps(_document(message)).encode()])


def _events(stream: Any) -> Iterator[bytes]:
    try:
        for message in stream:
            yield b"data: " + json.dumps(_document(message)).encode() + b"\n\n"
    finally:
        stream.cancel()


def _document(message: Any) -> Dict[str, Any]:
    from google.protobuf import json_format

    document: Dict[str, Any] = json_format.MessageToDict(type(message).pb(message))
    return document
