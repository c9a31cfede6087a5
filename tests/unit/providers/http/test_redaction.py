"""Keys stay out of everything a person may read."""

from __future__ import annotations

import json
import traceback
from typing import Any

import pytest

from llm_orchestrator.exceptions import ServerError
from llm_orchestrator.providers.http.redaction import REDACTED, Redactor, secret_headers
from llm_orchestrator.types import LLMRequest, Message
from tests.support.small_adapter import SmallAdapter

KEY = "sk-secret-0123456789"


def test_every_occurrence_is_replaced() -> None:
    assert Redactor([KEY]).redact(f"{KEY}, again {KEY}") == f"{REDACTED}, again {REDACTED}"


def test_a_secret_inside_another_leaves_no_rest() -> None:
    assert Redactor([KEY, KEY + "-and-more"]).redact(f"({KEY}-and-more)") == f"({REDACTED})"


def test_short_and_missing_secrets_are_not_searched_for() -> None:
    assert Redactor([None, "", "key"]).redact("monkey") == "monkey"


def test_the_repr_shows_no_secret() -> None:
    assert repr(Redactor([KEY])) == "Redactor(1 secrets)"


def test_headers_that_carry_credentials() -> None:
    headers = {"Authorization": f"Bearer {KEY}", "X-Api-Key": "k-1", "cookie": "session", "x-team": "blue"}
    assert secret_headers(headers) == [f"Bearer {KEY}", "k-1", "session", KEY]


def chained() -> ServerError:
    """An error that says the key, caused by one whose bytes hold it, raised while a third was handled."""
    try:
        try:
            raise RuntimeError(f"first {KEY}", 7)
        except RuntimeError:
            json.loads(f'{{"a": "{KEY}\xff'.encode("latin-1"))
    except UnicodeDecodeError as error:
        failure = ServerError(f"key {KEY} was refused")
        failure.__cause__ = error
        return failure
    raise AssertionError("unreachable")


def test_an_error_is_cleaned_with_all_it_was_caused_by() -> None:
    error = chained()
    assert error.__cause__ is not None and isinstance(error.__cause__.__context__, RuntimeError)
    Redactor([KEY]).scrub(error)
    shown = "".join(traceback.format_exception(type(error), error, None))
    everything = shown + repr(error) + repr(error.__cause__) + repr(error.__cause__.__context__)
    assert KEY not in everything
    assert everything.count(REDACTED) >= 5
    assert error.__cause__.__context__.args[1] == 7, "what is no text stays as it is"


def test_the_message_of_an_sdk_error_is_cleaned_too() -> None:
    class SdkError(Exception):
        message = ""

    error = SdkError("refused")
    error.message = f"bad key {KEY}"
    Redactor([KEY]).scrub(error)
    assert error.message == f"bad key {REDACTED}"


def test_a_group_of_errors_is_cleaned() -> None:
    class Group(Exception):
        """As ExceptionGroup, which Python has since 3.11."""

        exceptions = (OSError(f"no route for {KEY}"),)

    group = Group("all failed")
    Redactor([KEY]).scrub(group)
    assert KEY not in str(group.exceptions[0])


def test_a_ring_of_causes_ends() -> None:
    one, other = KeyError(KEY), KeyError(KEY)
    one.__cause__, other.__cause__ = other, one
    Redactor([KEY]).scrub(one)
    assert other.args == (REDACTED,)


@pytest.mark.parametrize("source", ["api_key", "headers", "extra_headers"])
def test_a_key_that_a_server_repeats_is_not_shown(source: str) -> None:
    settings: Any = {"api_key": KEY} if source == "api_key" else {}
    if source == "headers":
        settings = {"headers": {"x-auth": f"Bearer {KEY}"}}
    extra = {"authorization": f"Bearer {KEY}"} if source == "extra_headers" else {}
    adapter = SmallAdapter(f'{{"error": "unknown key {KEY}"}}'.encode(), **settings)
    with pytest.raises(ServerError) as caught:
        adapter.send_request(LLMRequest("model-1", (Message("user", "Hi"),), extra_headers=extra))
    assert str(caught.value) == f"unknown key {REDACTED}"


def test_a_redactor_finds_what_it_was_given_learnt_or_includes() -> None:
    base = Redactor(["sk-of-the-entry"])
    redactor = base.including(["of-one-call"])
    base.learn(["born-meanwhile"])
    for secret in ("sk-of-the-entry", "of-one-call", "born-meanwhile"):
        assert redactor.finds(f"model {secret[:12]}")
    assert not redactor.finds("model sk-of-another")
    assert base.finds("born-meanwhile") and not base.finds("of-one-call")
