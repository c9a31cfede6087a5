"""Images and sounds in answers, read from the fields in which each protocol has them."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from llm_orchestrator.providers.reading import (
    as_mapping,
    as_mappings,
    as_text,
    as_text_or_none,
    parse_data_url,
)
from llm_orchestrator.types import JSON, Media

__all__ = ["MediaFound", "joined_base64", "media_of_items", "media_of_message", "media_of_parts"]

#: How the base64 of a file begins, by its type.
MARKS: Mapping[str, str] = {
    "UklGR": "audio/wav",
    "SUQz": "audio/mpeg",
    "//v": "audio/mpeg",
    "//s": "audio/mpeg",
    "T2dnU": "audio/ogg",
    "ZkxhQ": "audio/flac",
}
_STANDARD = str.maketrans("-_", "+/")


class MediaFound(NamedTuple):
    """What an answer holds beside text."""

    images: Tuple[Media, ...] = ()
    audio: Optional[Media] = None


NOTHING = MediaFound()


def media_of_message(message: JSON, parts: Sequence[JSON]) -> MediaFound:
    """The media of a message of Chat: OpenAI's sound, and the images of hosts beside the text or among it."""
    pictures = [*as_mappings(message.get("images")), *[part for part in parts if part.get("image_url")]]
    if not (pictures or message.get("audio")):
        return NOTHING
    places = (as_mapping(picture.get("image_url")) or picture.get("image_url") for picture in pictures)
    urls = (as_text(place if isinstance(place, str) else as_mapping(place).get("url")) for place in places)
    sound = as_mapping(message.get("audio"))
    images = tuple(_image_at(url) for url in urls if url)
    return MediaFound(images, _sound(sound)) if images or sound else NOTHING


def _image_at(url: str) -> Media:
    inline = parse_data_url(url)
    return Media(url=url) if inline is None else Media(inline.mime_type or None, inline.base64)


def _sound(audio: JSON) -> Optional[Media]:
    encoded, transcript = as_text(audio.get("data")), as_text_or_none(audio.get("transcript"))
    if not (encoded or transcript):
        return None
    kind = next((kind for mark, kind in MARKS.items() if encoded.startswith(mark)), None)
    return Media(kind, encoded, transcript=transcript)


def media_of_items(items: Iterable[JSON]) -> MediaFound:
    """The images among the items of Responses."""
    made = [item for item in items if item.get("type") == "image_generation_call"]
    images = [
        Media(f"image/{as_text(item.get('output_format')) or 'png'}", as_text(item.get("result")))
        for item in made
        if as_text(item.get("result"))
    ]
    return MediaFound(tuple(images)) if images else NOTHING


def media_of_parts(parts: Iterable[JSON]) -> MediaFound:
    """The images and the sound among the parts of Gemini; thoughts may hold drafts, which are left out."""
    blobs = [
        as_mapping(part["inlineData"]) for part in parts if "inlineData" in part and not part.get("thought")
    ]
    files = [
        (as_text(blob.get("mimeType")), as_text(blob.get("data")).translate(_STANDARD)) for blob in blobs
    ]
    images = tuple(Media(kind, data) for kind, data in files if kind.startswith("image/") and data)
    sounds = [(kind, data) for kind, data in files if kind.startswith("audio/") and data]
    audio = Media(sounds[0][0], joined_base64([data for _, data in sounds])) if sounds else None
    return MediaFound(images, audio) if images or audio else NOTHING


def joined_base64(pieces: Sequence[Any]) -> str:
    """The base64 of bytes that came in pieces, each of which may end with its own padding."""
    texts: List[str] = [as_text(piece) for piece in pieces]
    if len(texts) == 1:
        return texts[0]
    try:
        return base64.b64encode(b"".join(map(base64.b64decode, texts))).decode("ascii")
    except (binascii.Error, ValueError):  # cut somewhere inside
        return "".join(texts)
