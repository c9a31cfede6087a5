"""The local adapter's requests: tools and a schema in one call, which the server cannot have at once."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, Dict

import pytest

from llm_orchestrator.providers.local_adapter import NO_GRAMMAR, NO_TOOLS, LocalAdapter
from llm_orchestrator.types import LLMRequest, Message

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "City", "schema": SCHEMA}}
TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}


def wire(monkeypatch: pytest.MonkeyPatch, *, takes_tools: bool, **parameters: Any) -> Any:
    server = SimpleNamespace(takes_tools=takes_tools)
    monkeypatch.setattr(LocalAdapter, "_running_server", lambda adapter: server)
    adapter = LocalAdapter("local", model_path="m.gguf")
    return adapter.build_request(LLMRequest("m", (Message("user", "Hi"),), **parameters), stream=False)


def test_while_tools_may_be_called_the_schema_stands_in_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = wire(monkeypatch, takes_tools=True, tools=(TOOL,), response_format=FORM)
    assert "response_format" not in sent.body and sent.body["tools"] == [TOOL]
    system, user = sent.body["messages"]
    assert system["role"] == "system" and json.dumps(SCHEMA) in system["content"]
    assert user == {"role": "user", "content": "Hi"}
    assert sent.warnings[-1] == NO_GRAMMAR


@pytest.mark.parametrize(
    "parameters",
    [
        {"response_format": FORM},
        {"response_format": FORM, "tools": (TOOL,), "tool_choice": "none"},
    ],
)
def test_where_none_may_be_called_a_grammar_holds(
    monkeypatch: pytest.MonkeyPatch, parameters: Dict[str, Any]
) -> None:
    sent = wire(monkeypatch, takes_tools=True, **parameters)
    assert sent.body["response_format"]["json_schema"]["schema"]["properties"] == SCHEMA["properties"]
    assert [message["role"] for message in sent.body["messages"]] == ["user"]
    assert not {NO_GRAMMAR, NO_TOOLS} & set(sent.warnings)


def test_a_template_without_tools_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = wire(monkeypatch, takes_tools=False, tools=(TOOL,), response_format=FORM)
    assert sent.warnings[-1] == NO_TOOLS
    assert "response_format" in sent.body, "no call can come, so the grammar costs nothing"
