"""The options of a provider entry: defaults for parameters of a call, and fields of the provider's body."""

from __future__ import annotations

from typing import AbstractSet, Any, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.request.tools import mistyped_choice
from llm_orchestrator.types import (
    DROPPABLE_PARAMETERS,
    EFFORTS,
    JSON,
    PARAMETERS,
    LLMRequest,
    Message,
    checked,
    number_from_text,
)
from llm_orchestrator.utils.json import merged
from llm_orchestrator.utils.lazy import LazyPattern
from llm_orchestrator.utils.suggestions import closest
from llm_orchestrator.utils.values import evolve

__all__ = [
    "check_entry_options",
    "check_options",
    "misnamed",
    "near_misses",
    "with_defaults",
    "without_secrets",
]

#: Options that are defaults for parameters of a call; all others are fields of the provider's body.
DEFAULTABLE_PARAMETERS = (*DROPPABLE_PARAMETERS, "max_tokens", "stop", "logprobs", "cache")
#: Fields of the provider's body that only the library sets.
RESERVED_OPTIONS = ("model", "messages", "input", "contents", "stream")
#: Fields of a body that hold what a system message says.
SYSTEM_OPTIONS = ("system", "systemInstruction", "system_instruction")
#: Providers' names for parameters of a call.
FOREIGN_NAMES: Mapping[str, str] = {
    "max_completion_tokens": "max_tokens",
    "max_new_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "maxOutputTokens": "max_tokens",
    "maxTokens": "max_tokens",
    "n_predict": "max_tokens",
    "num_predict": "max_tokens",
    "stop_sequences": "stop",
    "stopSequences": "stop",
    "topK": "top_k",
    "topP": "top_p",
    "frequencyPenalty": "frequency_penalty",
    "presencePenalty": "presence_penalty",
}
_IN_ENTRY = "Set it in the provider's entry."
_IN_HEADERS = "Set `headers` in the provider's entry, or pass extra_headers."
_IN_HTTP = "Set it below `http` in the provider's entry."
_IN_URL = "Write it into the `base_url` of the provider's entry."
_AS_OPTIONS = "Pass its fields as arguments of the call; they are merged into the body."
_AS_RETRIES = "Pass max_retries."
_AS_POLICY = "Set `on_unsupported_parameter` in the configuration."
_AS_TIMEOUT = "Pass timeout or total_timeout."
_NOWHERE = "Leave it out: the library makes its connections itself."
#: Settings that other libraries and the vendors' SDKs take beside those of a request, and where they belong.
CLIENT_SETTINGS: Mapping[str, str] = {
    **dict.fromkeys(("api_base", "api_version", "base_url", "endpoint", "fallback_models"), _IN_ENTRY),
    **dict.fromkeys(
        ("adapter", "api_type", "azure_deployment", "azure_endpoint", "custom_llm_provider"), _IN_ENTRY
    ),
    **dict.fromkeys(("aws_profile", "aws_region", "aws_region_name"), _IN_ENTRY),
    **dict.fromkeys(("vertex_location", "vertex_project"), _IN_ENTRY),
    **dict.fromkeys(("additional_drop_params", "drop_params"), _AS_POLICY),
    **dict.fromkeys(("default_headers", "headers", "organization"), _IN_HEADERS),
    **dict.fromkeys(("ca_bundle", "cert", "proxies", "proxy", "ssl_verify", "verify"), _IN_HTTP),
    **dict.fromkeys(("default_query", "extra_query"), _IN_URL),
    **dict.fromkeys(("extra_body", "model_kwargs"), _AS_OPTIONS),
    **dict.fromkeys(("max_retry", "num_retries", "retries"), _AS_RETRIES),
    **dict.fromkeys(("request_timeout", "timeout_seconds"), _AS_TIMEOUT),
    **dict.fromkeys(("http_async_client", "http_client", "http_options"), _NOWHERE),
}
_SEPARATORS = LazyPattern(r"[-_.\s]")
_WORD_ENDS = LazyPattern(r"[-.\s]|(?<=[a-z0-9])(?=[A-Z])")
#: The same without case and separators: ``apiVersion``, ``api-version`` and ``API_VERSION`` are one name.
_PLAIN_SETTINGS = {_SEPARATORS.sub("", name): remedy for name, remedy in CLIENT_SETTINGS.items()}
#: Names of credentials, their words apart; ``pad_token`` and ``prompt_cache_key`` are none.
_CREDENTIAL = LazyPattern(
    r"authori[sz]ation|password|passwd|secret|credential|^(auth|key|token|bearer|jwt|cookie)$"
    r"|(^|_)x?(access|api|account|function|private|subscription)_?key(_?id)?$"
    r"|(^|_)x?(access|ad|api|auth|bearer|hf|id|refresh|security|service|session)_?token(_?(file|provider))?$"
)
#: Settings of the entry and arguments of a call that are not fields of any provider's body.
MISPLACED_OPTIONS = ("timeout", "total_timeout", "max_retries", "fallback", "reask", "tags", "extra_headers")


def with_defaults(request: LLMRequest, options: JSON, without: AbstractSet[str] = frozenset()) -> LLMRequest:
    """Fill in what a call does not set from the options of its provider entry."""
    if not options:
        return request
    parameters = {
        name: _read(name, value)
        for name, value in options.items()
        if name in DEFAULTABLE_PARAMETERS and name not in without and getattr(request, name) is None
    }
    others = {name: value for name, value in options.items() if name not in DEFAULTABLE_PARAMETERS}
    return evolve(request, **parameters, provider_options=merged(others, request.provider_options))


def _read(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "cache" and value is False:
        value = "off"  # YAML reads an unquoted `off` as False
    if isinstance(value, str):
        value = number_from_text(name, value)
    try:
        return checked(name, value)
    except InvalidRequestError as error:
        quotes = " If you mean the word, write it in quotes." if isinstance(value, bool) else ""
        raise InvalidRequestError(f"The option {error}{quotes}") from None


def check_entry_options(options: JSON) -> None:
    """Refuse options of an entry that would fail or be ignored in every call."""
    check_options(options)
    for name, value in options.items():
        if name in MISPLACED_OPTIONS:
            raise InvalidRequestError(
                f"The option {name!r} is not a field of the provider's body. Set it in the entry or the call."
            )
        if name in DEFAULTABLE_PARAMETERS:
            _read(name, value)


def misnamed(options: JSON) -> Tuple[str, ...]:
    """Warn about options that look like a mistyped parameter, or are a provider's name for one of ours."""
    if not options:
        return ()
    meant = {name: FOREIGN_NAMES.get(name) or closest(name, PARAMETERS) for name in options}
    return tuple(
        f"{name} is not a parameter of the library and was sent to the provider as it is. "
        + (f"Use {parameter}." if name in FOREIGN_NAMES else f"Did you mean {parameter}?")
        for name, parameter in meant.items()
        if parameter
    )


def near_misses(request: LLMRequest) -> Tuple[str, ...]:
    """Warn about a word that looks like a mistyped one; it is sent as it is, for providers may know more."""
    effort = request.reasoning_effort
    if effort is None and request.tool_choice is None:
        return ()
    meant = None if effort is None or effort in EFFORTS else closest(effort, EFFORTS, cutoff=0.6)
    found = [("reasoning_effort", effort, meant)] if meant else []
    chosen = mistyped_choice(request.tool_choice, request.tools)
    if chosen is not None:
        found.append(("tool_choice", *chosen))
    return tuple(f"{name} {word!r} was sent as it is. Did you mean {known!r}?" for name, word, known in found)


def check_options(options: JSON, messages: Sequence[Message] = ()) -> None:
    """Refuse options that would replace what only the library may set, and settings of a client.

    The texts show no value, which may be a key.
    """
    for name in options:
        if name in RESERVED_OPTIONS:
            raise InvalidRequestError(
                f"The option {name!r} would replace what the library sets. Use the call's arguments instead."
            )
        remedy = _place_of_setting(name)
        if remedy:
            raise InvalidRequestError(
                f"The option {name!r} is a setting of a client and not a field of the provider's body. "
                f"{remedy}"
            )
        if name in SYSTEM_OPTIONS and any(message.role == "system" for message in messages):
            raise InvalidRequestError(
                f"The option {name!r} stands beside a system message, and one would replace the other. "
                "Put everything into the messages."
            )


def without_secrets(options: JSON) -> JSON:
    """Leave out what may hold a key, headers and the settings of a client, where options are shown."""
    return {
        name: value
        for name, value in options.items()
        if name != "extra_headers" and _place_of_setting(name) is None
    }


def _place_of_setting(name: str) -> Optional[str]:
    """Where a setting of a client belongs, however its name is spelled; None for a field of a body."""
    plain = _SEPARATORS.sub("", name.lower())
    return _PLAIN_SETTINGS.get(plain) or (
        _IN_ENTRY if _CREDENTIAL.search(_WORD_ENDS.sub("_", name).lower()) else None
    )
