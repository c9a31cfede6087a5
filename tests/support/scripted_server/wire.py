"""The four dialects by name; a test parametrized over ``DIALECTS`` runs for every wire format."""

from __future__ import annotations

from typing import Dict

from tests.support.scripted_server.wire_anthropic import AnthropicMessages
from tests.support.scripted_server.wire_base import KEY, MODEL, SIGNATURE, Call, Dialect, Usage
from tests.support.scripted_server.wire_gemini import Gemini
from tests.support.scripted_server.wire_openai_chat import OpenAIChat
from tests.support.scripted_server.wire_openai_responses import OpenAIResponses

__all__ = ["DIALECTS", "KEY", "MODEL", "SIGNATURE", "Call", "Dialect", "Usage"]

DIALECTS: Dict[str, Dialect] = {
    dialect.name: dialect for dialect in (OpenAIChat(), OpenAIResponses(), AnthropicMessages(), Gemini())
}
