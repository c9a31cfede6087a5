"""From the arguments of the SDK's methods to those of the library's.

What the library has a parameter for becomes it; what only some providers know goes into the body as it
is, and a provider that does not know it says so; what an answer in this form could not show is refused.
"""

from __future__ import annotations

from collections import abc
from typing import Any, Dict, List, Mapping, Tuple

from llm_orchestrator.frameworks.openai.errors import bad_request
from llm_orchestrator.types import Message

__all__ = [
    "call_options",
    "chat_arguments",
    "embedding_arguments",
    "given_only",
    "read_turn",
    "refuse_rest",
    "taken",
]

#: Arguments that both have under one name.
SAME = (
    "frequency_penalty",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning_effort",
    "response_format",
    "seed",
    "stop",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
)
#: Arguments of the library, which a program may use beside the SDK's.
OWN = ("cache", "fallback", "max_retries", "tags", "top_k", "total_timeout")
#: What goes into the provider's body as it is.
OPTIONS = (
    "logit_bias",
    "metadata",
    "moderation",
    "n",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
    "verbosity",
    "web_search_options",
)
#: What is refused, and what to do.
REFUSED: Mapping[str, str] = {
    "audio": "Use send_request, whose answer has `audio`.",
    "modalities": "Use send_request, whose answer has `audio` and `images`.",
    "functions": "Pass `tools`.",
    "function_call": "Pass `tool_choice`.",
    "extra_query": "Write it into the `base_url` of the provider's entry.",
}
#: The SDK's classes for an argument that is left out.
LEFT_OUT = ("NotGiven", "Omit")


def given_only(arguments: Mapping[str, Any]) -> Dict[str, Any]:
    """Leave out what the caller left out, in each of the ways the SDK has for that."""
    return {
        name: value
        for name, value in arguments.items()
        if value is not None and type(value).__name__ not in LEFT_OUT
    }


def chat_arguments(method: str, arguments: Mapping[str, Any]) -> Dict[str, Any]:
    """Read the arguments of ``chat.completions.create`` but ``stream`` and ``stream_options``."""
    given = given_only(arguments)
    read = call_options(given)
    read["messages"] = read_messages(taken(method, given, "messages"))
    read["model"] = taken(method, given, "model")
    for name in ("max_tokens", "max_completion_tokens"):
        if name in given:
            read["max_tokens"] = given.pop(name)
    if "tools" in given:
        given["tools"] = list(given["tools"])
    read.update(_logprobs(given.pop("logprobs", False), given.pop("top_logprobs", None)))
    read.update((name, given.pop(name)) for name in (*SAME, *OPTIONS) if name in given)
    refuse_rest(method, given, REFUSED)
    return read


def _logprobs(own: Any, likeliest: Any) -> Dict[str, Any]:
    """Join the SDK's two arguments: whether the text's own tokens are told, and how many beside each."""
    if likeliest is not None and not own:
        raise bad_request("top_logprobs needs logprobs. Pass logprobs=True too.", param="top_logprobs")
    return {"logprobs": likeliest or True} if own else {}


def call_options(given: Dict[str, Any]) -> Dict[str, Any]:
    """Take what every method has: headers, time limits, fields of the body, and arguments of the library."""
    read: Dict[str, Any] = dict(given.pop("extra_body", {}))
    if "extra_headers" in given:
        read["extra_headers"] = given.pop("extra_headers")
    if "timeout" in given:
        read["timeout"] = _seconds(given.pop("timeout"))
    read.update((name, given.pop(name)) for name in OWN if name in given)
    return read


def embedding_arguments(arguments: Mapping[str, Any]) -> Tuple[Dict[str, Any], bool]:
    """Read the arguments of ``embeddings.create``, and whether the vectors are wanted in base64."""
    method = "embeddings.create"
    given = given_only(arguments)
    read = call_options(given)
    read["texts"] = _texts(taken(method, given, "input"))
    read["model"] = taken(method, given, "model")
    encoding = given.pop("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise bad_request(
            f"encoding_format is {encoding!r}. Use 'float' or 'base64'.", param="encoding_format"
        )
    read.update((name, given.pop(name)) for name in ("dimensions", "user") if name in given)
    refuse_rest(method, given, REFUSED)
    return read, encoding == "base64"


def _texts(texts: Any) -> List[str]:
    listed = [texts] if isinstance(texts, str) else list(texts)
    if any(not isinstance(text, str) for text in listed):
        raise bad_request(
            "input holds numbers of tokens, which mean something to one model alone. Pass strings.",
            param="input",
        )
    return listed


def taken(method: str, given: Dict[str, Any], name: str) -> Any:
    """Take an argument that must be given."""
    if name not in given:
        raise TypeError(f"{method}() needs the argument {name!r}.")
    return given.pop(name)


def refuse_rest(method: str, given: Mapping[str, Any], refused: Mapping[str, str]) -> None:
    """Refuse what is left of the arguments; an unknown name is a TypeError, as in the SDK."""
    for name in given:
        if name not in refused:
            raise TypeError(
                f"{method}() got an unexpected keyword argument {name!r}. "
                "Pass a field of the provider's body in extra_body."
            )
        raise bad_request(f"{name} is not supported here. {refused[name]}", param=name)


def _seconds(timeout: Any) -> Any:
    """A time limit; of the SDK's ``Timeout`` the time of silence, which is what ours limits."""
    return getattr(timeout, "read", timeout)


# ---------------------------------------------------------------- messages


def read_messages(messages: Any) -> Any:
    """Read dicts, and values of this client or the SDK, as the library's messages."""
    if isinstance(messages, (str, bytes, abc.Mapping)) or not isinstance(messages, abc.Iterable):
        raise bad_request(
            f"messages is a {type(messages).__name__}. Pass a list of messages.", param="messages"
        )
    return [_read_message(message) for message in messages]


def _read_message(message: Any) -> Any:
    if hasattr(message, "model_dump"):
        message = message.model_dump(exclude_none=True)
    if not isinstance(message, abc.Mapping):
        return message
    if message.get("role") == "assistant":
        return read_turn(message)
    return {name: value for name, value in message.items() if value is not None}


def read_turn(message: Mapping[str, Any]) -> Any:
    """Read an assistant's message, with the provider's state where it still has it."""
    has_state = message.get("provider_state") is not None
    return Message.from_dict(message) if has_state else message
