"""The kinds of values in the YAML file, and what is refused whatever key it stands at."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Callable, Dict, Mapping, Optional

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import core_schema

from llm_orchestrator.config.frozen import freeze
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.models.names import is_fine_tuned
from llm_orchestrator.utils.lazy import LazyPattern
from llm_orchestrator.utils.urls import fault_of_url

__all__ = [
    "ConfigModel",
    "Count",
    "Dollars",
    "Frozen",
    "HeaderValues",
    "HiddenValues",
    "Items",
    "ModelName",
    "Number",
    "Positive",
    "Proxy",
    "Rate",
    "Section",
    "Text",
    "Url",
    "default_section",
    "replaced",
]


def _no_fine_tuned(model: str) -> str:
    if is_fine_tuned(model):
        raise ValueError(
            f"{model!r} is a fine-tuned model, which is not supported. Use the base model instead."
        )
    return model


#: Ways to write a variable that other programs replace and this one does not, and quotes around a value.
_NOT_REPLACED = LazyPattern(
    r"\$(?:env:)?(?P<shell>\w+)|(?:\$\{?)?(?:env:|os\.environ[/.])(?P<other>\w+)\}?|\{(?P<braces>[A-Z][A-Z0-9_]*)\}|%(?P<windows>\w+)%|\{\{\s*(?P<template>\w+)?.*\}\}|<[^<>]*>|(?P<quote>['\"]).*(?P=quote)",
    re.DOTALL,
)


def replaced(text: str) -> str:
    """Refuse what was meant to be replaced and was not: it would be sent as it stands."""
    found = _NOT_REPLACED.fullmatch(text.strip())
    if found is None:
        return text
    if found["quote"]:
        raise ValueError("has quotes inside, which would be sent too. Remove the inner quotes.")
    name = (
        found["shell"] or found["other"] or found["braces"] or found["windows"] or found["template"] or "NAME"
    )
    raise ValueError(f"is a placeholder that nothing replaces. Write ${{{name}}} for the variable {name}.")


def _header_values(headers: Mapping[str, str]) -> Mapping[str, str]:
    for value in headers.values():
        replaced(value)
    if headers:
        from llm_orchestrator.providers.http.headers import fault_of_headers  # only few entries need it

        fault = fault_of_headers(headers)
        if fault is not None:
            raise ValueError(fault)
    return headers


def _not_a_switch(value: Any) -> Any:
    """Refuse true and false where a number belongs; they would be read as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("is true or false. Write a number.")
    return value


def _http_url(url: Optional[str]) -> Optional[str]:
    if not url:  # ${BASE_URL:-} without a value
        return None
    replaced(url)
    from llm_orchestrator.providers.http.redaction import SECRET_WORDS  # only entries with a URL need it

    fault = fault_of_url(url, SECRET_WORDS)
    if fault is not None:
        raise ValueError(fault)
    return url


def _proxy_url(url: Optional[str]) -> Optional[str]:
    if url:
        from llm_orchestrator.providers.http.core.origins import check_proxy

        try:
            check_proxy(url)
        except ConfigurationError as error:
            raise ValueError(str(error).removeprefix("http.proxy ")) from None
    return url


class _HiddenValues:
    """Hides the values of a mapping in dumps, as a ``PlainSerializer`` would, which is slow to import."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        hide = core_schema.plain_serializer_function_ser_schema(_with_hidden_values)
        return {**handler(source), "serialization": hide}


def _with_hidden_values(headers: Mapping[str, str]) -> Dict[str, str]:
    return dict.fromkeys(headers, "**********")


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
ModelName = Annotated[Text, AfterValidator(_no_fine_tuned)]
Url = Annotated[Optional[Annotated[str, StringConstraints(strip_whitespace=True)]], AfterValidator(_http_url)]
Proxy = Annotated[
    Optional[Annotated[str, StringConstraints(strip_whitespace=True)]], AfterValidator(_proxy_url)
]
Number = BeforeValidator(_not_a_switch)
Positive = Annotated[float, Number, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Number, Field(ge=0, le=1000)]
Dollars = Annotated[Decimal, Number, Field(gt=0)]
Rate = Annotated[Decimal, Number, Field(ge=0)]
Frozen = AfterValidator(freeze)
HeaderValues = AfterValidator(_header_values)
HiddenValues = _HiddenValues()
# YAML reads a section or list whose lines are all commented out as null.
Section = BeforeValidator(lambda value: {} if value is None else value)
Items = BeforeValidator(lambda value: [] if value is None else value)


def default_section(**values: Any) -> Any:
    """The default of a section: values, because an instance would build a validator of its own at import."""
    return Field(default=values, validate_default=True)


class ConfigModel(BaseModel):
    """A section of the file: frozen, and without unknown keys."""

    # A validation error must not show a key. Building is deferred: only the outermost model validates.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)
