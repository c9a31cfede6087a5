"""The log probabilities of an answer's tokens, read from the fields in which each protocol has them."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.providers.reading import as_list, as_mapping, as_mappings, as_text
from llm_orchestrator.types import JSON, TokenLogprob
from llm_orchestrator.utils.values import make

__all__ = [
    "RESULT",
    "joined_results",
    "logprobs_of_candidate",
    "logprobs_of_choice",
    "logprobs_of_parts",
]

Logprobs = Tuple[TokenLogprob, ...]
#: Gemini's field of a candidate.
RESULT = "logprobsResult"


def logprobs_of_choice(logprobs: Any) -> Logprobs:
    """Those of a choice of Chat; some hosts write them as in the API before it."""
    written = as_mapping(logprobs)
    if isinstance(written.get("tokens"), list):
        return tuple(_of_columns(written))
    return _of_entries(written.get("content"))


def logprobs_of_parts(parts: Iterable[JSON]) -> Logprobs:
    """Those of all parts of an answer of Responses."""
    told = [part["logprobs"] for part in parts if part.get("logprobs")]
    return tuple(entry for entries in told for entry in _of_entries(entries)) if told else ()


def _of_entries(entries: Any) -> Logprobs:
    return tuple(map(_entry, as_mappings(entries)))


def _entry(entry: JSON) -> TokenLogprob:
    return make(
        TokenLogprob,
        token=as_text(entry.get("token")),
        logprob=_number(entry.get("logprob")),
        data=_bytes(entry.get("bytes")),
        top_logprobs=_of_entries(entry["top_logprobs"]) if entry.get("top_logprobs") else (),
    )


def _of_columns(written: JSON) -> Iterator[TokenLogprob]:
    """A list of tokens, one of their values, and one of the likeliest at each place."""
    values, tops = as_list(written.get("token_logprobs")), as_list(written.get("top_logprobs"))
    for place, token in enumerate(written["tokens"]):
        top = as_mapping(tops[place]) if place < len(tops) else {}
        likeliest = tuple(TokenLogprob(as_text(word), _number(value)) for word, value in top.items())
        yield TokenLogprob(
            as_text(token), _number(values[place]) if place < len(values) else None, None, likeliest
        )


# ---------------------------------------------------------------- Gemini


def logprobs_of_candidate(candidate: JSON) -> Logprobs:
    """Those of a candidate: the tokens that were chosen, and the likeliest at each place beside them."""
    result = as_mapping(candidate[RESULT])
    tops = as_mappings(result.get("topCandidates"))
    chosen = as_mappings(result.get("chosenCandidates"))
    likeliest = [as_mappings(top.get("candidates")) for top in tops] + [[]] * len(chosen)
    return tuple(_chosen(token, top) for token, top in zip(chosen, likeliest))


def _chosen(candidate: JSON, top: Sequence[JSON] = ()) -> TokenLogprob:
    return TokenLogprob(
        as_text(candidate.get("token")),
        _number(candidate.get("logProbability")),
        top_logprobs=tuple(map(_chosen, top)),
    )


def joined_results(earlier: Any, later: Any) -> Mapping[str, Any]:
    """What two events of a stream say: each has the tokens of its own text."""
    first, second = as_mapping(earlier), as_mapping(later)
    lists = {key: as_list(first.get(key)) for key in ("chosenCandidates", "topCandidates")}
    return {**first, **second, **{key: [*kept, *as_list(second.get(key))] for key, kept in lists.items()}}


# ---------------------------------------------------------------- values


def _number(value: Any) -> Optional[float]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:  # no logarithm of a probability
        return None


def _bytes(value: Any) -> Optional[bytes]:
    numbers: List[Any] = as_list(value)
    is_read = numbers and all(type(number) is int and 0 <= number < 256 for number in numbers)
    return bytes(numbers) if is_read else None
