"""Tools and structured output as LangChain has them."""

from __future__ import annotations

from operator import itemgetter
from typing import Any, Optional

from langchain_core.exceptions import ModelRefusalError
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass

__all__ = ["structured", "written_tool"]

#: Types of the dicts that describe a function; any other is a tool of the provider's own.
FUNCTIONS = (None, "function", "object", "custom")


def written_tool(tool: Any, strict: Optional[bool]) -> Any:
    """Write a tool in the OpenAI Chat form."""
    if isinstance(tool, dict) and tool.get("type") not in FUNCTIONS:
        return tool
    return convert_to_openai_tool(tool, strict=strict)


def structured(model: Any, schema: Any, method: str, include_raw: bool, strict: Optional[bool]) -> Runnable:
    """Return what asks a model for values of a schema, by JSON and not by a tool."""
    if method not in ("json_schema", "json_mode"):
        raise ValueError(f"method is {method!r}. Use json_schema, function_calling or json_mode.")
    wanted = convert_to_json_schema(schema)
    form = {"name": wanted["title"], "schema": wanted, "strict": strict is not False}
    given = {"json_schema": form} if method == "json_schema" else {}
    asking = model.bind(
        response_format={"type": "json_schema" if given else "json_object", **given},
        ls_structured_output_format={"kwargs": {"method": method}, "schema": schema},
    )
    is_class = isinstance(schema, type) and is_basemodel_subclass(schema)
    parser = _PydanticOutput(pydantic_object=schema) if is_class else _JSONOutput()
    if not include_raw:
        return asking | parser
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=asking) | parsed.with_fallbacks([failed], exception_key="parsing_error")


class _JSONOutput(JsonOutputParser):  # type: ignore[misc]  # its types are not followed
    """The answer as a dict; a refusal is an error of its own, not JSON that cannot be read."""

    def parse_result(self, result: Any, *, partial: bool = False) -> Any:
        message = result[0].message
        refusal = message.additional_kwargs.get("refusal")
        if refusal is not None:
            raise ModelRefusalError(f"The model refused: {refusal or 'no reason'}.", raw_message=message)
        return super().parse_result(result, partial=partial)


class _PydanticOutput(PydanticOutputParser, _JSONOutput):  # type: ignore[misc]
    """The answer as an instance."""
