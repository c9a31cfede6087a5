"""The four dialects by name; a test parametrized over ``DIALECTS`` runs for every wire format."""

from __future__ import annotations

from typing import Dict

from tests.bench.wire_anthropic import AnthropicMessages
from tests.bench.wire_base import KEY, MODEL, SIGNATURE, Call, Dialect, Usage
from tests.bench.wire_gemini import Gemini
from tests.bench.wire_openai_chat import OpenAIChat
from tests.bench.wire_openai_responses import OpenAIResponses

__all__ = ["DIALECTS", "KEY", "MODEL", "SIGNATURE", "Call", "Dialect", "Usage"]

DIALECTS: Dict[str, Dialect] = {
    dialect.name: dialect for dialect in (OpenAIChat(), OpenAIResponses(), AnthropicMessages(), Gemini())
}
