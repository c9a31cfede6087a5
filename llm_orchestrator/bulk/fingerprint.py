"""The fingerprint of a request: all that decides its answer, so that a changed prompt is asked again."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any, Mapping

from llm_orchestrator.types import LLMRequest, Message

__all__ = ["Fingerprints"]

#: What does not change an answer, and the class whose schema is in ``response_format``.
_LEFT_OUT = {"messages", "model", "tags", "timeout", "extra_headers", "output_type", "cache", "batch_size"}


class Fingerprints:
    """Makes the fingerprints of requests that have all but their messages in common."""

    def __init__(self, identity: Mapping[str, Any], request: LLMRequest) -> None:
        parameters = {
            name: value
            for name, value in vars(request).items()
            if name not in _LEFT_OUT and value not in (None, (), {})
        }
        self._common = blake2b(_bytes([identity, parameters]), digest_size=16)

    def of(self, request: LLMRequest) -> bytes:
        """The fingerprint of a request."""
        made = self._common.copy()
        for message in request.messages:
            made.update(_bytes_of(message))
        return made.digest()


def _bytes_of(message: Message) -> bytes:
    content = {name: value for name, value in vars(message).items() if value not in (None, (), {})}
    if len(content) == 2 and isinstance(message.content, str):  # as the usual way, in half the time
        text = f'{{"content": {_encode(message.content)}, "role": {_encode(message.role)}}}'
        return text.encode("utf-8", "replace")
    return _bytes(content)


def _bytes(value: Any) -> bytes:
    return _encode(value).encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    fields = getattr(value, "__dict__", None)
    return fields if fields else str(value)


_encode = json.JSONEncoder(default=_plain, sort_keys=True, ensure_ascii=False).encode  # dumps makes one a row
