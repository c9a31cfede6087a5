"""OpenAI caches prompts by itself; a key brings requests with the same beginning to the same cache.

https://platform.openai.com/docs/guides/prompt-caching
"""

from __future__ import annotations

import json
from itertools import takewhile

from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import LLMRequest
from llm_orchestrator.utils.values import evolve

__all__ = ["with_cache_key"]

#: Characters of a key: enough to tell prompts apart, and half of what OpenAI allows.
KEY_LENGTH = 32


def with_cache_key(wire: WireRequest, request: LLMRequest) -> WireRequest:
    """Add what the parameter ``cache`` asks for."""
    if request.cache == "auto":
        return evolve(wire, body={**(wire.body or {}), "prompt_cache_key": _key(request)})
    if request.cache == "off":
        warning = "cache='off' was not sent: OpenAI caches prompts by itself and has no option against it."
        return evolve(wire, warnings=(*wire.warnings, warning))
    return wire


def _key(request: LLMRequest) -> str:
    """The same key for prompts that begin with the same tools and system messages, or first turn."""
    from hashlib import sha256

    front = list(takewhile(lambda message: message.role == "system", request.messages))
    beginning = [[message.role, message.content] for message in front or request.messages[:1]]
    text = json.dumps([request.tools, beginning], sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()[:KEY_LENGTH]
