"""The JSON of Gemini's ``generateContent``, and the way to Google's SDK.

https://ai.google.dev/api/generate-content
"""

from llm_orchestrator.providers.gemini.replies import parse_reply
from llm_orchestrator.providers.gemini.requests import build_request, count_request
from llm_orchestrator.providers.gemini.streams import assemble_reply, parse_event

__all__ = ["assemble_reply", "build_request", "count_request", "parse_event", "parse_reply"]
