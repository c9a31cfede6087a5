"""Writes ``docs/api.md``, the API reference, from the signatures and docstrings of the public names.

    python tools/make_api_docs.py

A test compares the page with the code, so a change of either without the other does not pass.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "api.md"
LONGEST_SIGNATURE = 100
#: Above this number, parameters that several methods of a class share are written out once.
MANY_PARAMETERS = 10

sys.path.insert(0, str(ROOT))

from llm_orchestrator import ProviderError  # noqa: E402  # found by the line above


class Chapter(NamedTuple):
    """One part of the page: its title, the module its names are imported from, and the names."""

    title: str
    module: str
    names: Tuple[str, ...]


CHAPTERS = (
    Chapter("The orchestrator", "llm_orchestrator", ("LLMOrchestrator",)),
    Chapter("Conversations", "llm_orchestrator", ("Conversation",)),
    Chapter("Streams", "llm_orchestrator", ("LLMStream", "AsyncLLMStream")),
    Chapter("Answers", "llm_orchestrator", ("LLMResponse", "TokenUsage", "FinishReason", "Attempt")),
    Chapter("Messages and tools", "llm_orchestrator", ("Message", "image_part", "file_part", "ToolCall")),
    Chapter("Events of a stream", "llm_orchestrator", ("TextDelta", "ReasoningDelta", "ToolCallDelta")),
    Chapter(
        "Errors",
        "llm_orchestrator",
        (
            "OrchestratorError",
            "ConfigurationError",
            "ProviderSwitchError",
            "InvalidMessagesError",
            "BudgetExceededError",
            "ProviderError",
            "AuthenticationError",
            "PermissionDeniedError",
            "QuotaExceededError",
            "RateLimitError",
            "ModelNotFoundError",
            "ContextLengthError",
            "InvalidRequestError",
            "UnsupportedParameterError",
            "ServerError",
            "OverloadedError",
            "ProviderConnectionError",
            "ProviderTimeoutError",
            "InvalidResponseError",
            "StreamInterruptedError",
            "OutputTruncatedError",
            "OutputParseError",
            "AllFallbacksFailedError",
        ),
    ),
    Chapter(
        "Configuration",
        "llm_orchestrator",
        ("ConfigManager", "OrchestratorConfig", "ProviderConfig", "CostTrackingConfig"),
    ),
    Chapter("Models", "llm_orchestrator", ("ModelRegistry", "ModelInfo")),
    Chapter(
        "Costs",
        "llm_orchestrator",
        ("CostTracker", "UsageRecord", "UsageReport", "CostDetails", "price_usage", "format_cost"),
    ),
    Chapter("Hooks", "llm_orchestrator", ("Hook", "CallEvent")),
    Chapter("Tracing", "llm_orchestrator.tracing", ("trace_calls",)),
    Chapter(
        "Testing",
        "llm_orchestrator.testing",
        ("ScriptedOrchestrator", "NetworkGuard", "FakeProvider", "FakeReply"),
    ),
    Chapter("Testing a provider", "llm_orchestrator.testing.conformance", ("ProviderConformance", "Answer")),
    Chapter("Providers", "llm_orchestrator", ("BaseLLMProvider", "LLMRequest", "register_provider")),
    Chapter(
        "What passes between a provider and its host",
        "llm_orchestrator.providers.wire",
        ("WireRequest", "Limits", "RawReply", "BufferedReply", "StreamState"),
    ),
)

HEAD = """# API reference

<!-- Written by tools/make_api_docs.py from the docstrings; change those. -->

Every public name. The keys of the YAML file are in [configuration.md](configuration.md), what the providers
do with a parameter in [providers.md](providers.md).
"""


def page() -> str:
    """The whole page.

    Returns:
        Markdown.
    """
    lines = [HEAD]
    for chapter in CHAPTERS:
        lines.append(f"- {chapter.title}: " + ", ".join(f"[{n}](#{n.lower()})" for n in chapter.names))
    for chapter in CHAPTERS:
        lines += ["", f"## {chapter.title}", "", f"`from {chapter.module} import ...`"]
        module = import_module(chapter.module)
        for name in chapter.names:
            lines += ["", f"### {name}", "", *_documented(name, getattr(module, name), module)]
    return "\n".join(lines) + "\n"


def documented_names() -> List[str]:
    """The names the page documents, in its order.

    Returns:
        The names.
    """
    return [name for chapter in CHAPTERS for name in chapter.names]


# ---------------------------------------------------------------------------------------- one name


def _documented(name: str, value: Any, module: Any) -> Iterator[str]:
    if inspect.isfunction(value):
        yield from _function(name, value)
    elif inspect.isclass(value):
        yield from _class(name, value)
    else:
        yield from _alias(name, module)


def _alias(name: str, module: Any) -> Iterator[str]:
    """A name for a type, explained by the ``#:`` comment above it."""
    home = next(path for path, names in module._HOMES.items() if name in names)
    source = inspect.getsource(import_module(f"llm_orchestrator.{home}"))
    found = re.search(rf"^#: (?P<comment>.*)\n(?P<code>{name} = .*)$", source, re.MULTILINE)
    assert found is not None, f"{name} has no comment that begins with #:"
    yield from ("```python", found["code"], "```", "", found["comment"])


def _class(name: str, value: Any) -> Iterator[str]:
    bases = [base for base in value.__mro__[1:] if base.__name__ in documented_names()]
    if _has_own_constructor(value):
        yield from ("```python", _signature(name, inspect.signature(value)), "```", "")
    yield from _docstring(value)
    if issubclass(value, enum.Enum):
        yield from ("", "Values: " + ", ".join(f"`{item.name}` (`{item.value!r}`)" for item in value) + ".")
    if issubclass(value, ProviderError):
        retried, falls_back = ("yes" if flag else "no" for flag in (value.retryable, value.falls_back))
        yield from ("", f"Retried: {retried}. Falls back: {falls_back}.")
    if bases:
        yield from ("", f"It also has what [{bases[0].__name__}](#{bases[0].__name__.lower()}) has.")
    shown: Dict[str, str] = {}
    for member, attribute in _members(value, bases).items():
        yield from ("", f"#### {name}.{member}", "")
        if isinstance(attribute, property):
            yield from _docstring(attribute.fget)
        else:
            yield from _function(member, attribute, shown)


def _has_own_constructor(value: Any) -> bool:
    """Whether the class, or a base that is not on the page, says what it is made of."""
    maker = _maker(value)
    is_elsewhere = maker is not value and maker.__name__ in documented_names()
    return _is_ours(maker) and not is_elsewhere and not _is_data(value)


def _maker(value: Any) -> Any:
    """The class whose constructor makes a value."""
    return next(base for base in value.__mro__ if "__init__" in vars(base))


def _is_ours(value: Any) -> bool:
    return str(value.__module__).startswith("llm_orchestrator")


def _is_data(value: Any) -> bool:
    """Whether the constructor says nothing that the fields do not say, or nothing at all."""
    is_fields = dataclasses.is_dataclass(value) or hasattr(value, "model_fields")
    return is_fields or issubclass(value, enum.Enum) or getattr(value, "_is_protocol", False)


def _members(value: Any, bases: List[Any]) -> Dict[str, Any]:
    """Public methods and properties that no base on the page has, in the order of their definition."""
    if hasattr(value, "model_fields") or issubclass(value, BaseException):
        return {}
    found: Dict[str, Any] = {}
    for base in filter(_is_ours, value.__mro__):
        for name, member in vars(base).items():
            inner = getattr(member, "__func__", member)
            known = name.startswith("_") or name in found or any(hasattr(other, name) for other in bases)
            if not known and (inspect.isfunction(inner) or isinstance(inner, property)):
                found[name] = inner
    return found


def _function(name: str, function: Any, shown: Optional[Dict[str, str]] = None) -> Iterator[str]:
    """A function; many parameters that its class was ``shown`` with before are not written out again."""
    signature = inspect.signature(function)
    parameters = _parameters(signature)
    first = (shown if shown is not None else {}).setdefault(" ".join(parameters), name)
    if first != name and len(parameters) > MANY_PARAMETERS:
        parameters = [f"...the parameters of {first}..."]
    kind = "async def" if inspect.iscoroutinefunction(function) else "def"
    yield from ("```python", f"{kind} {_signature(name, signature, parameters)}", "```", "")
    yield from _docstring(function)


# ---------------------------------------------------------------------------------------- signatures


def _signature(name: str, signature: inspect.Signature, parameters: Optional[List[str]] = None) -> str:
    parts = _parameters(signature) if parameters is None else parameters
    returns = signature.return_annotation
    end = "" if returns in (signature.empty, None, "None") else f" -> {returns}"
    line = f"{name}({', '.join(parts)}){end}"
    if len(line) <= LONGEST_SIGNATURE:
        return line
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){end}"])


def _parameters(signature: inspect.Signature) -> List[str]:
    parts: List[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        if parameter.name not in ("self", "cls"):
            parts.append(_parameter(parameter))
    return parts


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    annotation = "" if parameter.annotation is parameter.empty else f": {parameter.annotation}"
    default = "" if parameter.default is parameter.empty else f" = {_shown(parameter.default)}"
    return f"{stars}{parameter.name}{annotation}{default}"


def _shown(value: Any) -> str:
    """A default value as code, the same on every Python."""
    if callable(value):
        return str(value.__name__)
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if dataclasses.is_dataclass(value):
        told = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return f"{type(value).__name__}({', '.join(f'{k}={v!r}' for k, v in told.items() if v is not None)})"
    return repr(value)


# ---------------------------------------------------------------------------------------- docstrings

_SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises):$")
_ENTRY = re.compile(r"^    (\**\w+)(?: \([^)]*\))?: +(.*)$")
#: Sections whose entries have a name.
_NAMED = ("Args", "Attributes", "Raises")


def _docstring(value: Any) -> Iterator[str]:
    """A Google-style docstring as Markdown; the fields of a dataclass get their types."""
    text = inspect.getdoc(value) or ""
    if inspect.isclass(value) and "Args:" not in text and _has_own_constructor(value):
        text += "\n\nArgs:" + (inspect.getdoc(_maker(value)) or "").partition("Args:")[2]
    fields = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
    types = {field.name: f" (`{field.type}`{_default(field)})" for field in fields}
    yield from _sections(text.splitlines(), types)


def _sections(lines: List[str], types: Dict[str, str]) -> Iterator[str]:
    named, inside = False, False
    for line in lines:
        begins = _SECTION.match(line)
        if begins:
            named, inside = begins[1] in _NAMED, True
            yield from (f"**{begins[1]}**", "")
        elif inside and line.startswith("    "):
            entry = _ENTRY.match(line) if named else None
            name = f"- `{entry[1]}`{types.get(entry[1], '')}: " if entry else "  " if named else ""
            yield name + (entry[2] if entry else line.strip()).replace("``", "`")
        else:
            yield line.replace("``", "`")


def _default(field: Any) -> str:
    if field.default is not dataclasses.MISSING:
        return f", default `{_shown(field.default)}`"
    return "" if field.default_factory is dataclasses.MISSING else f", default `{field.default_factory()!r}`"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(documented_names())} names")


if __name__ == "__main__":
    main()
