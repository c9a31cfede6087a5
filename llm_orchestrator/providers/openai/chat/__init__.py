"""OpenAI's Chat Completions, the API of every OpenAI-compatible server; replies are read with those in mind.

https://platform.openai.com/docs/api-reference/chat
"""

from llm_orchestrator.providers.openai.chat.replies import failure_in_choice, first_choice, parse_reply
from llm_orchestrator.providers.openai.chat.requests import build_request, count_request
from llm_orchestrator.providers.openai.chat.streams import assemble_reply, parse_event, remember_usage

__all__ = [
    "assemble_reply",
    "build_request",
    "count_request",
    "failure_in_choice",
    "first_choice",
    "parse_event",
    "parse_reply",
    "remember_usage",
]
