"""What is read of a server without the SDK: where it is, its tools, its results and its errors."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import Any

import pytest

from llm_orchestrator import ConfigurationError, ToolServerError
from llm_orchestrator.mcp import MCPTools
from llm_orchestrator.mcp.address import address_of
from llm_orchestrator.mcp.results import description_of, reason_of, result_of

NOTHING: Any = {"env": None, "cwd": None, "headers": None}


def test_without_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r'pip install "llm-orchestrator\[mcp\]"'):
        MCPTools(["server"])


@pytest.mark.parametrize(
    ("server", "settings", "words"),
    [
        ("uvx server", {}, r"Pass an http or https URL, or a program as a list: \['uvx', 'server'\]"),
        ([], {}, "is not a list of texts"),
        (["uvx", 7], {}, "is not a list of texts"),
        (["uvx"], {"headers": {"a": "b"}}, "takes no headers"),
        ("http://host/mcp", {"env": {"a": "b"}}, "takes no env"),
        ("http://host/mcp", {"cwd": "/"}, "takes no env and no cwd"),
    ],
)
def test_what_is_no_address_is_refused(server: Any, settings: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        address_of(server, **{**NOTHING, **settings})


def test_an_address_is_shown_without_what_may_be_secret() -> None:
    url = address_of(
        "https://me:pass-word@host:8/mcp?key=abcdefg", **{**NOTHING, "headers": {"X-Key": "k" * 9}}
    )
    program = address_of(
        ["/usr/bin/server", "--key=abcdefg"], **{**NOTHING, "env": {"A_TOKEN": "t" * 9, "TZ": "UTC"}}
    )
    assert (url.shown, program.shown) == ("https://host:8/mcp", "server ...")
    shown = url.redactor.redact("abcdefg key=abcdefg pass-word " + "k" * 9)
    assert shown == "abcdefg [redacted] [redacted] [redacted]"
    assert program.redactor.redact("UTC " + "t" * 9) == "UTC [redacted]", "the time zone is no secret"
    assert "kkk" not in repr(vars(url)) and "ttt" not in repr(vars(program))


@pytest.mark.parametrize(
    ("prefix", "name", "expected"),
    [("", "get.it/now", "get_it_now"), ("a_", "b", "a_b"), ("", "7up", "_7up"), ("", "x" * 99, "x" * 64)],
)
def test_names_become_what_providers_take(prefix: str, name: str, expected: str) -> None:
    tool = SimpleNamespace(name=name, description=None, title="Title", input_schema={"type": "object"})
    assert description_of(tool, prefix) == (name, expected, "Title", {"type": "object"})


def block(kind: str, **fields: Any) -> Any:
    return SimpleNamespace(type=kind, **fields)


def result(*content: Any, is_error: bool = False, structured: Any = None) -> Any:
    return SimpleNamespace(content=list(content), is_error=is_error, structured_content=structured)


def test_results_are_texts() -> None:
    text, image = block("text", text="See:"), block("image", data="AAAA", mime_type=None)
    assert result_of(result(text, image)) == (
        "See:\n[image, unknown type, 3 bytes, which cannot be shown here]"
    )
    held = block("resource", resource=SimpleNamespace(uri="file:///a", text="Warm."))
    link = block("resource_link", uri="file:///b", description=None, title=None, name="b")
    assert result_of(result(held, link)) == "Warm.\n[resource file:///b: b]"
    assert result_of(result(structured={"a": 1})) == {"a": 1}
    assert result_of(result(text, structured={"a": 1})) == "See:"


def test_a_result_that_is_a_failure() -> None:
    with pytest.raises(ToolServerError, match="No such city"):
        result_of(result(block("text", text="No such city."), is_error=True))
    with pytest.raises(ToolServerError, match="did not say why"):
        result_of(result(is_error=True))


def test_the_reason_is_the_first_error_of_a_group() -> None:
    group = RuntimeError("group")
    group.exceptions = (ValueError("first\nof two"), KeyError())  # type: ignore[attr-defined]  # as a group has
    assert (reason_of(group), reason_of(KeyError())) == ("ValueError: first of two", "KeyError")
