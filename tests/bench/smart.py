"""What the server answers without a script: what the asked provider would, for whatever model is asked.

It makes examples and demonstration programs run against the scripted server unchanged.
"""

from __future__ import annotations

from tests.bench.connection import Request
from tests.bench.replies import Reply, json_reply
from tests.bench.wire import DIALECTS, Dialect, Usage

TEXT = "Hello from the scripted server."
PIECES = ("Hello", " from", " the", " scripted", " server.")

#: Names for the listings, of no real family.
LISTED = {
    "openai": ("scripted-1", "scripted-1-mini", "scripted-embedding-1"),
    "anthropic": ("scripted-1", "scripted-1-mini"),
    "gemini": ("scripted-1", "scripted-1-mini"),
}


def smart_reply(request: Request) -> Reply:
    """Answer a request by its path: an answer, a listing, one model, or a 404."""
    if request.method == "GET":
        for dialect in DIALECTS.values():
            if dialect.is_listing(request.path, request.headers):
                return _listing(dialect, request)
    else:
        for dialect in DIALECTS.values():
            if dialect.serves(request.path) and isinstance(request.body, dict):
                return _answer(dialect, request)
    return json_reply({"error": {"message": f"Nothing is served at {request.method} {request.path}."}}, 404)


def _answer(dialect: Dialect, request: Request) -> Reply:
    asked = dialect.read_request(request.body, request.path)
    words = sum(len(text.split()) for _, text in asked["messages"]) + len((asked["system"] or "").split())
    usage = Usage(prompt=words, completion=len(PIECES))
    if asked["stream"]:
        return dialect.stream(PIECES, usage=usage, model=asked["model"], cut="recorded")
    return dialect.whole(TEXT, usage=usage, model=asked["model"])


def _listing(dialect: Dialect, request: Request) -> Reply:
    names = LISTED[dialect.provider]
    _, _, name = request.path.partition("/models/")
    if not name:
        return dialect.models(names)
    return dialect.model(name) if name in names else dialect.error(404, message=f"No such model: {name}.")
