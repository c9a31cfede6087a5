"""The type of ``response_format``: its JSON schema, and what reads an answer into a value of it.

Providers take one object at the root of a schema. A type that is anything else is put under the key ``value``
on its way out, and taken from there again when the answer comes.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Callable, Dict, Tuple, Type, get_origin

from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.types import JSON
from llm_orchestrator.utils.json_schema import with_object_at_root

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.json_schema import GenerateJsonSchema

__all__ = ["WRAPPED_UNDER", "OutputType", "is_type", "json_schema", "output_type_of", "schema_of"]

#: The key of a value that is not an object.
WRAPPED_UNDER = "value"
#: Keywords that leave a choice of schemas where there should be one object.
_CHOICES = ("anyOf", "oneOf", "allOf", "enum", "const")


class OutputType:
    """One type that answers are read into.

    Args:
        given: A pydantic class, or whatever else pydantic can check.

    Attributes:
        name: What to call it in an error.
        schema: The JSON schema that providers are sent.
        is_wrapped: Whether its value stands under a key of its own.
    """

    def __init__(self, given: Any) -> None:
        self.name = _name_of(given)
        self._read, self.schema = _reader_of(given)
        self.is_wrapped = not _is_object(self.schema)
        if self.is_wrapped:
            self._read_wrapped, self.schema = _reader_of(_wrapper_of(given, self.name))

    @property
    def schema_name(self) -> str:
        """A name that providers accept: those of generic types have brackets, others non-ASCII letters."""
        return re.sub(r"[^a-zA-Z0-9_-]", "_", self.name)[:64]

    def read(self, text: str) -> Any:
        """Read JSON into a value of the type; what does not fit is pydantic's error, or a validator's.

        A model that nobody holds to the schema may leave the wrapping out.
        """
        if self.is_wrapped and text.startswith("{"):
            return getattr(self._read_wrapped(text), WRAPPED_UNDER)
        return self._read(text)


def output_type_of(given: Any) -> OutputType:
    """What reads answers into a type; the latest are kept, for making one takes milliseconds."""
    try:
        return _kept(given)
    except TypeError:  # what it is annotated with cannot be hashed
        return OutputType(given)


@lru_cache(maxsize=64)
def _kept(given: Any) -> OutputType:
    return OutputType(given)


def is_type(given: Any) -> bool:
    """Whether it is something that values can be checked against, and no value itself."""
    named = hasattr(given, "__supertype__") or hasattr(given, "__value__")  # NewType, ``type Name = ...``
    return isinstance(given, type) or get_origin(given) is not None or named or given is Any


def _reader_of(given: Any) -> Tuple[Callable[[str], Any], Dict[str, Any]]:
    """What reads JSON into a type, and its schema."""
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

    if hasattr(given, "model_json_schema"):
        return given.model_validate_json, schema_of(given)
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(given)
        return adapter.validate_json, adapter.json_schema(schema_generator=_generator())
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        raise _no_schema(_name_of(given), error) from error


def schema_of(model: Type[BaseModel]) -> Dict[str, Any]:
    """Make the JSON schema of a pydantic class, or say why it has none."""
    from pydantic.errors import PydanticUserError

    try:
        return json_schema(model)
    except PydanticUserError as error:
        raise _no_schema(model.__name__, error) from error


def _no_schema(name: str, error: Any) -> InvalidRequestError:
    return InvalidRequestError(
        f"{name} has no JSON schema: {error.message}. Use types that JSON can represent."
    )


def json_schema(model: Type[BaseModel]) -> Dict[str, Any]:
    """Make a JSON schema; a default that JSON cannot represent is left out of it without a warning."""
    return model.model_json_schema(schema_generator=_generator())


@lru_cache(maxsize=1)
def _generator() -> Type[GenerateJsonSchema]:
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        ignored_warning_kinds = {  # noqa: RUF012  # pydantic reads it from the class
            *GenerateJsonSchema.ignored_warning_kinds,
            "non-serializable-default",
        }

    return Generator


def _name_of(given: Any) -> str:
    is_class = isinstance(given, type) and get_origin(given) is None  # ``list[int]`` is both on Python 3.9
    return given.__name__ if is_class else str(given).replace("typing.", "")


def _is_object(schema: JSON) -> bool:
    root = with_object_at_root(schema)
    return root.get("type") == "object" and not any(key in root for key in _CHOICES)


def _wrapper_of(given: Any, name: str) -> Any:
    from pydantic import create_model

    fields: Any = {WRAPPED_UNDER: (given, ...)}
    return create_model(name, **fields)
