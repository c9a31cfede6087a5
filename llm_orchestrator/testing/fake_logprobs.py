"""Log probabilities of a scripted answer, on their way through its JSON."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Tuple

from llm_orchestrator.types import TokenLogprob

__all__ = ["read_logprobs", "write_logprobs"]


def write_logprobs(tokens: Iterable[TokenLogprob]) -> List[Dict[str, Any]]:
    """Tokens as JSON values, their bytes as numbers."""
    return [
        {
            "token": token.token,
            "logprob": token.logprob,
            "data": None if token.data is None else [*token.data],
            "top_logprobs": write_logprobs(token.top_logprobs),
        }
        for token in tokens
    ]


def read_logprobs(values: Iterable[Mapping[str, Any]]) -> Tuple[TokenLogprob, ...]:
    """The tokens that ``write_logprobs`` wrote."""
    return tuple(
        TokenLogprob(
            value["token"],
            value["logprob"],
            None if value["data"] is None else bytes(value["data"]),
            read_logprobs(value["top_logprobs"]),
        )
        for value in values
    )
