"""An MCP server by hand, which says what no server should; its one argument names how it misbehaves.

It speaks the protocol in lines of JSON, so that it can break it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Dict

OBJECT = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL: Dict[str, Any] = {"name": "temperature", "description": "How warm it is.", "inputSchema": OBJECT}
INFO = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "liar", "version": "1"},
}
#: What its list of tools is, where it is no list of the tool above.
LISTS: Dict[str, Any] = {
    "schema is an array": {"tools": [{**TOOL, "inputSchema": {"type": "array"}}]},
    "schema is a text": {"tools": [{**TOOL, "inputSchema": "an object"}]},
    "tool without a name": {"tools": [{"inputSchema": OBJECT}]},
    "no list": {"tools": 7},
    "twice the same": {"tools": [TOOL, TOOL]},
    "odd schema": {
        "tools": [{**TOOL, "inputSchema": {"type": "object", "properties": {"city": {"type": "strange"}}}}]
    },
    "pages without end": {"tools": [], "nextCursor": "more"},
    "strange name": {"tools": [{**TOOL, "name": "weather.now/temperature"}]},
    "output schema": {"tools": [{**TOOL, "outputSchema": {"type": "object", "required": ["degrees"]}}]},
}
#: What a call gives, where it is no text.
RESULTS: Dict[str, Any] = {
    "no content": {},
    "content is a text": {"content": "21 degrees"},
    "output schema": {"content": [], "structuredContent": {"warm": True}},
    "structured": {"content": [], "structuredContent": {"degrees": 21}},
    "error": {"content": [{"type": "text", "text": "No such city."}], "isError": True},
    "media": {
        "content": [
            {"type": "text", "text": "See:"},
            {"type": "image", "data": "iVBORw0K", "mimeType": "image/png"},
            {"type": "audio", "data": "UklGRg==", "mimeType": "audio/wav"},
            {"type": "resource_link", "uri": "file:///rome.txt", "name": "rome", "description": "On Rome"},
            {"type": "resource", "resource": {"uri": "file:///a", "text": "Warm."}},
            {"type": "resource", "resource": {"uri": "file:///b", "blob": "AAAA"}},
        ]
    },
    "repeats its key": {"content": [{"type": "text", "text": f"It is {os.environ.get('CITY_KEY')}"}]},
}
FINE = {"content": [{"type": "text", "text": "21 degrees"}]}


def answer_of(how: str, method: str) -> Any:
    if how == "silent":
        time.sleep(600)
    if how == "dies" and method == "tools/call":
        os._exit(1)
    if how == "asks back" and method == "tools/call":
        return {"result": {"content": [{"type": "text", "text": ask_back()}]}}
    if method == "initialize":
        return {"result": INFO}
    if method == "tools/list":
        return {"result": LISTS.get(how, {"tools": [TOOL]})}
    if method == "tools/call" and how == "refuses":
        return {"error": {"code": -32603, "message": f"Not today, {os.environ.get('CITY_KEY')}."}}
    if method == "tools/call":
        return {"result": RESULTS.get(how, FINE)}
    return {"error": {"code": -32601, "message": "Method not found"}}


def ask_back() -> str:
    """Ask the client for an answer of its model, which servers may where it is offered."""
    asked = {"messages": [], "maxTokens": 9}
    print(
        json.dumps({"jsonrpc": "2.0", "id": "s1", "method": "sampling/createMessage", "params": asked}),
        flush=True,
    )
    return "refused" if "error" in json.loads(sys.stdin.readline()) else "answered"


def main(how: str, notes: str) -> None:
    with open(notes, "a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    if how == "ends at once":
        sys.exit("I have better things to do.")
    for line in sys.stdin:
        if how == "junk":
            print("Welcome to my server!", flush=True)
        message = json.loads(line)
        is_left = how == "hangs" and message["method"] == "tools/call"
        if "id" in message and not is_left:
            answer = {"jsonrpc": "2.0", "id": message["id"], **answer_of(how, message["method"])}
            print(json.dumps(answer), flush=True)
    if how == "stays":
        time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])
