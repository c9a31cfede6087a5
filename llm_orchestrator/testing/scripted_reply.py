"""The open reply of a ``FakeProvider``, whose body is made from a ``FakeReply`` while it is read."""

from __future__ import annotations

import copy
import json
import time
from dataclasses import asdict
from typing import Any, AsyncIterator, Dict, Iterator, Mapping, Union

from llm_orchestrator.exceptions import OrchestratorError, ProviderTimeoutError
from llm_orchestrator.providers.wire import Limits, RawReply
from llm_orchestrator.testing.fake_logprobs import write_logprobs
from llm_orchestrator.testing.fake_reply import FakeReply
from llm_orchestrator.types import JSON, FinishReason, TokenUsage

__all__ = ["ScriptedReply", "words_in"]


def words_in(body: JSON) -> int:
    """The words of a request, which count as its tokens."""
    return sum(len(message["content"].split()) for message in body["messages"])


class ScriptedReply:
    """An open reply; its body is made from the script while it is read."""

    status_code = 200
    headers: Mapping[str, str] = {"x-request-id": "fake-request"}

    def __init__(self, reply: FakeReply, body: JSON, limits: Limits) -> None:
        self._reply = reply
        self._body = body
        self._limits = limits

    def open(self) -> RawReply:
        """Wait as the script says, and raise its error, as a request does."""
        pause = self._pause()
        time.sleep(pause)
        self._begin(pause)
        return self

    async def aopen(self) -> RawReply:
        """Wait as the script says, and raise its error, async."""
        import asyncio

        pause = self._pause()
        await asyncio.sleep(pause)
        self._begin(pause)
        return self

    def iter_bytes(self) -> Iterator[bytes]:
        """Make the body, with the script's pauses."""
        for step in self._steps():
            if isinstance(step, bytes):
                yield step
            else:
                time.sleep(step)

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        """Make the body, async."""
        import asyncio

        for step in self._steps():
            if isinstance(step, bytes):
                yield step
            else:
                await asyncio.sleep(step)

    def _steps(self) -> Iterator[Union[bytes, float]]:
        """The chunks of the body, and between them the seconds to wait."""
        for number, chunk in enumerate(self._chunks()):
            if number:
                pause = self._pause()
                yield pause
                self._check_time(pause)
            yield chunk
        self._fail()

    def close(self) -> None:
        """Do nothing: there is no connection."""

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""

    def _pause(self) -> float:
        return min(self._reply.delay, self._limits.head())

    def _begin(self, pause: float) -> None:
        """Raise the error of the script, or the timeout of an answer that comes too late."""
        self._check_time(pause)
        if not (self._body["stream"] and self._reply.pieces):
            self._fail()

    def _check_time(self, paused: float) -> None:
        if paused < self._reply.delay:
            error = ProviderTimeoutError("No answer in time. Increase timeout, or reduce the script's delay.")
            error.retry_limit = 1  # as with a provider that may be processing it
            raise error

    def _fail(self) -> None:
        error = self._reply.error
        if isinstance(error, OrchestratorError):
            raise copy.copy(error)  # a call sets fields of it, and the script may raise it again
        if error is not None:
            raise error

    def _chunks(self) -> Iterator[bytes]:
        if not self._body["stream"]:
            yield json.dumps({**self._end(), "text": self._text()}).encode()
            return
        for event in self._events():
            yield b"data: " + json.dumps(event).encode() + b"\n\n"

    def _events(self) -> Iterator[Dict[str, Any]]:
        if self._reply.reasoning:
            yield {"reasoning": self._reply.reasoning}
        for piece in self._reply.pieces:
            yield {"text": piece}
        for index, call in enumerate(self._reply.calls):
            yield {
                "call": {"index": index, "id": call.id, "name": call.name, "arguments": call.raw_arguments}
            }
        if self._reply.error is None:
            yield {"end": self._end()}

    def _text(self) -> str:
        return "".join(self._reply.pieces) if self._reply.text is None else self._reply.text

    def _end(self) -> Dict[str, Any]:
        reply = self._reply
        usual = FinishReason.TOOL_CALLS if reply.tool_calls else FinishReason.STOP
        return {
            "model": self._body["model"],
            "finish_reason": FinishReason(reply.finish_reason or usual).value,
            "tool_calls": [asdict(call) for call in reply.calls],
            "reasoning": reply.reasoning,
            "refusal": reply.refusal,
            "usage": asdict(reply.usage or self._counted()),
            "logprobs": write_logprobs(reply.logprobs),
        }

    def _counted(self) -> TokenUsage:
        prompt = words_in(self._body)
        completion = len(self._text().split())
        return TokenUsage(prompt, completion, prompt + completion)
