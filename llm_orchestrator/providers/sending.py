"""How one request is sent and its reply read, whatever it asks for.

Time is kept, every error becomes one of ours, and nothing stays open. Sync and async differ only in the lines
that wait. What is asked, and what becomes of the reply, stands in ``base``.
"""

from __future__ import annotations

import math
from typing import Any, Dict, Mapping, Optional, Tuple

from llm_orchestrator.exceptions import ProviderTimeoutError
from llm_orchestrator.providers.adapter import Adapter
from llm_orchestrator.providers.errors import ErrorsOfCall, ErrorsOfSending
from llm_orchestrator.providers.http.deadlines import LoopWatch, ThreadWatch
from llm_orchestrator.providers.http.reader import BodyReader, next_chunk
from llm_orchestrator.providers.wire import Limits, RawReply, WireRequest, abody_of, body_of, close_reply
from llm_orchestrator.types import LLMRequest
from llm_orchestrator.utils.values import evolve

__all__ = ["SendingAdapter"]


class SendingAdapter(Adapter):
    """An adapter whose requests are sent."""

    def limits(self, request: Optional[LLMRequest] = None) -> Limits:
        """How long one attempt may take."""
        silence = request.timeout if request is not None and request.timeout is not None else self.timeout
        deadline = request.deadline if request is not None and request.deadline is not None else math.inf
        limits = Limits(min(self.connect_timeout, silence), silence, deadline)
        if limits.left() <= 0:
            error = ProviderTimeoutError("total_timeout was over before the request could be sent. Raise it.")
            error.sent = False
            raise error
        return limits

    def errors(self, request: Optional[LLMRequest] = None) -> ErrorsOfCall:
        """A context in which every error of SDK, HTTP library and JSON becomes one of ours."""
        return ErrorsOfCall(self, request)

    def _with_headers(self, wire: WireRequest) -> WireRequest:
        return evolve(wire, headers={**self.headers, **wire.headers}) if self.headers else wire

    def _open(self, wire: WireRequest, limits: Limits) -> Tuple[RawReply, ThreadWatch]:
        watch = ThreadWatch(limits)
        try:
            with ErrorsOfSending(wire), watch.until_open():
                reply = self.open_call(wire, limits)
        except BaseException:
            watch.stop()  # nobody else will: there is no reply
            raise
        watch.attach(reply)
        return reply, watch

    async def _aopen(self, wire: WireRequest, limits: Limits) -> Tuple[RawReply, LoopWatch]:
        await self.aget_ready()
        watch = LoopWatch(limits)
        try:
            with ErrorsOfSending(wire), watch:
                reply = await self.aopen_call(wire, limits)
        except BaseException:
            watch.stop()  # as in _open
            raise
        return reply, watch

    def _exchange(self, wire: WireRequest, limits: Limits) -> Tuple[Dict[str, Any], Mapping[str, str]]:
        reply, watch = self._open(wire, limits)
        try:
            body = BodyReader()
            chunks = body_of(reply)
            while not body.ended:
                with watch:
                    body.feed(next(chunks, None))
            return body.document(), reply.headers
        finally:
            watch.stop()
            reply.close()

    async def _aexchange(self, wire: WireRequest, limits: Limits) -> Tuple[Dict[str, Any], Mapping[str, str]]:
        reply, watch = await self._aopen(wire, limits)
        chunks = abody_of(reply)
        try:
            body = BodyReader()
            while not body.ended:
                with watch:
                    body.feed(await next_chunk(chunks))
            return body.document(), reply.headers
        finally:
            watch.stop()
            await close_reply(reply, chunks)
