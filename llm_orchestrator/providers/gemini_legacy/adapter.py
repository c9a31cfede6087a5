"""Gemini on google-generativeai, the SDK that Google no longer supports, for programs that still use it.

It is used only where an entry says ``adapter: gemini-legacy``. The JSON is that of the ``gemini`` adapter,
without what the old SDK has no field for.
"""

from __future__ import annotations

from collections import abc
from typing import Any, ClassVar, Dict, List, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.exceptions import ProviderError
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.gemini_adapter import GeminiAdapter
from llm_orchestrator.providers.gemini_legacy.schema import legacy_schema
from llm_orchestrator.providers.gemini_legacy.transport import LegacyTransport, error_of_legacy
from llm_orchestrator.providers.reading import as_count, as_mapping
from llm_orchestrator.providers.wire import StreamState, WireRequest
from llm_orchestrator.types import JSON, LLMRequest, LLMResponse, StreamEvent
from llm_orchestrator.utils.values import evolve

__all__ = ["GeminiLegacyAdapter"]

#: Fields of the current API that the SDK does not know, and the parameters they are written for.
UNKNOWN_FIELDS = {"seed": "seed", "thinkingConfig": "reasoning_effort"}


class GeminiLegacyAdapter(GeminiAdapter):
    """Gemini through google-generativeai; the arguments are those of ``GeminiAdapter``.

    The SDK is synchronous, so async callers wait for a thread. docs/providers.md lists what it cannot do.
    """

    extra: ClassVar[str] = "gemini-legacy"
    batch_api: ClassVar[Any] = None
    sdk_transport: ClassVar[Any] = LegacyTransport

    @property
    def can_go_direct(self) -> bool:
        """Never: the adapter is there for its SDK."""
        return False

    def build_attempt(self, request: LLMRequest, context: AttemptContext, *, stream: bool) -> WireRequest:
        """Translate a call, in the fields that the SDK knows; see ``GeminiAdapter.build_attempt``."""
        wire = super().build_attempt(request, context, stream=stream)
        warnings: List[str] = []
        body = dict(wire.body or {})
        settings, unsupported = _known_settings(body.pop("generationConfig", {}), warnings)
        if settings:
            body["generationConfig"] = settings
        if "tools" in body:
            body["tools"] = [_known_tool(tool, warnings) for tool in body["tools"]]
        return evolve(
            wire,
            body=body,
            unsupported=wire.unsupported + unsupported,
            warnings=wire.warnings + tuple(warnings),
        )

    def parse_reply(self, body: JSON, headers: Mapping[str, str]) -> LLMResponse:
        """Translate a whole answer; see ``GeminiAdapter.parse_reply``."""
        return super().parse_reply(_with_thoughts(body), headers)

    def parse_event(self, event: JSON, state: StreamState) -> Sequence[StreamEvent]:
        """Translate one piece of a stream; see ``GeminiAdapter.parse_event``."""
        return super().parse_event(_with_thoughts(event), state)

    def translate_error(self, error: Exception) -> Optional[ProviderError]:
        """Turn an exception of the SDK into one of ours; see ``Adapter.translate_error``."""
        return error_of_legacy(error) or super().translate_error(error)


def _known_settings(settings: JSON, warnings: List[str]) -> Tuple[Dict[str, Any], Tuple[str, ...]]:
    """The settings that the SDK knows, and the parameters whose fields it lacks."""
    known = {name: value for name, value in settings.items() if name not in UNKNOWN_FIELDS}
    schema = known.pop("responseJsonSchema", None)
    if schema is not None:
        known["responseSchema"] = legacy_schema(schema, "response_format", warnings)
    return known, tuple(UNKNOWN_FIELDS[name] for name in settings if name in UNKNOWN_FIELDS)


def _known_tool(tool: JSON, warnings: List[str]) -> JSON:
    functions = tool.get("functionDeclarations")
    if functions is None:
        return tool
    return {**tool, "functionDeclarations": [_known_function(function, warnings) for function in functions]}


def _known_function(function: JSON, warnings: List[str]) -> JSON:
    known = {name: value for name, value in function.items() if name != "parametersJsonSchema"}
    schema = function.get("parametersJsonSchema")
    # The API rejects an object without properties here.
    if isinstance(schema, abc.Mapping) and schema.get("properties"):
        known["parameters"] = legacy_schema(schema, f"tool {function['name']!r}", warnings)
    return known


def _with_thoughts(body: JSON) -> JSON:
    """Add the count of the thoughts, which the SDK has no field for: the total less the other counts."""
    usage = as_mapping(body.get("usageMetadata"))
    if "thoughtsTokenCount" in usage:
        return body
    total, prompt = as_count(usage.get("totalTokenCount")), as_count(usage.get("promptTokenCount"))
    if total is None or prompt is None:
        return body
    thoughts = total - prompt - (as_count(usage.get("candidatesTokenCount")) or 0)
    return {**body, "usageMetadata": {**usage, "thoughtsTokenCount": thoughts}} if thoughts > 0 else body
