"""Estimates of tokens that no provider reported: for streams that were cut and requests without a response.

An estimate is a lower bound: hidden reasoning, images and what a server generated after the connection was
gone are not in it. It is always flagged, and never added to what was reported.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Dict, Optional

if TYPE_CHECKING:
    from llm_orchestrator.types import LLMRequest, LLMResponse

__all__ = ["ESTIMATOR", "estimate_answer", "estimate_prompt", "estimate_tokens", "missing_tokens"]

#: Name of the method in the ledger; a change of the numbers below is a new name.
ESTIMATOR = "characters-1"

# Measured against OpenAI's o200k tokenizer: 4 characters of ASCII are one token within 5 % for English and
# 12 % for Python; the same rule would miss half of a Chinese text.
ASCII_PER_TOKEN = 4.0
CJK_PER_TOKEN = 1.6
OTHERS_PER_TOKEN = 3.4

# Kana, Han, Hangul, their punctuation and full-width forms. Compiled when first needed, which is seldom.
_CJK = "[\u1100-\u11ff\u2e80-\ud7af\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]"
_ASCII = "[\x00-\x7f]"


def estimate_tokens(text: str) -> int:
    """Estimate how many tokens a text is."""
    if text.isascii():
        return -int(-len(text) // ASCII_PER_TOKEN)
    ascii_count = len(re.findall(_ASCII, text))
    cjk_count = len(re.findall(_CJK, text))
    others = len(text) - ascii_count - cjk_count
    tokens = ascii_count / ASCII_PER_TOKEN + cjk_count / CJK_PER_TOKEN + others / OTHERS_PER_TOKEN
    return -int(-tokens // 1)


def estimate_prompt(request: LLMRequest) -> int:
    """Estimate what the model read."""
    texts = [message.text for message in request.messages]
    texts += [call.raw_arguments for message in request.messages for call in message.tool_calls]
    texts += [json.dumps(tool, ensure_ascii=False, default=str) for tool in request.tools]
    return estimate_tokens("".join(texts))


def estimate_answer(response: LLMResponse) -> int:
    """Estimate what the model wrote."""
    texts = [response.content, response.reasoning or ""]
    texts += [call.name + call.raw_arguments for call in response.tool_calls]
    return estimate_tokens("".join(texts))


def missing_tokens(response: LLMResponse, request: LLMRequest) -> Optional[Dict[str, int]]:
    """Estimate what the provider did not report, by class; None when it reported everything."""
    usage = response.usage
    unknown = response.cost_details.unpriced if response.cost_details and usage.source == "partial" else ()
    estimated = {}
    if usage.prompt_tokens is None or "in" in unknown:
        estimated["in"] = estimate_prompt(request)
    if usage.completion_tokens is None or "out" in unknown:
        estimated["out"] = estimate_answer(response)
    return estimated or None
