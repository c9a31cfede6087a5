"""MCP servers behind a URL that hang, fail or break off: an error or a result, and nothing is left."""

from __future__ import annotations

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Dict, Iterator, List

import pytest

from llm_orchestrator import ToolCall, ToolServerError
from llm_orchestrator.mcp import MCPTools
from tests.mcp.lying_server import answer_of

pytest.importorskip("mcp", reason="mcp is not installed: make test-mcp")

pytestmark = pytest.mark.slow

CALL = ToolCall("call_a", "temperature", {"city": "Rome"}, "")
#: What the server does with a request of a kind; all others it answers as it should.
Faults = Dict[str, str]


class Server:
    """A server whose faults a test sets, by the method of JSON-RPC, or of HTTP."""

    def __init__(self) -> None:
        self.faults: Faults = {}
        self.seen: List[str] = []
        self.keys: List[Any] = []
        self.ends = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.seen.append(message["method"])
                outer.keys.append(self.headers.get("Authorization"))
                if not outer.misbehaves(self, message["method"]):
                    self.answer(message)

            def do_DELETE(self) -> None:
                outer.seen.append("DELETE")
                if not outer.misbehaves(self, "DELETE"):
                    self.send_response(204)
                    self.end_headers()

            def do_GET(self) -> None:
                self.send_response(405)
                self.end_headers()

            def answer(self, message: Any) -> None:
                if "id" not in message:
                    self.send_response(202)
                    self.end_headers()
                    return
                body = {"jsonrpc": "2.0", "id": message["id"], **answer_of("", message["method"])}
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Mcp-Session-Id", "session-1")
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *arguments: Any) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/mcp"

    def misbehaves(self, handler: Any, method: str) -> bool:
        fault = self.faults.get(method)
        if fault == "hangs":
            self.ends.wait(120)
        elif fault == "breaks off":
            handler.connection.close()
        elif fault == "is no JSON":
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.end_headers()
            handler.wfile.write(b"<html>Welcome!</html>")
        elif fault is not None:
            handler.send_error(int(fault), handler.headers.get("Authorization"))
        return fault is not None


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.ends.set()
    server.http.shutdown()
    server.http.server_close()


def use(tools: MCPTools, way: str, timeout: float = 60) -> Any:
    """Start the server, make one call, and close it; on a loop nothing of it is left."""
    if way == "sync":
        with tools:
            return CALL.run([tools], timeout=timeout).content

    async def main() -> Any:
        try:
            async with tools:
                return (await CALL.arun([tools], timeout=timeout)).content
        finally:
            assert asyncio.all_tasks() == {asyncio.current_task()}

    return asyncio.run(main())


ways = pytest.mark.parametrize("way", ["sync", "async"])


@ways
def test_headers_are_sent_and_the_session_is_ended(server: Server, way: str) -> None:
    tools = MCPTools(server.url, headers={"Authorization": "Bearer key-0123456789"})
    assert use(tools, way) == "21 degrees"
    assert set(server.keys) == {"Bearer key-0123456789"}
    assert server.seen[-1] == "DELETE" and "tools/call" in server.seen


@ways
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("hangs", "did not end within 1 seconds"),
        ("breaks off", "did not run"),
        ("is no JSON", "did not run"),
        ("500", "did not run"),
        ("401", "did not run"),
    ],
)
def test_a_call_that_fails_is_told(server: Server, way: str, fault: str, told: str) -> None:
    server.faults = {"tools/call": fault}
    tools = MCPTools(server.url, headers={"Authorization": "Bearer key-0123456789"})
    said = use(tools, way, 1 if fault == "hangs" else 60)
    assert told in said and "key-0123" not in said


@ways
@pytest.mark.parametrize("fault", ["hangs", "breaks off", "is no JSON", "500", "401"])
def test_a_server_that_does_not_start(server: Server, way: str, fault: str) -> None:
    server.faults = dict.fromkeys(("initialize", "server/discover", "tools/list"), fault)
    tools = MCPTools(
        server.url, headers={"Authorization": "Bearer key-0123456789"}, timeout=1 if fault == "hangs" else 60
    )
    with pytest.raises(ToolServerError, match="did not start") as raised:
        use(tools, way)
    assert "key-0123" not in str(raised.value)


@ways
@pytest.mark.parametrize("fault", ["hangs", "500", "breaks off"])
def test_an_end_that_the_server_does_not_take(
    server: Server, way: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_orchestrator.mcp.connection.ENDING", 1.0)
    server.faults = {"DELETE": fault}
    assert use(MCPTools(server.url), way) == "21 degrees"
