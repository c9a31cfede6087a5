"""From our conversations to Anthropic's: each history is valid, or refused with its index (rows M3, M6)."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any, Dict, List

import pytest

from llm_orchestrator.exceptions import InvalidMessagesError
from llm_orchestrator.providers.anthropic.requests import IN_PLACE
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.types import Message, ToolCall
from tests.support.shapes.anthropic_shapes import ADAPTER, assistant, body, request, result, system, user

PDF = base64.b64encode(b"%PDF-1.4").decode()
TEXT = {"type": "text", "text": "Hi"}
USE_A = {"type": "tool_use", "id": "a", "name": "weather", "input": {}}
USE_B = {"type": "tool_use", "id": "b", "name": "weather", "input": {}}


def answer(identifier: str, content: Any = "sunny") -> Dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": identifier, "content": content}


VALID: Dict[str, Any] = {
    "one turn": ([user()], [("user", "Hi")]),
    "two user turns in a row": (
        [user("a"), user("b")],
        [("user", [{**TEXT, "text": "a"}, {**TEXT, "text": "b"}])],
    ),
    "two assistant turns in a row": (
        [user(), assistant("a"), assistant("b"), user()],
        [("user", "Hi"), ("assistant", [{**TEXT, "text": "a"}, {**TEXT, "text": "b"}]), ("user", "Hi")],
    ),
    "an empty user turn beside another": ([user(""), user()], [("user", "Hi")]),
    "an empty assistant turn": ([user(), assistant(""), user()], [("user", [TEXT, TEXT])]),
    "a blank text part": ([user([{"type": "text", "text": " \n"}, TEXT])], [("user", "Hi")]),
    "a trailing assistant turn": ([user(), assistant("{")], [("user", "Hi"), ("assistant", "{")]),
    "a call and its result": (
        [user(), assistant(None, "a"), result("a")],
        [("user", "Hi"), ("assistant", [USE_A]), ("user", [answer("a")])],
    ),
    "results in one turn, before its text": (
        [user(), assistant("Hm", "a", "b"), result("a"), user("Well?"), result("b", "rain")],
        [
            ("user", "Hi"),
            ("assistant", [{**TEXT, "text": "Hm"}, USE_A, USE_B]),
            ("user", [answer("a"), answer("b", "rain"), {**TEXT, "text": "Well?"}]),
        ],
    ),
    "an empty result": (
        [user(), assistant(None, "a"), result("a", "")],
        [("user", "Hi"), ("assistant", [USE_A]), ("user", [answer("a", "")])],
    ),
    "a result with an image": (
        [
            user(),
            assistant(None, "a"),
            result("a", [{"type": "image_url", "image_url": {"url": "https://x/i"}}]),
        ],
        [
            ("user", "Hi"),
            ("assistant", [USE_A]),
            ("user", [answer("a", [{"type": "image", "source": {"type": "url", "url": "https://x/i"}}])]),
        ],
    ),
    "two rounds with the same id": (
        [user(), assistant(None, "a"), result("a"), assistant(None, "a"), result("a")],
        [
            ("user", "Hi"),
            ("assistant", [USE_A]),
            ("user", [answer("a")]),
            ("assistant", [USE_A]),
            ("user", [answer("a")]),
        ],
    ),
}


@pytest.mark.parametrize("name", VALID)
def test_m3_a_history_becomes_turns_the_api_accepts(name: str) -> None:
    messages, turns = VALID[name]
    sent = [(message["role"], message["content"]) for message in body(*messages)["messages"]]
    assert sent == turns


@pytest.mark.parametrize(
    ("messages", "index"),
    [
        ([system("Be kind.")], 0),
        ([assistant("")], 0),
        ([user("")], 0),
        ([user([])], 0),
        ([user(), assistant("Yes?"), user(" \n")], 2),
        ([user(), result("a")], 1),
        ([user(), assistant(None, "a"), result("b")], 2),
        ([user(), assistant(None, "a"), result("a"), result("a")], 3),
        ([user(), assistant(None, "a"), user()], 1),
        ([user(), assistant(None, "a", "b"), result("a"), assistant("So")], 1),
        ([user(), assistant("The answer is ")], 1),
        ([user(), Message("assistant", tool_calls=(ToolCall("a", "f", None, "{"),)), result("a")], 1),
        ([system([{"type": "image_url", "image_url": {"url": "https://x/i"}}]), user()], 0),
        ([user(), user([{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}])], 1),
        ([user([{"type": "image_url", "image_url": {"url": "data:image/png,raw"}}])], 0),
        ([user([{"type": "image_url"}])], 0),
        ([user([{"type": "file", "file": {"filename": "a.pdf"}}])], 0),
        ([user([{"type": "file", "file": {"file_data": "data:text/plain;base64,/w=="}}])], 0),
        ([user([{"text": "no type"}])], 0),
    ],
)
def test_m3_a_history_the_api_rejects_is_refused_with_its_index(messages: List[Message], index: int) -> None:
    with pytest.raises(InvalidMessagesError, match=rf"messages\[{index}\]") as caught:
        body(*messages)
    assert caught.value.index == index


@pytest.mark.parametrize(
    ("messages", "sent"),
    [
        ([user()], None),
        ([system("Be kind."), user()], "Be kind."),
        ([system(""), user()], None),
        (
            [system("One."), system([{"type": "text", "text": "Two."}]), user()],
            [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}],
        ),
        (
            [system([{"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}]), user()],
            [{"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}],
        ),
    ],
)
def test_system_messages_go_to_the_top_in_their_order(messages: List[Message], sent: Any) -> None:
    assert body(*messages).get("system") == sent


A, B, S1, S2 = assistant("A"), user("B"), system("One."), system("Two.")
PLACES = {
    "at the end": ([user(), S1], ["user", "system One."], 0),
    "before the assistant's turn": ([user(), S1, A, B], ["user", "system One.", "assistant", "user"], 0),
    "before the user's turn": ([user(), A, S1, B], ["user", "assistant", "user", "system One."], 1),
    "between two messages of one turn": ([user(), S1, B, A], ["user", "system One.", "assistant"], 1),
    "two of them": ([user(), S1, S2, A], ["user", "system [One., Two.]", "assistant"], 0),
    "after a result": (
        [user(), assistant(None, "a"), result("a"), S1],
        ["user", "assistant", "user", "system One."],
        0,
    ),
    "behind the assistant's turn": ([user(), A, S1], ["top One.", "user", "assistant"], 1),
    "beside one at the top": ([S1, user(), S2, A], ["top One.", "user", "system Two.", "assistant"], 0),
}


def outline(sent: Any) -> List[str]:
    """The roles, and what the system says."""

    def said(content: Any) -> str:
        return content if isinstance(content, str) else f"[{', '.join(block['text'] for block in content)}]"

    top = [f"top {said(sent['system'])}"] if "system" in sent else []
    return top + [
        f"system {said(turn['content'])}" if turn["role"] == "system" else turn["role"]
        for turn in sent["messages"]
    ]


@pytest.mark.parametrize(("messages", "sent", "warned"), PLACES.values(), ids=PLACES)
def test_a_system_message_stands_where_the_rules_allow_it(
    messages: List[Message], sent: List[str], warned: int
) -> None:
    wire = ADAPTER.build_request(request(*messages), stream=False)
    assert outline(wire.body) == sent
    assert len(wire.warnings) == warned
    assert bool(wire.forms) is any(line.startswith("system") for line in sent)


@pytest.mark.parametrize(
    "context", [AttemptContext(without=frozenset([IN_PLACE])), AttemptContext(batch=True)]
)
def test_a_system_message_is_moved_to_the_top_where_the_model_takes_it_only_there(
    context: AttemptContext,
) -> None:
    wire = ADAPTER.build_attempt(request(user(), S1, B), context, stream=False)
    assert outline(wire.body) == ["top One.", "user"]
    assert len(wire.warnings) == 1 and "messages[1] was moved to the front" in wire.warnings[0]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            {"type": "image_url", "image_url": {"url": "https://x/i.png", "detail": "low"}},
            {"type": "image", "source": {"type": "url", "url": "https://x/i.png"}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,+/8="}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "+/8="}},
        ),
        (
            {
                "type": "file",
                "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
            },
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                "title": "a.pdf",
            },
        ),
        (
            {"type": "file", "file": {"file_data": "https://x/a.pdf"}},
            {"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:text/plain;base64,aMOp"}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hé"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:image/gif;base64,R0k=", "filename": "a.gif"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "R0k="}},
        ),
        (
            {"type": "file", "file": {"file_id": "file_1"}},
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        ),
        (
            {"type": "search_result", "source": "s", "title": "t", "content": []},
            {"type": "search_result", "source": "s", "title": "t", "content": []},
        ),
    ],
)
def test_parts_become_blocks(part: Dict[str, Any], block: Dict[str, Any]) -> None:
    assert body(user([part, TEXT]))["messages"] == [{"role": "user", "content": [block, TEXT]}]


# -------------------------------------------------------------------- opaque state (M6)

SIGNED = [
    {"type": "thinking", "thinking": "", "signature": "+/8="},
    {"type": "redacted_thinking", "data": "opaque"},
    {"type": "text", "text": "\n\n"},
    {"type": "text", "text": "Let me look."},
    {"type": "tool_use", "id": "a", "name": "weather", "input": {"b": 1, "a": 2}},
]


def turn_of(blocks: List[Dict[str, Any]]) -> Message:
    message = ADAPTER.parse_reply({"type": "message", "content": blocks}, {}).message
    assert message is not None
    return message


def sent_blocks(message: Message) -> Any:
    return body(user(), message, *(result(call.id) for call in message.tool_calls))["messages"][1]["content"]


def test_m6_signed_turns_go_back_byte_for_byte_also_through_json() -> None:
    message = turn_of(SIGNED)
    stored = replace(message, provider_state=json.loads(json.dumps(message.provider_state)))
    for turn in (message, stored):
        sent = sent_blocks(turn)
        # a blank text block is the one thing the API sends but does not take back
        assert json.dumps(sent) == json.dumps([block for block in SIGNED if block.get("text") != "\n\n"])


@pytest.mark.parametrize(
    ("change", "sent"),
    [
        ({"content": "Edited."}, [{"type": "text", "text": "Edited."}, SIGNED[-1]]),
        ({"content": None}, [SIGNED[-1]]),
        ({"tool_calls": ()}, "\n\nLet me look."),
        (
            {"provider_state": {"content": "spoilt"}},
            [{"type": "text", "text": "\n\nLet me look."}, SIGNED[-1]],
        ),
        ({"provider_state": {"content": [None]}}, [{"type": "text", "text": "\n\nLet me look."}, SIGNED[-1]]),
    ],
)
def test_m6_an_edited_turn_is_rebuilt_from_what_it_says_now(change: Dict[str, Any], sent: Any) -> None:
    assert sent_blocks(replace(turn_of(SIGNED), **change)) == sent


def test_plain_answers_carry_no_state() -> None:
    plain = turn_of([{"type": "text", "text": "Hi", "citations": None}])
    called = turn_of([{"type": "text", "text": "Hi"}, {**USE_A, "input": {"x": 1}}])
    cited = turn_of([{"type": "text", "text": "Hi", "citations": [{"url": "u"}]}])
    assert (plain.provider_state, called.provider_state) == (None, None)
    assert cited.provider_state is not None
    assert sent_blocks(plain) == "Hi"
