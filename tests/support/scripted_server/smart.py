"""What the server answers without a script: what the asked provider would, for whatever model is asked.

It makes examples and demonstration programs run against the scripted server unchanged. A tool is called until
its result is there, a schema is followed, and what was sent in an earlier turn is read from the cache.
"""

from __future__ import annotations

import json
from typing import Any, Mapping

from tests.support.scripted_server.connection import Request
from tests.support.scripted_server.replies import Reply, json_reply
from tests.support.scripted_server.wire import DIALECTS, Call, Dialect, Usage

TEXT = "Hello from the scripted server."
PIECES = ("Hello", " from", " the", " scripted", " server.")
THOUGHTS = "Let me think."
#: Providers cache no shorter beginning.
SHORTEST_CACHED = 1024

#: Where tokens are counted; a smart host counts for every dialect.
COUNTING = ("/input_tokens", "/count_tokens", ":countTokens")

#: Names for the listings, of no real family.
LISTED = {
    "openai": ("scripted-1", "scripted-1-mini", "scripted-embedding-1"),
    "anthropic": ("scripted-1", "scripted-1-mini"),
    "gemini": ("scripted-1", "scripted-1-mini"),
}


def smart_reply(request: Request) -> Reply:
    """Answer a request by its path: an answer, a listing, one model, a count of tokens, or a 404."""
    if request.path.endswith(COUNTING):
        return json_reply({"input_tokens": 9, "totalTokens": 9})
    if request.method == "GET":
        for dialect in DIALECTS.values():
            if dialect.is_listing(request.path, request.headers):
                return _listing(dialect, request)
    else:
        for dialect in DIALECTS.values():
            if dialect.serves(request.path) and isinstance(request.body, dict):
                return _answer(dialect, request)
    return json_reply({"error": {"message": f"Nothing is served at {request.method} {request.path}."}}, 404)


def example_of(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """A value that fits a JSON Schema, the same for every provider."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return example_of(root["$defs"][name], root)
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], root)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if schema.get("type") == "object":
        return {name: example_of(inner, root) for name, inner in schema.get("properties", {}).items()}
    return {"integer": 7, "number": 7.5, "boolean": True, "array": []}.get(schema.get("type", ""), "Rome")


def _answer(dialect: Dialect, request: Request) -> Reply:
    asked, wishes = dialect.read_request(request.body, request.path), dialect.read_wishes(request.body)
    pieces, calls = PIECES, []
    if wishes.tools and asked["messages"][-1][0] != "tool":
        name, schema = next(iter(wishes.tools.items()))
        pieces, calls = (), [Call(name, example_of(schema, schema))]
    elif wishes.output is not None:
        pieces = (json.dumps(example_of(wishes.output, wishes.output)),)
    said = {
        "usage": _usage(asked, reasons=wishes.reasoning),
        "tool_calls": calls,
        "reasoning": THOUGHTS if wishes.reasoning else None,
        "model": asked["model"],
    }
    if asked["stream"]:
        return dialect.stream(pieces, cut="recorded", **said)
    return dialect.whole("".join(pieces), **said)


def _usage(asked: Mapping[str, Any], *, reasons: bool) -> Usage:
    """A word is a token; a long beginning is in the cache from the second turn on."""
    words = [len(text.split()) for _, text in asked["messages"]]
    prompt = sum(words) + len((asked["system"] or "").split())
    is_first = not any(role == "assistant" for role, _ in asked["messages"])
    is_cached = not is_first and prompt - words[-1] >= SHORTEST_CACHED
    return Usage(
        prompt=prompt,
        completion=len(PIECES),
        cached=prompt - words[-1] if is_cached else None,
        reasoning=2 if reasons else None,
    )


def _listing(dialect: Dialect, request: Request) -> Reply:
    names = LISTED[dialect.provider]
    _, _, name = request.path.partition("/models/")
    if not name:
        return dialect.models(names)
    return dialect.model(name) if name in names else dialect.error(404, message=f"No such model: {name}.")
