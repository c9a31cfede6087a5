"""Images and files: from a URL, a path or bytes to a part."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from llm_orchestrator import InvalidMessagesError, file_part, image_part

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
