"""From what a provider reported to counts that do not overlap.

The three providers count differently: OpenAI and Gemini include cached tokens in the prompt, Anthropic does
not; OpenAI and Anthropic include reasoning in the output, Gemini does not. Here all of it becomes one thing,
a ``Usage``: tokens by class, every token in exactly one class, so that a price is a plain sum. Counts that
contradict each other raise ``InvalidUsageError``; nothing is clamped.
"""

from __future__ import annotations

from functools import reduce
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from llm_orchestrator.pricing.query import NOTHING, PricingQuery
from llm_orchestrator.types import TokenUsage
from llm_orchestrator.utils.json import JSON
from llm_orchestrator.utils.numbers import MOST_TOKENS
from llm_orchestrator.utils.usage import (
    counted_by_gemini,
    documented_usage,
    in_numbers,
    replaced_usage,
    updated_usage,
)

__all__ = ["InvalidUsageError", "Request", "Usage", "image_generation", "read_usage"]

_OPENAI_APIS = ("chat", "responses", "embeddings")


class InvalidUsageError(ValueError):
    """The usage object contradicts itself, so no price can be computed from it."""


class Request(NamedTuple):
    """What one model was given and wrote in one go; a call is usually one of these.

    Attributes:
        tokens: Tokens by class, without overlap; a class may be there with zero.
        prompt: Size of the whole prompt, which decides on long-context rates.
        model: Model at work where it is not the call's own.
    """

    tokens: Dict[str, int]
    prompt: int
    model: Optional[str] = None


class Usage(NamedTuple):
    """All that a usage says about the bill.

    Attributes:
        requests: The parts to price, each by itself.
        raw: The usage object; for a stream its usages put together.
        missing: Classes the provider did not report, or that cannot be priced.
        notes: Remarks for the bill.
    """

    requests: Tuple[Request, ...]
    raw: JSON
    missing: Tuple[str, ...] = ()
    notes: Tuple[str, ...] = ()


def read_usage(query: PricingQuery, usual_api: Optional[str] = None) -> Optional[Usage]:
    """Read a usage object, the usages of a stream in order, or counts; None when nothing was reported."""
    raw = query.usage
    if isinstance(raw, TokenUsage):
        return _read_counts(raw, query.request)
    streamed = isinstance(raw, (list, tuple))
    usages: Any = raw if streamed else (raw,)
    reported = [in_numbers(usage) for usage in usages if usage]
    if not reported:
        return None
    last, api = reported[-1], query.api or usual_api
    if "promptTokenCount" in last or "totalTokenCount" in last or "candidatesTokenCount" in last:
        return _read_gemini(reduce(replaced_usage, reported))
    if api in _OPENAI_APIS or _is_openai(last):
        return _read_openai(reduce(updated_usage, reported), query.request, api == "embeddings")
    return _read_anthropic(reported, streamed, query.asked_model)


def _is_openai(usage: JSON) -> bool:
    return "prompt_tokens" in usage or "input_tokens_details" in usage or "total_tokens" in usage


def _counts(usage: JSON, *names: str) -> List[int]:
    """These counts; one that is absent or null is zero, as providers leave zeros out."""
    counts = [usage.get(name) or 0 for name in names]
    for count in counts:
        if type(count) is not int or not 0 <= count <= MOST_TOKENS:  # a bool is not a count
            raise InvalidUsageError(f"One of {', '.join(names)} is not a number of tokens.")
    return counts


def _rest(total: int, parts: int, name: str) -> int:
    """What is left of a total once its parts are taken out."""
    if parts > total:
        raise InvalidUsageError(f"The details of {name} add up to {parts}, more than the {total} it reports.")
    return total - parts


def _split_prompt(prompt: int, cached: int, write: int, media: Dict[str, int]) -> Dict[str, int]:
    """Divide a prompt into classes when only totals of cached and of media tokens are reported."""
    # Where these totals overlap, the surplus media tokens must have been cached ones: they move to the cached
    # class of their kind or, past that, are the cache writes already counted.
    tokens = {"cache_read": cached, **media}
    surplus = cached + write + sum(media.values()) - prompt
    _rest(cached + write, max(0, surplus), "the prompt")
    for kind, count in media.items():
        moved = max(0, min(surplus, count))
        from_cache = min(moved, tokens["cache_read"])
        tokens[kind] -= moved
        if kind != "video_in":  # cached video has no class of its own
            tokens["cache_read"] -= from_cache
            tokens[kind.replace("_in", "_cache_read")] = from_cache
        surplus -= moved
    tokens["in"] = _rest(prompt, sum(tokens.values()) + write, "the prompt")
    return tokens


# --- Counts without a usage object ---


def _read_counts(usage: TokenUsage, request: JSON) -> Optional[Usage]:
    if usage.prompt_tokens is None and usage.completion_tokens is None:
        return None
    prompt, output, cached, write = _counts(
        vars(usage), "prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens"
    )
    tokens = _openai_cache_write(write, NOTHING, request) if write else {}
    tokens["in"] = _rest(prompt, cached + write, "the prompt")
    tokens["cache_read"] = cached
    tokens["out"] = output
    missing: Tuple[str, ...] = () if usage.prompt_tokens is not None else ("in",)
    if usage.completion_tokens is None:
        missing += ("out",)
    return Usage((Request(tokens, prompt),), NOTHING, missing)


# --- OpenAI: Chat Completions, Responses, Embeddings ---


def _read_openai(reported: JSON, request: JSON, is_embedding: bool) -> Usage:
    usage = documented_usage(reported)
    if "prompt_tokens" in usage or "completion_tokens" in usage:
        prompt_name, output_name, kind = "prompt_tokens", "completion_tokens", "completion_tokens_details"
    else:
        prompt_name, output_name, kind = "input_tokens", "output_tokens", "output_tokens_details"
    prompt, output = _counts(usage, prompt_name, output_name)
    tokens = _openai_prompt(prompt, usage, request)
    tokens.update(_openai_output(output, usage.get(kind)))
    missing: Tuple[str, ...] = () if usage.get(prompt_name) is not None else ("in",)
    if usage.get(output_name) is None and not is_embedding:
        missing += ("out",)
    notes: Tuple[str, ...] = ()
    total = usage.get("total_tokens")
    if total is not None and total != prompt + output and not missing:
        notes = (f"total_tokens is {total}, the counts add up to {prompt + output}.",)
    return Usage((Request(tokens, prompt),), reported, missing, notes)


def _openai_prompt(prompt: int, usage: JSON, request: JSON) -> Dict[str, int]:
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    if not details:
        return {"in": prompt}
    cached, write, audio, image = _counts(
        details, "cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens"
    )
    tokens = _openai_cache_write(write, details, request) if write else {}
    if audio or image:
        tokens.update(_openai_media(prompt, write, details))
    else:
        tokens["in"] = _rest(prompt, cached + write, "the prompt")
        tokens["cache_read"] = cached
    return tokens


def _openai_media(prompt: int, write: int, details: JSON) -> Dict[str, int]:
    """Divide a prompt with audio or images, whose cached part may be reported by kind."""
    cached, audio, image = _counts(details, "cached_tokens", "audio_tokens", "image_tokens")
    known = details.get("cached_tokens_details") or {}
    cached_audio, cached_image = _counts(known, "audio_tokens", "image_tokens")
    media = {
        "audio_in": _rest(audio, cached_audio, "audio_tokens"),
        "image_in": _rest(image, cached_image, "image_tokens"),
    }
    plain = _rest(cached, cached_audio + cached_image, "cached_tokens")
    tokens = _split_prompt(prompt - cached_audio - cached_image, plain, write, media)
    tokens["audio_cache_read"] += cached_audio
    tokens["image_cache_read"] += cached_image
    return tokens


def _openai_cache_write(write: int, details: JSON, request: JSON) -> Dict[str, int]:
    split = details.get("cache_write_tokens_details")
    if split:
        long_lived, short_lived = _counts(split, "ttl_12h_tokens", "ttl_30m_tokens")
        _rest(write, long_lived + short_lived, "cache_write_tokens")
    else:  # Chat Completions reports no lifetimes: the one that was requested
        asked = (request.get("prompt_cache_options") or {}).get("ttl")
        long_lived = write if asked == "12h" else 0
    return {"cache_write": write - long_lived, "cache_write_12h": long_lived}


def _openai_output(output: int, details: Optional[JSON]) -> Dict[str, int]:
    if not details:
        return {"out": output}
    audio, image, reasoning = _counts(details, "audio_tokens", "image_tokens", "reasoning_tokens")
    _rest(output, reasoning, "the output")
    return {"out": _rest(output, audio + image, "the output"), "audio_out": audio, "image_out": image}


# --- Gemini: generateContent ---

_GEMINI_KINDS = {"AUDIO": "audio", "IMAGE": "image", "VIDEO": "video"}


def _read_gemini(reported: JSON) -> Usage:
    usage = counted_by_gemini(reported)
    prompt, cached, tool_prompt, candidates, thoughts = _counts(
        usage,
        "promptTokenCount",
        "cachedContentTokenCount",
        "toolUsePromptTokenCount",
        "candidatesTokenCount",
        "thoughtsTokenCount",
    )
    if usage.get("candidatesTokenCount") is None:  # it is what is left of the total
        known = prompt + tool_prompt + thoughts
        candidates = max(0, _counts(usage, "totalTokenCount")[0] - known)
    tokens = _gemini_prompt(prompt, cached, usage)
    tokens["tool_in"] = tool_prompt
    written = _modalities(usage, "candidatesTokensDetails")
    text = _rest(candidates, sum(written.values()), "candidatesTokenCount")
    tokens["out"] = text + thoughts
    for kind, count in written.items():
        tokens[f"{kind}_out"] = count
    missing = () if usage.get("promptTokenCount") is not None else ("in",)
    return Usage((Request(tokens, prompt),), reported, missing)


def _gemini_prompt(prompt: int, cached: int, usage: JSON) -> Dict[str, int]:
    known = _modalities(usage, "cacheTokensDetails")
    media = _modalities(usage, "promptTokensDetails") if usage.get("promptTokensDetails") else known
    if not media and not known:
        return {"in": _rest(prompt, cached, "promptTokenCount"), "cache_read": cached}
    fresh = {f"{kind}_in": _rest(media.get(kind, 0), known.get(kind, 0), kind) for kind in (*media, *known)}
    plain = _rest(cached, sum(known.values()), "cachedContentTokenCount")
    tokens = _split_prompt(prompt - sum(known.values()), plain, 0, fresh)
    for kind, count in known.items():
        tokens["cache_read" if kind == "video" else f"{kind}_cache_read"] += count
    return tokens


def _modalities(usage: JSON, name: str) -> Dict[str, int]:
    """Counts of everything but text, by kind."""
    counts: Dict[str, int] = {}
    for item in usage.get(name) or ():
        kind = _GEMINI_KINDS.get(str(item.get("modality", "")).upper())
        if kind:
            counts[kind] = counts.get(kind, 0) + _counts(item, "tokenCount")[0]
    return counts


# --- Anthropic: Messages ---

_ANTHROPIC_COUNTS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens",
)


def _read_anthropic(reported: List[JSON], streamed: bool, requested_model: Optional[str]) -> Usage:
    usage = _merge_anthropic(reported) if len(reported) > 1 else reported[0]
    missing: Tuple[str, ...] = () if usage.get("input_tokens") is not None else ("in",)
    # message_start carries a placeholder, not a count: alone it says nothing about the output.
    if usage.get("output_tokens") is None or (streamed and len(reported) == 1):
        missing += ("out",)
        usage = {name: value for name, value in usage.items() if name != "output_tokens"}
    requests, unknown = _anthropic_requests(usage, requested_model)
    notes: Tuple[str, ...] = ()
    credit = usage.get("fallback_credit")
    if credit and (credit.get("status") or {}).get("type") == "redeemed":
        unknown += ("fallback_credit",)
        notes = ("A fallback credit was redeemed: the bill may be lower than this price.",)
    return Usage(requests, usage, missing + unknown, notes)


def _merge_anthropic(reported: List[JSON]) -> Dict[str, Any]:
    """Put a stream's usages together: a later count replaces the earlier, none is added."""
    merged: Dict[str, Any] = {}
    for usage in reported:
        merged = updated_usage(merged, usage)
    split = merged.get("cache_creation") or {}
    total = merged.get("cache_creation_input_tokens")
    used = [name for name, count in split.items() if count]
    if total is not None and len(used) == 1:
        merged["cache_creation"] = {used[0]: total}  # the total may have grown since the split was reported
    return merged


def _anthropic_tokens(usage: JSON, model: Optional[str] = None) -> Request:
    fresh, read, write, output = _counts(usage, *_ANTHROPIC_COUNTS)
    split, one_hour = usage.get("cache_creation"), 0
    if split:
        one_hour, five_minutes = _counts(split, "ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens")
        if usage.get("cache_creation_input_tokens") is None:
            write = one_hour + five_minutes
        _rest(write, one_hour + five_minutes, "cache_creation_input_tokens")
    details = usage.get("output_tokens_details")
    if details:
        _rest(output, _counts(details, "thinking_tokens")[0], "output_tokens")
    tokens = {
        "in": fresh,
        "cache_read": read,
        "cache_write": write - one_hour,
        "cache_write_1h": one_hour,
        "out": output,
    }
    return Request(tokens, fresh + read + write, model)


def _anthropic_requests(
    usage: JSON, requested_model: Optional[str]
) -> Tuple[Tuple[Request, ...], Tuple[str, ...]]:
    """Separate what the top level sums up or leaves out: each iteration is a request of its own."""
    iterations = usage.get("iterations")
    if not iterations:
        return (_anthropic_tokens(usage),), ()
    by_type: Dict[str, List[JSON]] = {}
    for entry in iterations:
        by_type.setdefault(str(entry.get("type")), []).append(entry)
    messages = by_type.pop("message", [])
    hidden = by_type.pop("compaction", []) + by_type.pop("advisor_message", [])
    served = by_type.pop("fallback_message", [])
    if served:
        # An attempt declined before it wrote anything is not billed; the others at their own model's rates.
        declined = [entry for entry in messages if entry.get("output_tokens")]
        requests = [_anthropic_tokens(entry, entry.get("model") or requested_model) for entry in declined]
        requests += [_anthropic_tokens(entry, entry.get("model")) for entry in served]
    elif len(messages) > 1 and _adds_up(messages, usage):
        requests = [_anthropic_tokens(entry) for entry in messages]
    else:
        requests = [_anthropic_tokens(usage)]
    requests += [_anthropic_tokens(entry, entry.get("model")) for entry in hidden]
    return tuple(requests), tuple(f"iterations:{name}" for name in sorted(by_type))


def _adds_up(messages: List[JSON], usage: JSON) -> bool:
    totals = [sum(counts) for counts in zip(*(_counts(entry, *_ANTHROPIC_COUNTS) for entry in messages))]
    return totals == _counts(usage, *_ANTHROPIC_COUNTS)


# --- OpenAI's image tool, which reports beside the usage ---


def image_generation(request: JSON, response: JSON) -> Tuple[Tuple[Request, ...], Tuple[str, ...]]:
    """Read what an image model did as a tool of another model."""
    reported = (response.get("tool_usage") or {}).get("image_gen") or {}
    if not reported.get("total_tokens"):
        used = any(item.get("type") == "image_generation_call" for item in response.get("output") or ())
        return (), ("image_gen",) if used else ()
    tools = [*(response.get("tools") or ()), *(request.get("tools") or ())]
    models = (tool.get("model") for tool in tools if tool.get("type") == "image_generation")
    model = next((name for name in models if name), None)
    if model is None:
        return (), ("image_gen",)
    cached = reported.get("cached_tokens_details") or {}
    details = {
        **(reported.get("input_tokens_details") or {}),
        "cached_tokens": reported.get("cached_tokens"),
        "cached_tokens_details": {"image_tokens": cached.get("cached_image_tokens")},
    }
    prompt, output = _counts(reported, "input_tokens", "output_tokens")
    tokens = _openai_prompt(prompt, {"input_tokens_details": details}, {})
    written = reported.get("output_tokens_details") or {"image_tokens": output}
    tokens.update(_openai_output(output, written))
    return (Request(tokens, prompt, model),), ()
