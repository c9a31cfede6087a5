"""``TokenLogprob``: how likely the model found a token of its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

from llm_orchestrator.utils.values import Value

__all__ = ["TokenLogprob"]


@dataclass(frozen=True, eq=False, repr=False)
class TokenLogprob(Value):
    """A token that the model wrote, or weighed at its place, and how likely it found it.

    Attributes:
        token: Its text; of a token that is only a part of a character, what the provider shows for it.
        logprob: The natural logarithm of its probability: 0 is certain, and OpenAI writes -9999 for a token
            that is not among the likeliest. None where the provider did not tell it.
        data: Its bytes, which together are the UTF-8 of the answer; None where they were not told.
        top_logprobs: The likeliest tokens at its place, the most likely first, as many as were asked for.
    """

    token: str
    logprob: Optional[float] = None
    data: Optional[bytes] = None
    top_logprobs: Tuple[TokenLogprob, ...] = ()
