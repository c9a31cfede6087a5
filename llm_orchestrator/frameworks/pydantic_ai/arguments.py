"""From pydantic-ai's settings, tools and output to the arguments of a call."""

from __future__ import annotations

from collections import abc
from typing import Any, Dict, Mapping, Optional, Set

__all__ = ["read_settings", "read_tools"]

#: Settings that both have under one name.
SAME = (
    "extra_headers",
    "frequency_penalty",
    "logit_bias",
    "max_retries",
    "max_tokens",
    "parallel_tool_calls",
    "presence_penalty",
    "seed",
    "temperature",
    "top_k",
    "top_p",
)
#: What stands before the name of an argument of the library's own.
OWN = "orchestrator_"


def read_settings(settings: Mapping[str, Any], parameters: Any) -> Dict[str, Any]:
    """Read what is neither messages nor tools; settings that are other models' own are left out."""
    body = settings.get("extra_body")
    read: Dict[str, Any] = dict(body) if isinstance(body, abc.Mapping) else {}
    read.update((name, settings[name]) for name in SAME if settings.get(name) is not None)
    if settings.get("stop_sequences"):
        read["stop"] = settings["stop_sequences"]
    if settings.get("timeout") is not None:  # of an HTTP library's limits the time of silence, as ours is
        read["timeout"] = getattr(settings["timeout"], "read", settings["timeout"])
    if parameters.thinking not in (None, True):  # True is what the model does anyway
        read["reasoning_effort"] = parameters.thinking or "none"
    if parameters.output_mode == "native" and parameters.output_object is not None:
        read["response_format"] = _output(parameters.output_object)
    own = {name[len(OWN) :]: value for name, value in settings.items() if name.startswith(OWN)}
    return {**read, **own}


def _output(wanted: Any) -> Dict[str, Any]:
    described = {} if wanted.description is None else {"description": wanted.description}
    form = {"name": wanted.name or "answer", "schema": wanted.json_schema, **described}
    return {"type": "json_schema", "json_schema": {**form, "strict": wanted.strict is not False}}


def read_tools(settings: Mapping[str, Any], parameters: Any) -> Dict[str, Any]:
    """Read the tools that may be called, and whether one must be."""
    wish, output = settings.get("tool_choice"), {tool.name for tool in parameters.output_tools}
    usual = "auto" if parameters.allow_text_output or parameters.allow_image_output else "required"
    allowed: Optional[Set[str]] = None
    choice = usual
    if wish == "required":
        choice = "required"
    elif wish in ("none", []):
        allowed = output  # pydantic-ai's own tools, for the end of a run
    elif isinstance(wish, list):
        allowed, choice = set(wish), "required"
    elif wish is not None and wish != "auto":
        allowed = {*wish.function_tools, *output}
    offered = [
        {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters_json_schema,
            "strict": tool.strict,
        }
        for tool in parameters.declared_tool_defs.values()
        if allowed is None or tool.name in allowed
    ]
    return {"tools": offered, "tool_choice": choice} if offered else {}
