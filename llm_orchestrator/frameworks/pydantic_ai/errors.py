"""Errors with the names and fields of pydantic-ai's."""

from __future__ import annotations

from functools import partial
from typing import Any, Tuple, Type

from pydantic_ai import exceptions as theirs

from llm_orchestrator import exceptions as own
from llm_orchestrator.frameworks.translation import Translating, counterpart, kind_of

__all__ = ["translated"]

#: What becomes what; the first that fits counts. What no request was sent for is an error of the program.
_ERRORS: Tuple[Tuple[Type[own.OrchestratorError], Any], ...] = (
    (own.BudgetExceededError, theirs.ModelQuotaExceededError),
    (own.QuotaExceededError, theirs.ModelQuotaExceededError),
    (own.RateLimitError, theirs.ModelRateLimitError),
    (own.OverloadedError, theirs.ModelOverloadedError),
    (own.ServerError, theirs.ModelServerError),
    (own.ProviderTimeoutError, theirs.ModelTimeoutError),
    (own.ProviderConnectionError, theirs.ModelConnectionError),
    (own.StreamInterruptedError, theirs.ModelConnectionError),
    (own.AuthenticationError, theirs.ModelAuthenticationError),
    (own.PermissionDeniedError, theirs.ModelAuthenticationError),
    (own.ModelNotFoundError, theirs.ModelNotFoundError),
    (own.ContextLengthError, theirs.ModelContextWindowExceededError),
    (own.InvalidRequestError, theirs.ModelRequestRejectedError),
    (own.ProviderError, theirs.ModelAPIError),
)


def translated(model_name: str) -> Translating:
    """Raise the library's errors as pydantic-ai's."""
    return Translating(partial(_translation, model_name))


def _translation(model_name: str, error: own.OrchestratorError) -> Exception:
    kind = kind_of(error)
    found = counterpart(kind, _ERRORS)
    made: Exception = theirs.UserError(str(error)) if found is None else _api_error(found, model_name, error)
    vars(made)["attempts"] = error.attempts
    return made


def _api_error(found: Any, model_name: str, error: own.OrchestratorError) -> Any:
    status = getattr(error, "status_code", None)
    facts = {
        "retry_after": getattr(error, "retry_after", None),
        "provider_error_code": getattr(error, "code", None),
    }
    if status is None or issubclass(found, theirs.ModelConnectionError):  # which has no status there
        return found(model_name, str(error), **facts)
    return theirs.ModelHTTPError.for_category(
        None if found is theirs.ModelAPIError else found,
        status_code=status,
        model_name=model_name,
        body=str(error),
        **facts,
    )
