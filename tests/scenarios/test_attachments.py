"""Images and files on the wire: the form that each provider is sent, and what none of them has a form for."""

from __future__ import annotations

import json
from typing import Any, Dict, Mapping

import pytest

from llm_orchestrator import InvalidMessagesError, file_part, image_part
from tests.support.fixtures import Orchestrate
from tests.support.marks import anthropic
from tests.support.scripted_server import Dialect, ScriptedServer
from tests.support.ways import ask
from tests.unit.request.test_attachments import (
    PDF,
    PDF_DATA,
    PDF_URL,
    PNG,
    PNG_DATA,
    PNG_URL,
    WEB_IMAGE,
    WEB_PDF,
)

#: Where the parts of the user's turn stand in each body.
CONTENT: Mapping[str, Any] = {
    "chat": lambda body: body["messages"][0]["content"],
    "responses": lambda body: body["input"][0]["content"],
    "anthropic": lambda body: body["messages"][0]["content"],
    "gemini": lambda body: body["contents"][0]["parts"],
}
SENT: Mapping[str, Mapping[str, Dict[str, Any]]] = {
    "image": {
        "chat": {"type": "image_url", "image_url": {"url": PNG_URL}},
        "responses": {"type": "input_image", "image_url": PNG_URL},
        "anthropic": {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": PNG_DATA},
        },
        "gemini": {"inlineData": {"mimeType": "image/png", "data": PNG_DATA}},
    },
    "web image": {
        "chat": {"type": "image_url", "image_url": {"url": WEB_IMAGE}},
        "responses": {"type": "input_image", "image_url": WEB_IMAGE},
        "anthropic": {"type": "image", "source": {"type": "url", "url": WEB_IMAGE}},
        "gemini": {"fileData": {"mimeType": "image/png", "fileUri": WEB_IMAGE}},
    },
    "pdf": {
        "chat": {"type": "file", "file": {"file_data": PDF_URL, "filename": "file.pdf"}},
        "responses": {"type": "input_file", "file_data": PDF_URL, "filename": "file.pdf"},
        "anthropic": {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF_DATA},
            "title": "file.pdf",
        },
        "gemini": {"inlineData": {"mimeType": "application/pdf", "data": PDF_DATA}},
    },
    "web pdf": {
        "responses": {"type": "input_file", "file_url": WEB_PDF},
        "anthropic": {"type": "document", "source": {"type": "url", "url": WEB_PDF}},
        "gemini": {"fileData": {"mimeType": "application/pdf", "fileUri": WEB_PDF}},
    },
}
PARTS = {
    "image": image_part(PNG),
    "web image": image_part(WEB_IMAGE),
    "pdf": file_part(PDF),
    "web pdf": file_part(WEB_PDF),
}


@pytest.mark.parametrize("kind", list(PARTS))
def test_each_provider_is_sent_its_own_form(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, kind: str
) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, PARTS[kind]]}]
    expected = SENT[kind].get(dialect.name)
    if expected is None:
        with pytest.raises(InvalidMessagesError, match=r"messages\[0\] holds a file by its URL"):
            ask(orchestrate(), way, messages)
        assert server.requests == []
        return

    ask(orchestrate(), way, messages)

    (request,) = server.requests
    assert CONTENT[dialect.name](request.body)[1] == expected


@pytest.mark.parametrize("dialect", ["responses", "anthropic", "gemini"], indirect=True)
def test_a_tool_may_answer_with_an_image(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    call = {"id": "c1", "function": {"name": "look", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "text", "text": "Seen."}, image_part(PNG)],
        },
    ]

    orchestrate().send_request(messages)

    assert PNG_DATA in json.dumps(server.requests[0].body)


@pytest.mark.parametrize(
    ("dialect", "part"),
    [
        ("anthropic", file_part(b"PK", media_type="application/zip")),
        ("anthropic", {"type": "image_url", "image_url": {"url": "data:;base64,AAAA"}}),
        ("anthropic", {"type": "file", "file": {"file_data": "data:text/plain;base64,\u00e4\u00e4"}}),
        ("anthropic", file_part(b"\xff", media_type="text/plain")),
        ("gemini", {"type": "image_url", "image_url": {"url": 'data:image/svg+xml,<svg xmlns="http://x"/>'}}),
        ("gemini", {"type": "image_url", "image_url": {"url": "photo.png"}}),
    ],
    indirect=["dialect"],
)
def test_m3_what_a_provider_has_no_form_for_is_refused_with_its_index(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, part: Dict[str, Any]
) -> None:
    with pytest.raises(InvalidMessagesError) as caught:
        orchestrate().send_request([{"role": "user", "content": "A"}, {"role": "user", "content": [part]}])

    assert (caught.value.index, server.requests) == (1, [])


@anthropic
def test_a_text_file_is_sent_as_text(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    part = file_part("Größe".encode(), media_type="text/csv", filename="a.csv")

    orchestrate().send_request([{"role": "user", "content": [part]}])

    source = {"type": "text", "media_type": "text/plain", "data": "Größe"}
    sent = server.requests[0].body["messages"][0]["content"]
    assert sent == [{"type": "document", "source": source, "title": "a.csv"}]
