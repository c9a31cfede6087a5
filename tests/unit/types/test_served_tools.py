"""Tools that a server describes and runs, with a server of this test: what MCP servers are to calls and loops."""

from __future__ import annotations

import asyncio
from typing import Any, Dict, List, Optional, Sequence

import pytest

from llm_orchestrator import InvalidRequestError, LLMOrchestrator, OrchestratorError, ToolCall
from llm_orchestrator.testing import FakeProvider, FakeReply
from llm_orchestrator.types.served_tools import ServedTool, ToolServer


class Adder(ServedTool):
    def __init__(self) -> None:
        self.name, self.description = "add", "Add two numbers."
        number = {"type": "integer"}
        self.parameters = {"type": "object", "properties": {"a": number, "b": number}}

    def check(self, *, awaits: bool) -> None:
        """Runs on all ways."""

    def call(self, arguments: Dict[str, Any], timeout: Optional[float]) -> Any:
        return {"sum": sum(arguments.values()), "timeout": timeout}

    async def acall(self, arguments: Dict[str, Any], timeout: Optional[float]) -> Any:
        return self.call(arguments, timeout)


class Server(ToolServer):
    def __init__(self, notes: List[str], name: str = "server", error: Optional[Exception] = None) -> None:
        self.notes, self.name, self.error = notes, name, error
        self._is_started = False

    @property
    def is_started(self) -> bool:
        return self._is_started

    @property
    def tools(self) -> Sequence[ServedTool]:
        if not self._is_started:
            raise OrchestratorError("It is not started.")
        return [Adder()]

    def __enter__(self) -> Server:
        if self.error is not None:
            raise self.error
        self.notes.append(f"start {self.name}")
        self._is_started = True
        return self

    def __exit__(self, *error: Any) -> None:
        self.notes.append(f"end {self.name}")
        self._is_started = False

    async def __aenter__(self) -> Server:
        return self.__enter__()

    async def __aexit__(self, *error: Any) -> None:
        self.__exit__()


def orchestrator(*replies: Any) -> LLMOrchestrator:
    config = {"active_provider": "fake", "active_model": "any", "providers": {}}
    return LLMOrchestrator(config, providers={"fake": FakeProvider(list(replies), name="fake")})


CALLS = FakeReply(tool_calls=[ToolCall("1", "add", {"a": 2, "b": 3}, '{"a": 2, "b": 3}')])


def test_a_conversation_starts_its_servers_and_ends_them() -> None:
    notes: List[str] = []
    conversation = orchestrator(CALLS, "5").start_conversation(tools=[Server(notes)], tool_choice="auto")
    with conversation as entered:
        assert entered is conversation
        assert conversation.run("2+3?", tool_timeout=7).content == "5"
        notes.append("used")
    assert notes == ["start server", "used", "end server"]
    (result,) = [message for message in conversation.messages if message.role == "tool"]
    assert result.content == '{"sum":5,"timeout":7}'
    with pytest.raises(OrchestratorError, match="not started"):
        conversation.run("And now?")


def test_the_same_on_a_loop_and_again() -> None:
    notes: List[str] = []
    conversation = orchestrator(CALLS, "5", CALLS, "6").start_conversation(tools=[Server(notes)])

    async def main() -> None:
        for answer in ("5", "6"):
            async with conversation:
                assert (await conversation.arun("2+3?")).content == answer

    asyncio.run(main())
    assert notes == ["start server", "end server"] * 2


def test_servers_that_are_started_already_are_left_alone() -> None:
    notes: List[str] = []
    with Server(notes) as server:
        with orchestrator(CALLS, "5").start_conversation(tools=[server]) as conversation:
            assert conversation.run("2+3?").content == "5"
        assert notes == ["start server"]
        assert ToolCall("1", "add", {}, "").run([server]).content == '{"sum":0,"timeout":null}'


@pytest.mark.parametrize("awaits", [False, True])
def test_a_server_that_does_not_start_ends_those_before_it(awaits: bool) -> None:
    notes: List[str] = []
    tools = [Server(notes, "first"), Server(notes, "second", error=ValueError("No."))]
    conversation = orchestrator("Hi.").start_conversation(tools=tools)

    async def main() -> None:
        async with conversation:
            pass

    with pytest.raises(ValueError, match="No"):
        if awaits:
            asyncio.run(main())
        with conversation:
            pass
    assert notes == ["start first", "end first"]


def test_mistakes_show_when_the_conversation_is_made_and_when_the_tools_are_known() -> None:
    with pytest.raises(InvalidRequestError):
        orchestrator("Hi.").start_conversation(tools=[Server([])], temperature="hot")
    notes: List[str] = []
    with pytest.raises(InvalidRequestError, match="tool_choice"):
        with orchestrator("Hi.").start_conversation(tools=[Server(notes)], tool_choice="subtract"):
            pass
    assert notes == ["start server", "end server"]


def test_a_conversation_without_servers_may_be_a_block_too() -> None:
    with orchestrator("Hi.").start_conversation() as conversation:
        assert conversation.send("Hello").content == "Hi."
