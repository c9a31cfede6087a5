"""A model that does what the standard suites ask for: it calls the tool it is told to, and fills schemas."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, Mapping

from tests.support.scripted_server import DIALECTS, Call, Dialect, Reply, Request
from tests.support.scripted_server.smart import example_of, smart_reply

__all__ = ["played_model"]


def played_model(request: Request) -> Reply:
    """Answer as an obedient model would."""
    dialect = next((each for each in DIALECTS.values() if each.serves(request.path)), None)
    if dialect is None:
        return smart_reply(request)
    asked, wishes = dialect.read_request(request.body, request.path), dialect.read_wishes(request.body)
    role, question = asked["messages"][-1]
    if wishes.tools and role != "tool":
        name, schema = next(iter(wishes.tools.items()))
        call = Call(name, {**example_of(schema, schema), **_arguments(schema, question)})
        return _answer(dialect, asked, "", tool_calls=[call], finish="tool_calls")
    if "'setup' and 'punchline'" in question:
        return _answer(dialect, asked, '{"setup": "Why?", "punchline": "Because."}')
    if wishes.output is not None:
        return _answer(dialect, asked, json.dumps(example_of(wishes.output, wishes.output)))
    return _answer(dialect, asked, "Hello there.")


def _arguments(schema: Mapping[str, Any], question: str) -> Dict[str, Any]:
    """Arguments that stand in the question: a number in brackets, a name in quotation marks."""
    found = {"input": re.search(r"\((\d+)\)", question), "customer_name": re.search(r"'(.+?)'", question)}
    return {
        name: int(match[1]) if name == "input" else match[1]
        for name, match in found.items()
        if match and name in schema.get("properties", {})
    }


def _answer(dialect: Dialect, asked: Mapping[str, Any], text: str, **facts: Any) -> Reply:
    facts["model"] = asked["model"]
    if asked["stream"]:
        pieces = [text[: len(text) // 2], text[len(text) // 2 :]] if text else []
        return dialect.stream(pieces, **facts)
    return dialect.whole(text, **facts)
