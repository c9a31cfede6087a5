"""What Anthropic's description of a failure holds beyond the usual: a finer code, and what is at fault.

Errors about thinking, and about a system message among the others, do not name a field.
"""

from __future__ import annotations

from llm_orchestrator.providers.failures import Failure, says_only_why, unsupported_parameter
from llm_orchestrator.providers.reading import as_mapping, as_text
from llm_orchestrator.types import JSON
from llm_orchestrator.utils.lazy import LazyPattern
from llm_orchestrator.utils.values import evolve

__all__ = ["SYSTEM", "is_failure", "with_details"]

#: Words by which an error means the fields that ``reasoning_effort`` is sent in, without quoting them.
REASONING_WORDS = ("thinking", "effort")
#: The parameter that is at fault where a model takes no system message among the others.
SYSTEM = "system"
#: "role 'system' is not supported on this model", "Input should be 'user' or 'assistant'"
_ROLE = LazyPattern(r"\brole\w*\b.*\bsystem\b|\bsystem\b.*\brole\b|\brole\b.*\buser\b.*\bassistant\b")
_UNSUPPORTED = "unsupported_parameter"

#: Fields of which a message or an event has one.
ANSWERS = ("type", "content", "data")


def is_failure(body: JSON) -> bool:
    """Whether a failure came where a message or an event should, with status 200."""
    is_error = body.get("type") == "error" or bool(body.get("error"))
    return is_error or says_only_why(body, ANSWERS)


def with_details(failure: Failure, body: JSON) -> Failure:
    """Add ``error.details.error_code``, and the parameter where only the message names it."""
    code = as_text(as_mapping(as_mapping(body.get("error")).get("details")).get("error_code"))
    if code:
        failure = evolve(failure, codes=(code, *failure.codes))
    about_reasoning = any(word in failure.message.lower() for word in REASONING_WORDS)
    if about_reasoning and unsupported_parameter(failure) is None:
        failure = evolve(failure, parameter="reasoning_effort")
    if _ROLE.search(failure.message.lower()):
        failure = evolve(failure, parameter=SYSTEM, codes=(*failure.codes, _UNSUPPORTED))
    return failure
