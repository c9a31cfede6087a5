"""What a conversation may look like when it is handed in, and what is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from llm_orchestrator.exceptions import InvalidMessagesError, ProviderSwitchError
from llm_orchestrator.request.messages import check_owner, read_messages
from llm_orchestrator.types import Message, ToolCall

CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
USER = {"role": "user", "content": "Hi"}


def test_a_text_is_one_user_turn() -> None:
    assert read_messages("Hi") == (Message("user", "Hi"),)


def test_dicts_and_messages_mix() -> None:
    own = Message("assistant", "Hello", provider="p", provider_state={"signature": "s"})
    turns = read_messages(({"role": "system", "content": "Be brief."}, USER, own))
    assert turns == (Message("system", "Be brief."), Message("user", "Hi"), own)
    assert turns[2].provider_state == {"signature": "s"}


def test_developer_is_another_word_for_system() -> None:
    assert read_messages([{"role": "developer", "content": "Be brief."}])[0].role == "system"


def test_parts_stay_as_they_are() -> None:
    parts = [{"type": "text", "text": "What is "}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    turn = read_messages([{"role": "user", "content": parts}])[0]
    assert turn.content == parts
    assert turn.text == "What is "


def test_tool_calls_and_results() -> None:
    history = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "name": "add", "content": "3"},
    ]
    _, asked, result = read_messages(history)
    assert asked == Message("assistant", None, tool_calls=(ToolCall("c1", "add", {"a": 1}, '{"a": 1}'),))
    assert asked.text == ""
    assert result == Message("tool", "3", tool_call_id="c1", name="add")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"a": 1}', ({"a": 1}, '{"a": 1}')),
        ({"a": 1}, ({"a": 1}, '{"a": 1}')),
        ("", ({}, "")),
        (None, ({}, "{}")),
        ('{"a": ', (None, '{"a": ')),
        ("[1]", (None, "[1]")),
    ],
)
def test_arguments_of_calls_come_in_many_shapes(arguments: Any, expected: Any) -> None:
    call = {"id": "c1", "function": {"name": "add", "arguments": arguments}}
    read = read_messages([{"role": "assistant", "tool_calls": [call]}])[0].tool_calls[0]
    assert (read.arguments, read.raw_arguments) == expected


def test_tool_calls_may_be_objects_of_ours() -> None:
    call = ToolCall("c1", "add", {}, "{}")
    assert read_messages([{"role": "assistant", "tool_calls": [call]}])[0].tool_calls == (call,)


def test_an_assistant_dict_may_hold_what_a_provider_put_there() -> None:
    turn = {"role": "assistant", "content": "Hi", "refusal": None, "annotations": [], "audio": None}
    assert read_messages([turn]) == (Message("assistant", "Hi"),)


def test_a_key_that_is_none_is_no_key() -> None:
    assert read_messages([{**USER, "refusal": None}]) == (Message("user", "Hi"),)


@pytest.mark.parametrize(
    "messages", [None, 5, b"Hi", USER, Message("user", "Hi"), iter([USER]), {USER["role"]}]
)
def test_what_is_no_conversation(messages: Any) -> None:
    with pytest.raises(
        InvalidMessagesError, match=r"messages is a .*\. Pass a string or a list of messages\."
    ) as caught:
        read_messages(messages)
    assert caught.value.index is None


def test_no_message_at_all() -> None:
    for nothing in ([], ()):
        with pytest.raises(InvalidMessagesError, match="messages is empty. Pass at least one message"):
            read_messages(nothing)


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ("Hi", "is a str"),
        (None, "is a NoneType"),
        ({}, "has the role None"),
        ({"role": "wizard", "content": "Hi"}, "has the role 'wizard'"),
        ({"role": ["user"], "content": "Hi"}, "has the role"),
        (Message("developer", "Hi"), "has the role 'developer'"),
        ({**USER, "contnt": "Hi"}, "has an unknown key 'contnt'"),
        ({"role": "user"}, "has no content"),
        (Message("system"), "has no content"),
        ({"role": "user", "content": 5}, "has content of type int"),
        ({"role": "user", "content": b"Hi"}, "has content of type bytes"),
        ({"role": "user", "content": {"type": "text", "text": "Hi"}}, "has content of type dict"),
        ({"role": "user", "content": ["Hi"]}, "has a part without a type"),
        (Message("user", [{"text": "Hi"}]), "has a part without a type"),
        ({"role": "tool", "content": "3"}, "has no tool_call_id"),
        ({**USER, "tool_calls": [CALL]}, "has tool calls but is not from the assistant"),
        ({"role": "assistant", "tool_calls": 5}, "has tool_calls of type int"),
        ({"role": "tool", "content": "3", "tool_call_id": ["c1"]}, "has a tool_call_id of type list"),
        (Message("tool", "3", tool_call_id=5), "has a tool_call_id of type int"),  # type: ignore[arg-type]
        ({"role": "user", "content": "Hi", "name": {"first": "Ada"}}, "has a name of type dict"),
        (
            Message("assistant", tool_calls=(ToolCall("c1", "add", {"a": object()}),)),
            "has a tool call whose arguments are not valid JSON",
        ),
        ({"role": "assistant", "tool_calls": ["add"]}, "has a malformed tool call"),
        ({"role": "assistant", "tool_calls": [{"id": "c1", "name": "add"}]}, "has a malformed tool call"),
        ({"role": "assistant", "tool_calls": [{**CALL, "id": None}]}, "has a malformed tool call"),
        ({"role": "assistant", "tool_calls": [{**CALL, "function": {}}]}, "has a malformed tool call"),
    ],
)
def test_m3_what_nobody_could_be_sent_is_refused_with_its_index(turn: Any, expected: str) -> None:
    with pytest.raises(InvalidMessagesError) as caught:
        read_messages([USER, turn])
    assert caught.value.index == 1
    assert str(caught.value).startswith(f"messages[1] {expected}")
    assert str(caught.value).count(". ") >= 1, "it says what is wrong, and what to do"


def test_a_history_stays_with_its_provider() -> None:
    history = read_messages([USER, Message("assistant", "Hello", provider="p")])
    check_owner(history, "p")
    check_owner(read_messages([USER, {"role": "assistant", "content": "Hello"}]), "q")
    with pytest.raises(ProviderSwitchError, match=r"messages\[1\] was written by .*'p'.*'q'"):
        check_owner(history, "q")
