"""Frozen dataclasses made and copied without their constructors."""

from __future__ import annotations

import dataclasses
import pickle
from importlib import import_module
from pkgutil import walk_packages
from typing import Any, Dict, Iterator, Mapping

import pytest

import llm_orchestrator
from llm_orchestrator.types import (
    Attempt,
    EmbeddingRequest,
    Exchange,
    LLMRequest,
    LLMResponse,
    Message,
    TextDelta,
    TokenUsage,
)
from llm_orchestrator.utils.values import evolve, make


def test_a_value_that_is_made_is_what_the_constructor_makes() -> None:
    assert make(LLMResponse, content="a", model="m", provider="p") == LLMResponse("a", "m", "p")
    assert make(Message, role="user", content="Hi") == Message("user", "Hi")
    assert make(TokenUsage, prompt_tokens=1) == TokenUsage(1)
    assert make(Attempt, model="m") == Attempt("m")
    assert make(LLMRequest, model="m", messages=()) == LLMRequest("m", ())


def test_a_field_that_is_missing_or_unknown_is_noticed() -> None:
    with pytest.raises(AssertionError, match="Attempt is not made of error"):
        make(Attempt, error="E")
    with pytest.raises(AssertionError, match="Attempt is not made of model, odd"):
        make(Attempt, model="m", odd=1)
    with pytest.raises(AssertionError, match="Attempt has not all of odd"):
        evolve(Attempt("m"), odd=1)


@dataclasses.dataclass(frozen=True)
class Plain:
    """What ``dataclass`` writes is what ``Value`` is compared with."""

    api: str
    request: Mapping[str, Any]
    headers: Mapping[str, str] = dataclasses.field(repr=False)
    batch: bool = False


def test_values_are_equal_and_have_one_hash_when_their_fields_are() -> None:
    value = Attempt("m", error="E")
    assert (
        value
        == Attempt("m", error="E")
        == evolve(Attempt("m"), error="E")
        == make(Attempt, error="E", model="m")
    )
    assert len({value, Attempt("m", error="E"), make(Attempt, error="E", model="m")}) == 1
    assert value != Attempt("m") and value != "m"
    assert LLMRequest("m", ()) != EmbeddingRequest("m", ()), "another class is another value"
    assert TextDelta("a") != type("Other", (TextDelta,), {})("a")
    with pytest.raises(TypeError, match="unhashable"):
        hash(Exchange("chat", {}, {}))


def test_a_repr_shows_the_fields_that_may_be_shown_as_dataclass_does() -> None:
    shown = repr(Exchange("chat", {"a": 1}, {"key": "secret"}))
    assert shown == repr(Plain("chat", {"a": 1}, {"key": "secret"})).replace("Plain", "Exchange")
    fields: Dict[str, Any] = {}
    fields["again"] = Exchange("chat", fields, {})
    assert repr(fields["again"]) == "Exchange(api='chat', request={'again': ...}, batch=False)"


def test_a_value_is_a_frozen_dataclass_that_can_be_pickled_and_replaced() -> None:
    value = TextDelta("a")
    assert pickle.loads(pickle.dumps(value)) == value
    assert dataclasses.replace(value, text="b") == TextDelta("b")
    assert [field.name for field in dataclasses.fields(value)] == ["text"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.text = "b"  # type: ignore[misc]  # what is tried
    with pytest.raises(dataclasses.FrozenInstanceError):
        del value.text


def classes_at_the_start() -> Iterator[type]:
    """The classes of the wings that every program loads."""
    for wing in ("types", "providers", "calls", "usage", "models"):
        package = import_module(f"{llm_orchestrator.__name__}.{wing}")
        for found in walk_packages(package.__path__, f"{package.__name__}."):
            if not any(part in found.name for part in (".database", ".page", ".clouds", "gemini_legacy")):
                yield from (
                    thing
                    for thing in vars(import_module(found.name)).values()
                    if isinstance(thing, type) and thing.__module__ == found.name
                )


def test_no_frozen_dataclass_has_an_equality_of_its_own_compiled() -> None:
    parameters = {kind: getattr(kind, "__dataclass_params__", None) for kind in classes_at_the_start()}
    frozen = {kind: made for kind, made in parameters.items() if made is not None and made.frozen}
    assert len(frozen) > 20
    assert [kind.__name__ for kind, made in frozen.items() if made.eq] == [], "derive it from Value"
