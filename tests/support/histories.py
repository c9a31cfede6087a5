"""Histories that applications build and providers reject, and the providers' own rules for a valid one.

The rules are written from the providers' documentation and know nothing of the library.
"""

from __future__ import annotations

from typing import Any, Callable, List, Mapping, NamedTuple, Optional

from tests.support.scripted_server.wire_base import Json

#: The providers by dialect, for ``Case.refused``.
ALL = ("chat", "responses", "anthropic", "gemini")
PIXEL = "data:image/png;base64,iVBORw0KGgo="


class Case(NamedTuple):
    """A history, and which providers it cannot be sent to, with the index of the message at fault."""

    messages: List[Json]
    refused: Mapping[str, int] = {}


def user(text: Any = "Hi") -> Json:
    return {"role": "user", "content": text}


def system(text: Any = "Be brief.") -> Json:
    return {"role": "system", "content": text}


def assistant(text: Optional[str] = "Yes", *calls: str) -> Json:
    asked = [
        {"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}} for name in calls
    ]
    return {"role": "assistant", "content": text, **({"tool_calls": asked} if asked else {})}


def result(name: str, text: Any = "done") -> Json:
    return {"role": "tool", "tool_call_id": name, "content": text}


def image(url: str = PIXEL) -> Json:
    return {"type": "image_url", "image_url": {"url": url}}


def everyone(index: int) -> Mapping[str, int]:
    return dict.fromkeys(ALL, index)


HISTORIES: Mapping[str, Case] = {
    "a user turn": Case([user()]),
    "two user turns in a row": Case([user("A"), user("B")]),
    "three turns of each side in a row": Case(
        [user("A"), user("B"), assistant("C"), assistant("D"), user("E")]
    ),
    "an empty user turn": Case([user("")], {"anthropic": 0}),
    "white space alone": Case([user(" \n")], {"anthropic": 0}),
    "an empty list of parts": Case([user([])], {"anthropic": 0}),
    "an empty text among parts": Case([user([{"type": "text", "text": ""}, {"type": "text", "text": "A"}])]),
    "an empty user turn before another": Case([user(""), user("A")]),
    "an empty turn of the assistant": Case([user("A"), assistant(""), user("B")]),
    "an assistant turn of nothing": Case([user("A"), assistant(None), user("B")]),
    "several system messages": Case([system("A"), system("B"), user("C")]),
    "a system message in the middle": Case([system("A"), user("B"), assistant("C"), system("D"), user("E")]),
    "a system message at the end": Case([user("A"), system("B")]),
    "a system message of parts": Case([system([{"type": "text", "text": "A"}]), user("B")]),
    "an empty system message": Case([system(""), user("A")]),
    "an image for the system": Case([system([image()]), user()], {"anthropic": 0, "gemini": 0}),
    "system only": Case([system()], {"anthropic": 0, "gemini": 0}),
    "an assistant turn at the start": Case([assistant("A"), user("B")]),
    "an assistant turn at the end": Case([user("A"), assistant("B")], {"gemini": 1}),
    "an assistant turn that ends with a blank": Case(
        [user("A"), assistant("B ")], {"anthropic": 1, "gemini": 1}
    ),
    "a tool result": Case([user("A"), assistant(None, "f"), result("f")]),
    "two results in the order of their calls": Case(
        [user("A"), assistant("B", "f", "g"), result("f", "1"), result("g", "2"), user("C")]
    ),
    "two results the other way round": Case(
        [user("A"), assistant(None, "f", "g"), result("g", "2"), result("f", "1")]
    ),
    "a result that is empty": Case([user("A"), assistant(None, "f"), result("f", "")]),
    "a result of parts": Case(
        [user("A"), assistant(None, "f"), result("f", [{"type": "text", "text": "B"}])]
    ),
    "two rounds of tools": Case(
        [user("A"), assistant(None, "f"), result("f"), assistant(None, "g"), result("g")]
    ),
    "a call without a result": Case([user("A"), assistant(None, "f")], everyone(1)),
    "one result for two calls": Case([user("A"), assistant(None, "f", "g"), result("f")], everyone(1)),
    "a result without a call": Case([user("A"), result("f")], everyone(1)),
    "a result of another call": Case([user("A"), assistant(None, "f"), result("g")], everyone(2)),
    "a result given twice": Case([user("A"), assistant(None, "f"), result("f"), result("f")], everyone(3)),
    "words between a call and its result": Case(
        [user("A"), assistant(None, "f"), user("B"), result("f")], {"chat": 1, "gemini": 2}
    ),
    "an image in a user turn": Case([user([{"type": "text", "text": "A"}, image()])]),
    "an image in an assistant turn": Case(
        [user(), {"role": "assistant", "content": [image()]}, user()], {"responses": 1, "anthropic": 1}
    ),
    "an image without a URL": Case([user("A"), user([{"type": "image_url", "image_url": {}}])], everyone(1)),
    "a part without a type": Case([user("A"), user([{"text": "B"}])], everyone(1)),
}


# ---------------------------------------------------------------- what the providers document


def check_chat(body: Json) -> None:
    """Results follow the turn with their calls at once, one for each; nothing is null without calls."""
    unanswered: List[str] = []
    for message in body["messages"]:
        calls = message.get("tool_calls", [])
        if message["role"] == "tool":
            unanswered.remove(message["tool_call_id"])
            continue
        assert not unanswered
        assert message["content"] is not None or calls
        unanswered = [call["id"] for call in calls]
    assert not unanswered


def check_responses(body: Json) -> None:
    """Every call has one output behind it."""
    unanswered: List[str] = []
    for item in body["input"]:
        if item["type"] == "function_call":
            unanswered.append(item["call_id"])
        elif item["type"] == "function_call_output":
            unanswered.remove(item["call_id"])
        elif item["type"] == "message":
            assert item["content"] is not None
    assert not unanswered


def check_anthropic(body: Json) -> None:
    """Turns alternate, nothing is empty, all results head the turn behind their calls."""
    unanswered: List[str] = []
    before = None
    for message in body["messages"]:
        assert message["role"] != before
        before = message["role"]
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        assert blocks and all(block["text"].strip() for block in blocks if block["type"] == "text")
        kinds = [block["type"] == "tool_result" for block in blocks]
        assert kinds == sorted(kinds, reverse=True)
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        assert sorted(results) == sorted(unanswered)
        unanswered = [block["id"] for block in blocks if block["type"] == "tool_use"]
    assert not unanswered
    assert before == "user" or not as_text(body["messages"][-1]["content"]).endswith(" ")


def check_gemini(body: Json) -> None:
    """Turns alternate and end with the user's, none is without parts, results match calls by name and order."""
    assert body["contents"][-1]["role"] == "user"
    unanswered: List[str] = []
    before = None
    for content in body["contents"]:
        assert content["role"] != before and content["parts"]
        before = content["role"]
        answers = [
            part["functionResponse"]["name"] for part in content["parts"] if "functionResponse" in part
        ]
        assert answers == unanswered
        unanswered = [part["functionCall"]["name"] for part in content["parts"] if "functionCall" in part]
    assert not unanswered


def as_text(content: Any) -> str:
    """The last text of a content."""
    return content if isinstance(content, str) else str(content[-1].get("text", ""))


RULES: Mapping[str, Callable[[Json], None]] = {
    "chat": check_chat,
    "responses": check_responses,
    "anthropic": check_anthropic,
    "gemini": check_gemini,
}
