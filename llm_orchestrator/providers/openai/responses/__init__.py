"""OpenAI's Responses API, where requests and replies are lists of typed items.

Nothing is stored at OpenAI, so what the model needs back (encrypted reasoning, phases, items of tools that
ran there) travels in ``Message.provider_state``. https://platform.openai.com/docs/api-reference/responses
"""

from llm_orchestrator.providers.openai.responses.replies import UNFINISHED, parse_reply
from llm_orchestrator.providers.openai.responses.requests import build_request, count_request, poll_request
from llm_orchestrator.providers.openai.responses.streams import assemble_reply, parse_event

__all__ = [
    "UNFINISHED",
    "assemble_reply",
    "build_request",
    "count_request",
    "parse_event",
    "parse_reply",
    "poll_request",
]
