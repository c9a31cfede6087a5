"""Our request as the JSON body of ``POST /chat/completions``."""

from __future__ import annotations

from typing import Any, Dict, Union

from llm_orchestrator.providers.openai import CHAT
from llm_orchestrator.providers.openai.chat.messages import write_messages
from llm_orchestrator.providers.openai.chat.parts import check_media
from llm_orchestrator.providers.openai.compat import Compat
from llm_orchestrator.providers.openai.messages import warnings_of_state
from llm_orchestrator.providers.openai.schema import accepted_format, accepted_tools
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import JSON, LLMRequest
from llm_orchestrator.utils.json import without_none
from llm_orchestrator.utils.values import evolve, make

__all__ = ["build_request", "count_request"]

PATH = "/chat/completions"
#: Parameters that have the same name and form in the body.
SAME_PARAMETERS = (
    "temperature",
    "top_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning_effort",
)


def build_request(
    request: LLMRequest, *, stream: bool, hosted_by_openai: bool, compat: Compat
) -> WireRequest:
    """Translate a request for OpenAI itself, or for a compatible server, which may take more or know less."""
    if hosted_by_openai:
        check_media(request.messages)
    messages = write_messages(request.messages)
    tools, tool_warnings = accepted_tools(request.tools)
    response_format, format_warnings = accepted_format(request.response_format)
    # Reasoning models reject max_tokens, and it is the only name that many compatible servers know.
    usual_name = "max_completion_tokens" if hosted_by_openai else "max_tokens"
    parameters = request.__dict__
    fields: Dict[str, Any] = {
        **{name: parameters[name] for name in SAME_PARAMETERS if parameters[name] is not None},
        compat.max_tokens_name or usual_name: request.max_tokens,
        "stop": list(request.stop) if request.stop else None,
        "response_format": response_format,
        "tools": tools or None,
        **(_logprobs(request.logprobs) if request.logprobs else {}),
        "stream": stream or None,
        "stream_options": {"include_usage": True} if stream and compat.stream_usage else None,
    }
    return make(
        WireRequest,
        path=PATH,
        body={"model": request.model, "messages": messages, **without_none(fields)},
        api=CHAT,
        unsupported=() if request.top_k is None else ("top_k",),
        warnings=warnings_of_state(request.messages, CHAT) + format_warnings + tool_warnings,
    )


def _logprobs(wanted: Union[bool, int]) -> JSON:
    return {"logprobs": True} if wanted is True else {"logprobs": True, "top_logprobs": wanted}


def count_request(wire: WireRequest) -> WireRequest:
    """Ask how many tokens a request has, as servers of llama.cpp tell; they take the whole body."""
    return evolve(wire, path=f"{PATH}/input_tokens")
