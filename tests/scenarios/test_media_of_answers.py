"""X9: images and sounds that a model makes are in the answer, with their bytes and types, and go back."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from typing import Any, Dict, List

import pytest

from llm_orchestrator import FinishReason, Media
from llm_orchestrator.providers.media import media_of_items, media_of_message, media_of_parts
from tests.support.fixtures import Orchestrate
from tests.support.marks import chat, gemini, responses
from tests.support.money import answer
from tests.support.raw_replies import (
    choice,
    chunk,
    completion,
    ended,
    message,
    raw,
    response_json,
)
from tests.support.scripted_server import Dialect, ScriptedServer
from tests.support.ways import ask

PICTURE = b"\x89PNG\xff\xfe\xfd picture"
SOUND = b"RIFF\x00\x01WAVE sound of some length"
ENCODED = b64encode(PICTURE).decode()
QUESTION = {"role": "user", "content": "Hi"}


def ask_twice(orchestrate: Orchestrate, way: str) -> Any:
    """Two turns, the second with the first behind it."""
    orchestrator = orchestrate()
    response = ask(orchestrator, way)
    ask(orchestrator, way, [QUESTION, response.message, QUESTION])
    return response


@gemini
def test_x9_images_of_gemini_are_read_and_go_back(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    def part(data: bytes) -> Dict[str, Any]:
        return {"inlineData": {"mimeType": "image/png", "data": urlsafe_b64encode(data).decode()}}

    draft = {**part(b"draft"), "thought": True}
    candidate = {"content": {"parts": [draft, part(PICTURE)], "role": "model"}, "finishReason": "STOP"}
    server.script(raw(way, {"candidates": [candidate]}, [{"candidates": [candidate]}]), answer(dialect, way))

    response = ask_twice(orchestrate, way)

    (image,) = response.images
    assert (image.media_type, image.data, response.audio) == ("image/png", PICTURE, None)
    assert (response.content, response.finish_reason, response.warnings) == ("", FinishReason.STOP, ())
    assert part(PICTURE) in server.requests[1].body["contents"][1]["parts"]


@gemini
def test_x9_a_sound_of_gemini_may_come_in_pieces(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    def candidate(*pieces: bytes, **fields: Any) -> Dict[str, Any]:
        kind = "audio/L16;rate=24000"
        blobs = [{"inlineData": {"mimeType": kind, "data": b64encode(piece).decode()}} for piece in pieces]
        return {"content": {"parts": blobs, "role": "model"}, **fields}

    pieces = [SOUND[:5], SOUND[5:12], SOUND[12:]]
    whole = candidate(*pieces, finishReason="STOP")
    events = [{"candidates": [candidate(piece)]} for piece in pieces]
    events[-1]["candidates"][0]["finishReason"] = "STOP"
    server.script(raw(way, {"candidates": [whole]}, events))

    audio = ask(orchestrate(), way).audio

    assert audio is not None and (audio.media_type, audio.data) == ("audio/L16;rate=24000", SOUND)


@responses
def test_x9_images_of_responses_are_read_and_go_back(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    item = {
        "type": "image_generation_call",
        "id": "ig_1",
        "status": "completed",
        "result": ENCODED,
        "output_format": "webp",
    }
    server.script(raw(way, response_json(item), [ended(item)]), answer(dialect, way))

    response = ask_twice(orchestrate, way)

    assert [(image.media_type, image.data) for image in response.images] == [("image/webp", PICTURE)]
    assert response.warnings == () and item in server.requests[1].body["input"]


@chat
def test_x9_images_of_hosts_are_read_and_go_back(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    urls = [f"data:image/jpeg;base64,{ENCODED}", "https://example.test/a.png"]
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    said = {"content": "Here.", "images": pictures}
    server.script(
        raw(way, completion(choice(message(**said))), [chunk(said), chunk({}, "stop")], "[DONE]"),
        answer(dialect, way),
    )

    response = ask_twice(orchestrate, way)

    inline, linked = response.images
    assert (inline.media_type, inline.data, inline.url) == ("image/jpeg", PICTURE, None)
    assert (linked.data, linked.url) == (None, urls[1])
    assert server.requests[1].body["messages"][1]["images"] == pictures


@chat
def test_x9_a_sound_of_chat_comes_in_pieces_and_goes_back_by_its_id(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    whole = {"id": "audio_1", "data": b64encode(SOUND).decode(), "transcript": "Hello.", "expires_at": 9}
    pieces: List[Dict[str, Any]] = [
        {"id": "audio_1", "transcript": "Hel"},
        {"data": b64encode(SOUND[:7]).decode()},
        {"transcript": "lo."},
        {"data": b64encode(SOUND[7:]).decode()},
        {"expires_at": 9},
    ]
    chunks = [*(chunk({"audio": piece}) for piece in pieces), chunk({}, "stop")]
    document = completion(choice(message(content=None, audio=whole)))
    server.script(raw(way, document, chunks, "[DONE]"), answer(dialect, way))

    response = ask_twice(orchestrate, way)

    assert response.audio == Media("audio/wav", whole["data"], transcript="Hello.")
    assert response.audio.data == SOUND and response.warnings == ()
    assert server.requests[1].body["messages"][1]["audio"] == {"id": "audio_1"}
    assert response.to_dict()["audio"]["encoded"] == whole["data"]


def test_x9_an_answer_of_text_alone_has_neither(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(answer(dialect, way))
    response = ask(orchestrate(), way)
    assert (response.images, response.audio) == ((), None)


@pytest.mark.parametrize(
    "value",
    [None, True, -1, 10**400, "", "%%%", "A", [], {}, [[]], {"url": []}],
    ids=lambda value: type(value).__name__,
)
def test_x9_whatever_stands_where_media_should_is_no_error(value: Any) -> None:
    found = [
        media_of_message({"images": value, "audio": value}, []),
        media_of_message({"images": [{"image_url": value}], "audio": {"data": value}}, []),
        media_of_items([{"type": "image_generation_call", "result": value, "output_format": value}]),
        media_of_parts([{"inlineData": value}, {"inlineData": {"mimeType": value, "data": value}}]),
        media_of_parts([{"inlineData": {"mimeType": "audio/wav", "data": value}}] * 2),
    ]
    media = [item for images, audio in found for item in (*images, audio) if item is not None]
    assert all(item.data is None or isinstance(item.data, bytes) for item in media)
