"""From the arguments of the SDK's ``responses.create`` to those of the library's methods."""

from __future__ import annotations

from collections import abc
from typing import Any, Dict, List, Mapping, Optional

from llm_orchestrator.frameworks.openai.arguments import (
    call_options,
    given_only,
    read_turn,
    refuse_rest,
    taken,
)
from llm_orchestrator.frameworks.openai.errors import bad_request

__all__ = ["response_arguments"]

#: Arguments that both have under one name.
SAME = ("parallel_tool_calls", "temperature", "tool_choice", "top_p")
#: What goes into the provider's body as it is.
OPTIONS = (
    "context_management",
    "include",
    "max_tool_calls",
    "metadata",
    "moderation",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "truncation",
    "user",
)
_AS_INPUT = "Pass the whole conversation as `input`: what was asked, and the `output` of each answer."
#: What is refused, and what to do.
REFUSED: Mapping[str, str] = {
    "background": "Use send_request with an entry that has it in its `options`.",
    "conversation": _AS_INPUT,
    "previous_response_id": _AS_INPUT,
    "prompt": "Pass its text as `instructions` and `input`.",
    "top_logprobs": "Use send_request(..., logprobs=...), whose answer has `logprobs`.",
    "extra_query": "Write it into the `base_url` of the provider's entry.",
}


def response_arguments(method: str, arguments: Mapping[str, Any]) -> Dict[str, Any]:
    """Read the arguments of ``responses.create`` but ``stream``."""
    given = given_only(arguments)
    read = call_options(given)
    system = [{"role": "system", "content": given.pop("instructions")}] if "instructions" in given else []
    read["messages"] = [*system, *_messages(taken(method, given, "input"))]
    read["model"] = taken(method, given, "model")
    if "max_output_tokens" in given:
        read["max_tokens"] = given.pop("max_output_tokens")
    if "tools" in given:
        read["tools"] = list(given.pop("tools"))
    read.update((name, given.pop(name)) for name in (*SAME, *OPTIONS) if name in given)
    read.update(_text(dict(given.pop("text", {}))))
    read.update(_reasoning(dict(given.pop("reasoning", {}))))
    if "text_format" in given:
        read["response_format"] = given.pop("text_format")
    refuse_rest(method, given, REFUSED)
    return read


def _text(text: Dict[str, Any]) -> Dict[str, Any]:
    """The form of the answer as ``response_format``; what else there is goes into the body."""
    form = text.pop("format", None)
    rest: Dict[str, Any] = {"text": text} if text else {}
    if form is None:
        return rest
    if form.get("type") != "json_schema":
        return {**rest, "response_format": form}
    schema = {name: value for name, value in form.items() if name != "type"}
    return {**rest, "response_format": {"type": "json_schema", "json_schema": schema}}


def _reasoning(reasoning: Dict[str, Any]) -> Dict[str, Any]:
    effort = reasoning.pop("effort", None)
    rest: Dict[str, Any] = {"reasoning": reasoning} if reasoning else {}
    return rest if effort is None else {**rest, "reasoning_effort": effort}


# ---------------------------------------------------------------- input


def _messages(given: Any) -> List[Any]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if isinstance(given, (bytes, abc.Mapping)) or not isinstance(given, abc.Iterable):
        raise bad_request(f"input is a {type(given).__name__}. Pass a text or a list of items.", "input")
    reader = _Reader()
    for index, item in enumerate(given):
        reader.add(item.model_dump(exclude_none=True) if hasattr(item, "model_dump") else item, index)
    return [read_turn(message) for message in reader.messages]


class _Reader:
    """Puts items together to messages: those of one answer are one turn of the assistant."""

    def __init__(self) -> None:
        self.messages: List[Dict[str, Any]] = []
        self._turn: Optional[Dict[str, Any]] = None

    def add(self, item: Any, index: int) -> None:
        """Read the next item."""
        kind = item.get("type", "message") if isinstance(item, abc.Mapping) else None
        if kind == "message" and item.get("role") == "assistant":
            text = _content(item.get("content"), index)
            self._turn_for(item, is_full="content")["content"] = text
        elif kind == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            self._turn_for(item).setdefault("tool_calls", []).append(call)
        elif kind == "message":
            self._end_with({"role": item.get("role"), "content": _content(item.get("content"), index)})
        elif kind == "function_call_output":
            content = _content(item.get("output"), index)
            self._end_with({"role": "tool", "tool_call_id": item.get("call_id"), "content": content})
        elif kind != "reasoning" or item.get("encrypted_content"):
            raise bad_request(
                f"input[{index}] is of the type {kind!r}, which only the Responses API knows. "
                "Pass messages, function calls and their outputs.",
                "input",
            )

    def _end_with(self, message: Dict[str, Any]) -> None:
        self.messages.append(message)
        self._turn = None

    def _turn_for(self, item: Mapping[str, Any], is_full: str = "") -> Dict[str, Any]:
        """The assistant's turn that an item belongs to."""
        state = {name: item[name] for name in ("provider", "provider_state") if item.get(name)}
        if self._turn is None or state or is_full in self._turn:
            self._turn = {"role": "assistant", **state}
            self.messages.append(self._turn)
        return self._turn


def _content(content: Any, index: int) -> Any:
    if isinstance(content, (str, type(None))):
        return content
    return [_part(part, index) for part in content]


def _part(part: Any, index: int) -> Dict[str, Any]:
    kind = part.get("type") if isinstance(part, abc.Mapping) else None
    if kind in ("input_text", "output_text"):
        return {"type": "text", "text": part.get("text")}
    if kind == "refusal":
        return {"type": "text", "text": part.get("refusal")}
    if kind == "input_image" and part.get("image_url"):
        detail = {"detail": part["detail"]} if part.get("detail") else {}
        return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}
    if kind == "input_file" and not part.get("file_url"):
        return {"type": "file", "file": {name: value for name, value in part.items() if name != "type"}}
    raise bad_request(
        f"input[{index}] has a part of the type {kind!r} that cannot be read. "
        "Pass input_text, input_image with an image_url, or input_file with file_data.",
        "input",
    )
