"""Claude on Amazon Bedrock, through the SDK's ``AnthropicBedrock``, which signs with AWS credentials.

Bedrock streams in a binary format of its own; it becomes server-sent events here, before anybody reads it.
"""

from __future__ import annotations

import base64
import json
import os
from typing import Any, AsyncIterator, ClassVar, Dict, Iterator, Mapping, Optional, Tuple

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.providers.anthropic_adapter import AnthropicAdapter
from llm_orchestrator.providers.clouds.base import ConfiguredNames, with_version_in_body
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.failures import Failure
from llm_orchestrator.providers.wire import Limits, RawReply, WireRequest
from llm_orchestrator.types import JSON, LLMRequest
from llm_orchestrator.utils.values import evolve

__all__ = ["BedrockAdapter"]

API_VERSION = "bedrock-2023-05-31"
EVENT_STREAM = "application/vnd.amazon.eventstream"
#: Routes of this kind are billed at Anthropic's list prices, others ten percent above.
GLOBAL_ROUTE = "global."
#: What the SDK says when the chain of AWS ends without credentials; it has no class for it.
NO_CREDENTIALS = "resolve credentials", "resolve AWS credentials"
ERROR_TYPE = "x-amzn-errortype"


class BedrockAdapter(ConfiguredNames, AnthropicAdapter):
    """Claude in one AWS region."""

    service: ClassVar[str] = "aws.bedrock"
    extra: ClassVar[str] = "bedrock"
    platform: ClassVar[str] = "Bedrock"
    credential_packages: ClassVar[Tuple[str, ...]] = ("botocore", "boto3")
    credential_remedy: ClassVar[str] = "Run: aws configure, or set AWS's variables or api_key in the entry."

    def __init__(
        self,
        name: str,
        *,
        region: Optional[str] = None,
        api_version: Optional[str] = None,
        api_key: Optional[str] = None,
        **settings: Any,
    ) -> None:
        api_key = api_key or os.environ.get(
            "AWS_BEARER_TOKEN_BEDROCK"
        )  # a part of the chain, kept out of texts
        super().__init__(name, api_key=api_key, api_version=api_version or API_VERSION, **settings)
        self._region = self.required("region", region)

    def price_provider_of(self, model: str) -> str:
        """Whose price list holds: Anthropic's for global routes, nobody's for others."""
        return self.protocol if model.startswith(GLOBAL_ROUTE) else self.name

    def client_arguments(self) -> Dict[str, Any]:
        """The arguments of both clients; see ``AnthropicAdapter.client_arguments``."""
        if self._api_key is None:
            self.package("boto3")
        self.package("botocore")
        return {
            "api_key": self._api_key,
            "aws_region": self._region,
            "base_url": self.base_url or f"https://bedrock-runtime.{self._region}.amazonaws.com",
        }

    def build_attempt(self, request: LLMRequest, context: AttemptContext, *, stream: bool) -> WireRequest:
        """Translate a request, whose model the SDK moves into the path; see ``AnthropicAdapter``."""
        return with_version_in_body(super().build_attempt(request, context, stream=stream), self.api_version)

    def parse_failure(self, body: JSON, status_code: Optional[int], headers: Mapping[str, str]) -> Failure:
        """Read a failure, whose kind Bedrock tells in a header; see ``Adapter.parse_failure``."""
        failure = super().parse_failure(body, status_code, headers)
        kind = (headers.get(ERROR_TYPE) or "").partition(":")[0]
        return evolve(failure, codes=(kind, *failure.codes)) if kind else failure

    def open_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request; see ``Adapter.open_call``."""
        return _readable(super().open_call(wire, limits))

    async def aopen_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request; see ``Adapter.aopen_call``."""
        return _readable(await super().aopen_call(wire, limits))

    def _is_about_credentials(self, error: BaseException) -> bool:
        told = type(error) is RuntimeError and any(words in str(error) for words in NO_CREDENTIALS)
        return told or super()._is_about_credentials(error)


def _readable(reply: RawReply) -> RawReply:
    is_stream = str(reply.headers.get("content-type", "")).startswith(EVENT_STREAM)
    return _EventStream(reply) if is_stream else reply


class _EventStream:
    """A reply in Amazon's event-stream format that reads as server-sent events."""

    def __init__(self, reply: RawReply) -> None:
        from botocore.eventstream import EventStreamBuffer

        self._reply = reply
        self._buffer = EventStreamBuffer()
        self.status_code = reply.status_code
        self.headers = reply.headers
        self.extensions = getattr(reply, "extensions", {})  # the socket is found there when time is up

    def iter_bytes(self) -> Iterator[bytes]:
        """The body as server-sent events."""
        for chunk in self._reply.iter_bytes():
            yield self._events(chunk)

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        """The body as server-sent events, for async callers."""
        async for chunk in self._reply.aiter_bytes():
            yield self._events(chunk)

    def close(self) -> None:
        """Release the connection."""
        self._reply.close()

    async def aclose(self) -> None:
        """Release the connection, for async callers."""
        await self._reply.aclose()

    def _events(self, chunk: bytes) -> bytes:
        from botocore.eventstream import ParserError

        try:
            self._buffer.add_data(chunk)
            return b"".join(_event(message) for message in self._buffer)
        except (ParserError, ValueError, TypeError) as error:
            raise InvalidResponseError(f"The event stream is damaged: {error}. Try again.") from error


def _event(message: Any) -> bytes:
    """One message as a server-sent event; an exception in the stream reads as Anthropic's error event."""
    content = json.loads(message.payload or b"{}")
    if not isinstance(content, dict):
        raise ValueError("a message holds no JSON object")
    kind = message.headers.get(":exception-type") or message.headers.get(":error-code")
    if kind:
        text = content.get("message") or message.headers.get(":error-message") or ""
        data = json.dumps({"type": "error", "error": {"type": kind, "message": text}}).encode()
    else:
        data = base64.b64decode(content.get("bytes") or "", validate=True)
    return b"data: " + data + b"\n\n" if data else b""
