"""What a call hands to ledger and hooks, without the secrets that a server may have repeated."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from llm_orchestrator.types import LLMRequest
from llm_orchestrator.usage.record import UsageRecord
from llm_orchestrator.utils.hidden import hidden
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from llm_orchestrator.providers.http.redaction import Redactor

__all__ = ["with_hidden_headers", "without_secrets"]

#: Fields of a record that no provider fills.
_OUR_OWN = (
    *("provider", "session_id", "call_id", "status", "requested_model", "tags", "base_url"),
    *("error_type", "usage_status", "price_status", "estimator", "price_provider", "api"),
)
#: All other fields that can hold a text.
_from_outside = itemgetter(
    *(
        name
        for name, field in UsageRecord.__dataclass_fields__.items()
        if field.type in ("str", "Optional[str]", "Any", "Mapping[str, Any]") and name not in _OUR_OWN
    )
)


def without_secrets(record: UsageRecord, redactor: Redactor) -> UsageRecord:
    """The record of an answer in which a server may have repeated a key; what is our own stays as it is."""
    if not redactor.finds("\n".join(map(str, filter(None, _from_outside(record.__dict__))))):
        return record  # and what the price details say comes from there, too
    cleaned: UsageRecord = redactor.clean(record)
    return evolve(cleaned, **{name: getattr(record, name) for name in _OUR_OWN})


def with_hidden_headers(request: LLMRequest, redactor: Redactor) -> LLMRequest:
    if not request.extra_headers:
        return request
    return evolve(request, extra_headers=hidden(redactor.clean(dict(request.extra_headers))))
