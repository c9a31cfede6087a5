"""Tools of MCP servers in loops: they run as functions do, and whatever a server does, nothing is lost or left."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, List

import pytest

from llm_orchestrator import (
    Conversation,
    InvalidRequestError,
    OrchestratorError,
    ToolCall,
    ToolServerError,
    ToolTimeoutError,
)
from llm_orchestrator.mcp import MCPTools
from tests.mcp.conftest import Liar
from tests.scenarios.test_tool_loops import calls, check_goes_on, loop, says, sent
from tests.support.fixtures import Orchestrate
from tests.support.marks import chat
from tests.support.money import Spend, path, price, rows, spend  # noqa: F401 (fixtures)
from tests.support.scripted_server import Call, Dialect, ScriptedServer

pytest.importorskip("mcp", reason="mcp is not installed: make test-mcp")

pytestmark = pytest.mark.slow

ROME = Call("temperature", {"city": "Rome"}, "call_a")
CALL = ToolCall("call_a", "temperature", {"city": "Rome"}, "")
both = pytest.mark.parametrize("address", ["stdio", "http"], indirect=True)


def in_block(conversation: Conversation, way: str, messages: Any = "How warm?", **arguments: Any) -> Any:
    """Start the servers of a conversation, carry out a loop, and close them."""
    if "async" not in way:
        with conversation:
            return loop(conversation, way, messages, **arguments)

    async def main() -> Any:
        async with conversation:
            if way == "async whole":
                return await conversation.arun(messages, **arguments)
            return await conversation.arun_stream(messages, **arguments).final_response()

    return asyncio.run(main())


# ---------------------------------------------------------------- servers that do what they should


@chat
@both
def test_a_loop_runs_the_tools_of_a_server(
    address: Any, spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, path: Path  # noqa: F811
) -> None:
    server.script(calls(dialect, way, ROME), says(dialect, way, "Rome is warm."))
    tools = MCPTools(address)
    conversation = spend(**price(dialect)).start_conversation(tools=[tools])

    response = in_block(conversation, way)

    assert response.content == "Rome is warm."
    assert ("tool", "Rome: 21") in sent(server, dialect)
    assert len(response.attempts) == len(rows(path)) == 2
    assert not tools.is_started
    assert Conversation.from_json(conversation.to_json(), conversation._orchestrator)


def test_every_provider_is_told_the_schema(
    weather: List[str], orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(calls(dialect, "whole", ROME), dialect.whole("Warm."))

    def lucky(number: int) -> int:
        """Tell whether a number is lucky."""
        return number

    with orchestrate().start_conversation(tools=[lucky, MCPTools(weather)]) as conversation:
        conversation.run("How warm?")
        assert ("tool", "Rome: 21") in sent(server, dialect)
    written = str(server.requests[0].body)
    for part in ("lucky", "temperature", "Look up how warm it is in a city.", "days"):
        assert part in written


@chat
def test_one_server_for_many_conversations_and_single_calls(
    weather: List[str], orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    orchestrator = orchestrate()
    with MCPTools(weather, prefix="w_", only=["temperature"]) as tools:
        for _ in range(2):
            with orchestrator.start_conversation(tools=[tools]) as conversation:
                called = Call("w_temperature", {"city": "Rome"}, "call_a")
                server.script(calls(dialect, "whole", called), dialect.whole("Warm."))
                assert conversation.run("How warm?").content == "Warm."
        assert tools.is_started, "the conversation did not start it"
        server.script(calls(dialect, "whole", called))
        (call,) = orchestrator.send_request("How warm?", tools=[tools]).tool_calls
        assert call.run([tools]).content == "Rome: 21"


@pytest.mark.parametrize(
    ("module", "call", "expected"),
    [
        (
            "mcp_server_time",
            ToolCall("1", "get_current_time", {"timezone": "Europe/Rome"}, ""),
            "Europe/Rome",
        ),
        ("mcp_server_git", ToolCall("1", "git_status", {"repo_path": "."}, ""), "Repository status"),
    ],
)
def test_a_published_server(module: str, call: ToolCall, expected: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: make test-mcp")
    os.system(f"git init -q '{tmp_path}'")
    with MCPTools([sys.executable, "-m", module], cwd=tmp_path) as tools:
        assert expected in str(call.run([tools]).content)
        mistaken = ToolCall("2", call.name, {"timezone": "Mars", "repo_path": "/nowhere"}, "").run([tools])
        assert "failed" in str(mistaken.content)


# ---------------------------------------------------------------- servers that do not


@chat
@pytest.mark.parametrize("way", ["whole", "async streamed"], indirect=True)
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("dies", "MCP server"),
        ("hangs", "did not end within 1 seconds"),
        ("refuses", "Not today"),
        ("error", "No such city."),
        ("no content", "failed"),
        ("content is a text", "failed"),
        ("output schema", "failed"),
        ("junk", "21 degrees"),
        ("stays", "21 degrees"),
        ("asks back", "refused"),
        ("structured", '{"degrees":21}'),
    ],
)
def test_what_a_server_does_is_told_to_the_model_and_the_loop_goes_on(
    liar: Liar,
    spend: Spend,  # noqa: F811
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    path: Path,  # noqa: F811
    how: str,
    told: str,
) -> None:
    server.script(calls(dialect, way, ROME), says(dialect, way, "Sorry."))
    conversation = spend(**price(dialect)).start_conversation(tools=[liar(how)])

    response = in_block(conversation, way, tool_timeout=1 if how == "hangs" else 60)

    assert response.content == "Sorry."
    (result,) = [text for role, text in sent(server, dialect) if role == "tool"]
    assert told in result
    assert [row["status"] for row in rows(path)] == ["ok", "ok"]
    assert response.cost == conversation.cost > 0


@chat
@pytest.mark.parametrize("way", ["whole", "async whole"], indirect=True)
@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ("dies", ToolServerError, "MCP server"),
        ("hangs", ToolTimeoutError, "within 1 seconds"),
        ("error", ToolServerError, "No such city"),
    ],
)
def test_what_was_paid_is_recorded_where_a_failure_is_raised(
    liar: Liar,
    spend: Spend,  # noqa: F811
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    path: Path,  # noqa: F811
    how: str,
    error: Any,
    words: str,
) -> None:
    server.script(calls(dialect, way, ROME))
    conversation = spend(**price(dialect)).start_conversation(tools=[liar(how)])
    with pytest.raises(error, match=words):
        in_block(conversation, way, on_tool_error="raise", tool_timeout=1 if how == "hangs" else 60)
    assert [row["status"] for row in rows(path)] == ["ok"]
    assert conversation.cost and conversation.cost > 0
    without = Conversation.from_json(conversation.to_json(), conversation._orchestrator)
    check_goes_on(without, server, dialect)


def test_media_and_resources_are_told_in_words(liar: Liar) -> None:
    with liar("media") as tools:
        lines = str(CALL.run([tools]).content).splitlines()
    assert lines == [
        "See:",
        "[image, image/png, 6 bytes, which cannot be shown here]",
        "[audio, audio/wav, 6 bytes, which cannot be shown here]",
        "[resource file:///rome.txt: On Rome]",
        "Warm.",
        "[resource file:///b, unknown type, 3 bytes, which cannot be shown here]",
    ]


@pytest.mark.parametrize("block", ["with", "async with"])
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("ends at once", "did not start"),
        ("silent", "did not tell its tools within 1 seconds"),
        ("pages without end", "did not tell its tools within 1 seconds"),
        ("schema is an array", "did not start. What it said breaks the protocol: tools"),
        ("schema is a text", "did not start. What it said breaks the protocol: tools"),
        ("tool without a name", "did not start. What it said breaks the protocol: tools"),
        ("no list", "did not start. What it said breaks the protocol: tools"),
    ],
)
def test_a_server_that_cannot_be_used_is_an_error_at_its_start(
    liar: Liar, how: str, words: str, block: str
) -> None:
    tools = liar(how, timeout=1 if "within 1" in words else 60)

    async def main() -> None:
        before = asyncio.all_tasks()
        try:
            async with tools:
                pass
        finally:
            assert asyncio.all_tasks() == before

    with pytest.raises(ToolServerError, match=words):
        if block == "async with":
            asyncio.run(main())
        with tools:
            pass
    assert not tools.is_started


def test_a_program_or_an_address_that_is_not_there(tmp_path: Path) -> None:
    for nowhere in ([str(tmp_path / "none")], "http://127.0.0.1:9/mcp"):
        with pytest.raises(ToolServerError, match="did not start"):
            with MCPTools(nowhere):
                pass


def test_a_conversation_whose_second_server_does_not_start_closes_the_first(
    liar: Liar, orchestrate: Orchestrate
) -> None:
    first = liar("fine")
    with pytest.raises(ToolServerError):
        with orchestrate().start_conversation(tools=[first, liar("ends at once", prefix="b_")]):
            pass
    assert not first.is_started


@chat
def test_a_schema_that_the_provider_refuses(
    liar: Liar, orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.default = dialect.failure("bad_request")
    tools = liar("odd schema")
    with pytest.raises(InvalidRequestError):
        with orchestrate().start_conversation(tools=[tools]) as conversation:
            conversation.run("How warm?")
    assert len(server.requests) == 1 and not tools.is_started


def test_two_tools_of_one_name(liar: Liar, orchestrate: Orchestrate) -> None:
    tools = liar("twice the same")
    with pytest.raises(InvalidRequestError, match="Two tools are named 'temperature'"):
        with orchestrate().start_conversation(tools=[tools]):
            pass
    assert not tools.is_started


def test_names_that_providers_do_not_take(liar: Liar) -> None:
    with liar("strange name") as tools:
        assert [tool.name for tool in tools.tools] == ["weather_now_temperature"]
        call = ToolCall("1", "weather_now_temperature", {}, "")
        assert call.run([tools]).content == "21 degrees"


# ---------------------------------------------------------------- an end in the middle, keys, and mistakes


@chat
def test_a_cancellation_ends_the_call_and_the_server(
    liar: Liar, orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    server.script(calls(dialect, "async whole", ROME))
    conversation = orchestrate().start_conversation(tools=[liar("hangs")])

    async def main() -> None:
        async with conversation:
            running = asyncio.ensure_future(conversation.arun("How warm?"))
            while not conversation.cost and not server.requests:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert len(server.requests) == 1


def test_a_cancellation_while_a_server_is_ended_waits_for_its_end(liar: Liar) -> None:
    tools = liar("stays")

    async def use() -> None:
        async with tools:
            await asyncio.sleep(1)

    async def main() -> None:
        using = asyncio.ensure_future(use())
        while not tools.is_started:
            await asyncio.sleep(0.01)
        while tools.is_started:
            await asyncio.sleep(0.01)
        using.cancel()
        with pytest.raises(asyncio.CancelledError):
            await using
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_program_that_ends_ends_its_servers(liar: Liar) -> None:
    """``asyncio.run`` cancels what is left when a program ends; the fixture looks for the server's process."""
    tools = liar("stays")

    async def main() -> None:
        await tools.__aenter__()

    asyncio.run(main())
    asyncio.run(tools.__aexit__(None, None, None))  # late, and harmless


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("how", ["hangs", "silent"])
def test_a_ctrl_c_ends_the_waiting(liar: Liar, how: str) -> None:
    timer = threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        with liar(how) as tools:
            CALL.run([tools])
    timer.join()


@pytest.mark.parametrize("how", ["repeats its key", "refuses"])
def test_a_key_that_a_server_repeats_is_not_shown(liar: Liar, how: str) -> None:
    key = "sk-city-0123456789"
    with liar(how, env={"CITY_KEY": key}) as tools:
        told = str(CALL.run([tools]).content)
        assert key not in told and "[redacted]" in told
        assert key not in repr(tools) + repr(vars(tools)) + repr(vars(tools._address))


def test_mistakes_of_the_application(liar: Liar, orchestrate: Orchestrate) -> None:
    tools = liar("fine")
    conversation = orchestrate().start_conversation(tools=[tools], tool_choice="temperature")
    with pytest.raises(OrchestratorError, match="is not started"):
        conversation.run("How warm?")
    with pytest.raises(ToolServerError, match="has no tool 'temprature'. Did you mean 'temperature'?"):
        with liar("fine", only=["temprature"]):
            pass
    with tools:
        with pytest.raises(OrchestratorError, match="started already"):
            tools.__enter__()
        with pytest.raises(InvalidRequestError, match="Start it by 'async with'"):
            asyncio.run(CALL.arun([tools]))
        assert "not a JSON object" in str(ToolCall("1", "temperature", None, "[1").run([tools]).content)
        two = orchestrate().start_conversation(tools=[tools, liar("fine")])
        with pytest.raises(InvalidRequestError, match="Two tools are named"):
            with two:
                pass
    (tool,) = tools._tools
    with pytest.raises(ToolServerError, match="was closed"):
        tool.call({}, None)


def test_a_server_of_another_event_loop(liar: Liar) -> None:
    tools = liar("fine")

    async def main() -> Any:
        async with tools:
            return await asyncio.to_thread(asyncio.run, CALL.arun([tools]))

    assert "on another event loop" in asyncio.run(main()).content


def test_a_sync_block_where_a_loop_runs_as_in_a_notebook(liar: Liar) -> None:
    async def main() -> Any:
        with liar("fine") as tools:
            return CALL.run([tools]).content

    assert asyncio.run(main()) == "21 degrees"
