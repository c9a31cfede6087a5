"""Images and files: from a URL, a path or bytes to a part, and from the part to each provider's form."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Dict, Mapping

import pytest

from llm_orchestrator import InvalidMessagesError, file_part, image_part
from tests.support.fixtures import Orchestrate
from tests.support.scripted_server import Dialect, ScriptedServer
from tests.support.ways import ask

#: The bytes need + and / in base64, which the URL-safe alphabet writes otherwise.
PNG = b"\x89PNG\r\n\x1a\n\xfb\xff\xbf"
PDF = b"%PDF-1.7 \xfb\xff\xbf"
PNG_DATA, PDF_DATA = (base64.b64encode(content).decode() for content in (PNG, PDF))
PNG_URL, PDF_URL = f"data:image/png;base64,{PNG_DATA}", f"data:application/pdf;base64,{PDF_DATA}"
WEB_IMAGE, WEB_PDF = "https://example.com/a.png?size=2", "https://example.com/a.pdf"


# ---------------------------------------------------------------- making parts


@pytest.mark.parametrize("form", [str, Path])
def test_a_file_is_read_when_the_part_is_made(form: Any, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(PNG)
    part = image_part(form(path))
    path.unlink()
    assert part == {"type": "image_url", "image_url": {"url": PNG_URL}}


def test_bytes_and_urls_become_the_same_part() -> None:
    expected = {"type": "image_url", "image_url": {"url": PNG_URL}}
    assert image_part(PNG) == image_part(bytearray(PNG)) == image_part(PNG_URL) == expected  # type: ignore[arg-type]
    assert image_part(WEB_IMAGE) == {"type": "image_url", "image_url": {"url": WEB_IMAGE}}


def test_how_closely_to_look() -> None:
    assert image_part(WEB_IMAGE, detail="low")["image_url"] == {"url": WEB_IMAGE, "detail": "low"}


def test_a_document_has_a_name(tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(PDF)
    assert file_part(path) == {"type": "file", "file": {"file_data": PDF_URL, "filename": "report.pdf"}}
    assert file_part(PDF)["file"]["filename"] == "file.pdf"
    assert file_part(PDF, filename="bill.pdf")["file"]["filename"] == "bill.pdf"
    assert file_part(WEB_PDF) == {"type": "file", "file": {"file_data": WEB_PDF}}


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (PDF, "application/pdf"),
    ],
)
def test_bytes_tell_what_they_are_whatever_the_name_says(
    content: bytes, media_type: str, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.txt"
    path.write_bytes(content)
    for source in (content, path):
        assert file_part(source)["file"]["file_data"].startswith(f"data:{media_type};base64,")


def test_a_name_tells_what_the_bytes_do_not(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Notes.")
    assert file_part(path)["file"]["file_data"].startswith("data:text/plain;base64,")
    assert image_part(b"<svg/>", media_type="image/svg+xml")["image_url"]["url"].startswith(
        "data:image/svg+xml;"
    )


def test_a_packed_file_is_not_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt.gz"
    path.write_bytes(b"\x1f\x8b")
    with pytest.raises(InvalidMessagesError, match="The type of .* is unknown"):
        file_part(path)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: image_part("missing.png"), "The image 'missing.png' cannot be read: No such file"),
        (lambda: file_part(Path("missing.pdf")), "The file 'missing.pdf' cannot be read: No such file"),
        (lambda: image_part("."), "The image '.' cannot be read: "),
        (lambda: image_part("a\0b"), "cannot be read: "),
        (lambda: image_part(""), "The image '' cannot be read: "),
        (lambda: image_part(b""), "The image passed as bytes is empty."),
        (lambda: image_part(b"what?"), "The type of the image passed as bytes is unknown."),
        (
            lambda: image_part(PDF),
            "The image passed as bytes is application/pdf. Pass an image, or use file_part.",
        ),
        (lambda: image_part(PDF_URL), "is application/pdf."),
        (lambda: image_part(5), "The image is a int. Pass a URL, a path or bytes."),  # type: ignore[arg-type]
        (lambda: file_part(None), "The file is a NoneType."),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_image_or_file_is_said(make: Any, expected: str) -> None:
    with pytest.raises(InvalidMessagesError) as caught:
        make()
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 300, "a data URL is not repeated"


# ---------------------------------------------------------------- sending parts

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


@pytest.mark.parametrize("dialect", ["anthropic"], indirect=True)
def test_a_text_file_is_sent_as_text(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect
) -> None:
    part = file_part("Größe".encode(), media_type="text/csv", filename="a.csv")

    orchestrate().send_request([{"role": "user", "content": [part]}])

    source = {"type": "text", "media_type": "text/plain", "data": "Größe"}
    sent = server.requests[0].body["messages"][0]["content"]
    assert sent == [{"type": "document", "source": source, "title": "a.csv"}]
