"""The JSON of Anthropic's Messages API.

https://platform.claude.com/docs/en/api/messages
"""

from llm_orchestrator.providers.anthropic.replies import parse_reply, read_usage
from llm_orchestrator.providers.anthropic.requests import build_request, count_request
from llm_orchestrator.providers.anthropic.streams import assemble_reply, parse_event

__all__ = ["assemble_reply", "build_request", "count_request", "parse_event", "parse_reply", "read_usage"]
