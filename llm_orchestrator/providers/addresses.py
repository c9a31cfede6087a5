"""Tells a 404 of a wrong address, which comes from whatever server is there, from the API's own."""

from __future__ import annotations

import json
import re
from collections import abc
from typing import Optional, Union

from llm_orchestrator.exceptions import ConfigurationError, ProviderError
from llm_orchestrator.providers.failure_words import says_no_such_model, says_no_such_path
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.utils.lazy import LazyPattern
from llm_orchestrator.utils.urls import split_query, with_path

__all__ = ["fault_of_address", "is_of_missing_endpoint"]

#: No such path, and no such method on it.
STATUSES = (404, 405)
_PAGE = LazyPattern(r"<(!doctype|html|head|body)\b", re.IGNORECASE)


def fault_of_address(
    error: ProviderError,
    cause: BaseException,
    base_url: Optional[str],
    wire: Optional[WireRequest],
    model: str,
) -> Optional[ConfigurationError]:
    """The error of a wrong ``base_url``; None where the form of the reply, or its words, mean the model."""
    if error.status_code not in STATUSES or base_url is None or wire is None:
        return None
    if error.may_be_billed:  # an answer was begun there, so the address is right
        return None
    words = str(error.args[0]) if error.args else ""
    is_page = bool(_PAGE.search(words))
    means_model = not is_page and (_is_of_an_api(cause) or says_no_such_model(words, model))
    if means_model and not says_no_such_path(words):
        return None
    url = with_path(split_query(base_url)[0], split_query(wire.path)[0])
    said = "" if is_page else f" ({words.removeprefix(f'status {error.status_code}: ').rstrip('.')})"
    fault = ConfigurationError(
        f"{url} answered with status {error.status_code}{said}: the server does not know this path. "
        "Check base_url; hosts that speak the OpenAI protocol mostly want /v1 at its end."
    )
    fault.sent, fault.status_code, fault.request_id = True, error.status_code, error.request_id
    return fault


def is_of_missing_endpoint(error: Union[ProviderError, ConfigurationError], model: str) -> bool:
    """Whether a host does not know an endpoint that not every host has: its 404 does not mean the model."""
    if error.status_code not in STATUSES:
        return False
    words = str(error.args[0]) if error.args else ""
    is_of_path = isinstance(error, ConfigurationError) or says_no_such_path(words)
    return is_of_path or not says_no_such_model(words, model)


def _is_of_an_api(cause: BaseException) -> bool:
    """Whether a bad status came with an error in the form that APIs use: an object."""
    try:
        body = json.loads(getattr(getattr(cause, "response", None), "content", b""))
    except (ValueError, TypeError, RecursionError):  # no JSON at all
        return False
    if not isinstance(body, abc.Mapping):
        return False
    return isinstance(body.get("error"), abc.Mapping) or body.get("object") == "error"
