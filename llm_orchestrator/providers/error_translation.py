"""The one place where an exception of an SDK, its HTTP library or a JSON library becomes an error of ours."""

from __future__ import annotations

import json
from types import TracebackType
from typing import TYPE_CHECKING, Optional, Type

from llm_orchestrator.exceptions import (
    InvalidRequestError,
    OrchestratorError,
    ProviderError,
    UnsupportedParameterError,
)
from llm_orchestrator.providers.addresses import fault_of_address
from llm_orchestrator.providers.http.redaction import redact_logs, stop_redacting_logs
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.request.options import with_defaults
from llm_orchestrator.types import ADDED_FIELDS, MODEL_PARAMETERS, LLMRequest

if TYPE_CHECKING:
    from llm_orchestrator.providers.adapter import Adapter

__all__ = ["ErrorTranslation"]


class ErrorTranslation:
    """A context that turns every error into one of ours: named, free of keys, with its cause.

    Attributes:
        wire: The request in the provider's form, once it is known.
    """

    __slots__ = ("_provider", "_redactor", "_request", "wire")

    def __init__(
        self, provider: Adapter, request: Optional[LLMRequest], wire: Optional[WireRequest] = None
    ) -> None:
        self._provider = provider
        self._request = request
        self._redactor = provider.redactor_for(request)
        self.wire = wire

    def __enter__(self) -> ErrorTranslation:
        if self._has_own_secrets:
            redact_logs(self._redactor)
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._has_own_secrets:
            stop_redacting_logs(self._redactor)
        if error is None:
            return
        shown = self._translated(error)
        if shown is not error:
            shown.__cause__ = error
        self._redactor.scrub(shown)
        if shown is not error:
            raise shown from error

    @property
    def _has_own_secrets(self) -> bool:
        """Whether the call brought secrets of its own, which only its own time keeps out of the logs."""
        return self._redactor is not self._provider.redactor

    def _translated(self, error: BaseException) -> BaseException:
        """The error of ours, or the error itself where it is none of the provider's doing."""
        if isinstance(error, ProviderError):
            translated: Optional[ProviderError] = error
        elif isinstance(error, OrchestratorError) or not isinstance(error, Exception):
            translated = None
        else:
            translated = _fault_of_body(error, self.wire) or self._provider.translate_error(error)
        if translated is None:
            return error
        model = self._request.model if self._request is not None else ""
        elsewhere = fault_of_address(translated, error, self._provider.base_url, self.wire, model)
        if elsewhere is not None:
            return elsewhere
        translated = self._as_sent(translated)
        translated.provider = self._provider.name
        if self._request is not None:
            translated.model = self._request.model
        if translated.sent and self._provider.has_other_key(error, translated):
            translated.has_other_key = True
        return translated

    def _as_sent(self, error: ProviderError) -> ProviderError:
        """A parameter that the caller did not set cannot be left out: the request itself is at fault."""
        if not isinstance(error, UnsupportedParameterError) or self._request is None:
            return error
        if self._provider.asks_for(self._request, error.parameter):
            error.form = self._form_sent(self._request, error.parameter)
            self._note_what_stood_beside(error, self._request)
            return error
        plain = InvalidRequestError(*error.args)
        plain.__dict__.update({key: value for key, value in error.__dict__.items() if key != "parameter"})
        return plain

    def _note_what_stood_beside(self, error: UnsupportedParameterError, request: LLMRequest) -> None:
        """What is refused only beside others is remembered with them: those named, or all that were there."""
        body = (self.wire.body if self.wire is not None else None) or {}
        set_by_caller = self._provider.names_set(request, stream=bool(body.get("stream")))
        error.is_added = error.parameter in ADDED_FIELDS and error.parameter not in set_by_caller
        # A form that no parameter of the call asked for: the library chose it, and has another one.
        error.is_added |= error.form is not None and error.parameter not in MODEL_PARAMETERS
        if error.named_beside is not None:
            others = set_by_caller - {error.parameter}
            error.beside = (others & error.named_beside) or others

    def _form_sent(self, request: LLMRequest, parameter: str) -> Optional[str]:
        form = self.wire.forms.get(parameter) if self.wire is not None else None
        return form or self._provider.form_sent(with_defaults(request, self._provider.options), parameter)


def _fault_of_body(error: BaseException, wire: Optional[WireRequest]) -> Optional[InvalidRequestError]:
    """A body that cannot be written as JSON is a fault of the request.

    Whether it can is only asked when the call failed, so that no body is written twice.
    """
    if wire is None or not isinstance(error, (TypeError, ValueError, RecursionError)):
        return None
    try:
        json.dumps(wire.body, allow_nan=False, ensure_ascii=False).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as fault:
        refusal = InvalidRequestError(
            f"The request cannot be written as JSON: {fault}. Check messages, tools and provider options."
        )
        refusal.sent = False
        return refusal
    return None
