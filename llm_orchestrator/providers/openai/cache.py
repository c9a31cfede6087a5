"""OpenAI caches prompts by itself; a key brings requests with the same beginning to the same cache.

What its own API takes beyond the key is left out at other hosts, and where a model has refused it.
https://platform.openai.com/docs/guides/prompt-caching
"""

from __future__ import annotations

import json
from itertools import takewhile
from typing import Any, Dict, List

from llm_orchestrator.providers.cache_marks import HOUR, with_marks
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import JSON, LLMRequest
from llm_orchestrator.utils.values import evolve

__all__ = [
    "BREAKPOINT",
    "CACHE_OPTIONS",
    "refusal_of",
    "with_breakpoints",
    "with_cache",
    "without_options",
]

#: Characters of a key: enough to tell prompts apart, and half of what OpenAI allows.
KEY_LENGTH = 32
OFF = "off"
CACHE_OPTIONS = "prompt_cache_options"
BREAKPOINT = "prompt_cache_breakpoint"
#: The shortest lifetime beyond the usual half hour; Chat takes it for parts alone.
LONGER = {"ttl": "12h"}
#: Keep what parts are marked for, and nothing else.
ONLY_MARKS = {"mode": "explicit"}


def with_breakpoints(request: LLMRequest, *, takes_options: bool) -> LLMRequest:
    """Write the marks of parts as OpenAI's breakpoints, or leave them out."""

    def write(mode: str) -> JSON:
        lifetime = LONGER if mode == HOUR else {}
        return {BREAKPOINT: {"mode": "explicit", **lifetime}} if takes_options else {}

    messages = with_marks(request.messages, write)
    return request if messages is request.messages else evolve(request, messages=messages)


def without_options(request: LLMRequest) -> LLMRequest:
    """The request for a model that has refused them: the cache as it is, and no marks."""
    bare = with_breakpoints(request, takes_options=False)
    instead = {HOUR: "auto", OFF: None}
    return evolve(bare, cache=instead[request.cache]) if request.cache in instead else bare


def refusal_of(request: LLMRequest) -> str:
    """The warning about what ``without_options`` took away."""
    taken = {HOUR: f"cache={HOUR!r} was sent as 'auto'", OFF: f"cache={OFF!r} was not sent"}
    what = taken.get(request.cache or "", "Marks of parts were not sent")
    return f"{what}: {request.model} rejects {CACHE_OPTIONS}."


def with_cache(
    wire: WireRequest, request: LLMRequest, *, takes_options: bool, takes_longer: bool
) -> WireRequest:
    """Add what the parameter ``cache`` asks for; Chat takes options, and no longer lifetime."""
    if request.cache is None:
        return wire
    fields: Dict[str, Any] = {}
    warnings: List[str] = []
    if request.cache != OFF:
        fields["prompt_cache_key"] = _key(request)
    elif takes_options:
        fields[CACHE_OPTIONS] = ONLY_MARKS
    else:
        warnings.append(f"cache={OFF!r} was not sent: no option against the cache is known of this host.")
    if request.cache == HOUR and takes_longer:
        fields[CACHE_OPTIONS] = LONGER
    elif request.cache == HOUR:
        warnings.append(
            f"cache={HOUR!r} was sent as 'auto': no lifetime is known that {request.model} takes."
        )
    return evolve(wire, body={**(wire.body or {}), **fields}, warnings=(*wire.warnings, *warnings))


def _key(request: LLMRequest) -> str:
    """The same key for prompts that begin with the same tools and system messages, or first turn."""
    from hashlib import sha256

    front = list(takewhile(lambda message: message.role == "system", request.messages))
    beginning = [[message.role, message.content] for message in front or request.messages[:1]]
    text = json.dumps([request.tools, beginning], sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()[:KEY_LENGTH]
