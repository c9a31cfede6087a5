"""Images and files for a message: ``image_part`` and ``file_part`` make parts in the OpenAI Chat form.

The parts go into the ``content`` list of a message, next to ``{"type": "text", "text": ...}``. They are the
same for every provider; each adapter translates them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Dict, Optional, Union

from llm_orchestrator.exceptions import InvalidMessagesError
from llm_orchestrator.utils.files import pinned, read_regular

__all__ = ["file_part", "image_part"]

Source = Union[str, bytes, os.PathLike[str]]

#: How files of these types begin; this counts more than a file's name, which may be wrong.
SIGNATURES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"%PDF-"), "application/pdf"),
)
_URL = re.compile(r"data:|[a-zA-Z][a-zA-Z0-9+.-]*://")


def image_part(
    source: Union[str, bytes, os.PathLike[str]],
    *,
    media_type: Optional[str] = None,
    detail: Optional[str] = None,
) -> Dict[str, Any]:
    """Make the part of a message that holds an image.

    Args:
        source: A URL (a data URL too), the path of a file, or the image's bytes. A file is read now, and
            sent inside the request. A string is a URL when it begins like one (``https://``), else a path.
        media_type: The type of the bytes, for example ``image/png``; None to detect it.
        detail: How closely to look (OpenAI: ``low``, ``high``, ``auto`` ...); other providers ignore it.

    Returns:
        A part for a message's ``content``.

    Raises:
        InvalidMessagesError: The file cannot be read, or is not an image.
    """
    url = _url_of(source, "image", media_type)
    if url.startswith("data:") and not url.startswith("data:image/"):
        raise InvalidMessagesError(
            f"The image {_name_of(source)} is {url[5:].partition(';')[0]}. Pass an image, or use file_part."
        )
    return {"type": "image_url", "image_url": {"url": url, **({"detail": detail} if detail else {})}}


def file_part(
    source: Union[str, bytes, os.PathLike[str]],
    *,
    media_type: Optional[str] = None,
    filename: Optional[str] = None,
) -> Dict[str, Any]:
    """Make the part of a message that holds a document; all providers support PDF.

    Args:
        source: A URL (a data URL too), the path of a file, or the file's bytes. A file is read now, and
            sent inside the request. A string is a URL when it begins like one (``https://``), else a path.
        media_type: The type of the bytes, for example ``application/pdf``; None to detect it.
        filename: The name the model sees; None for the file's own.

    Returns:
        A part for a message's ``content``.

    Raises:
        InvalidMessagesError: The file cannot be read, or its type is unknown.
    """
    url = _url_of(source, "file", media_type)
    file = {"file_data": url}
    name = filename or _own_name(source, url)
    return {"type": "file", "file": {**file, "filename": name} if name else file}


def _url_of(source: Source, kind: str, media_type: Optional[str]) -> str:
    if isinstance(source, str) and _URL.match(source):
        return source
    content = _content_of(source, kind)
    if not content:
        raise InvalidMessagesError(f"The {kind} {_name_of(source)} is empty. Pass one with content.")
    found = media_type or _media_type_of(content, source)
    if found is None:
        raise InvalidMessagesError(
            f"The type of the {kind} {_name_of(source)} is unknown. "
            'Pass media_type="application/pdf", or "image/png" ...'
        )
    from base64 import b64encode

    return f"data:{found};base64,{b64encode(content).decode('ascii')}"


def _content_of(source: Source, kind: str) -> bytes:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if not isinstance(source, (str, os.PathLike)):
        raise InvalidMessagesError(f"The {kind} is a {type(source).__name__}. Pass a URL, a path or bytes.")
    try:
        return read_regular(pinned(source))
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        reason = getattr(error, "strerror", None) or error
        raise InvalidMessagesError(
            f"The {kind} {_name_of(source)} cannot be read: {reason}. Check the path, or pass a URL or bytes."
        ) from error


def _media_type_of(content: bytes, source: Source) -> Optional[str]:
    for signature, media_type in SIGNATURES:
        if signature.match(content):
            return media_type
    if not isinstance(source, (str, os.PathLike)):
        return None
    from mimetypes import guess_type

    by_name, compression = guess_type(str(source))
    return None if compression else by_name  # ``notes.txt.gz`` is not text/plain


def _own_name(source: Source, url: str) -> Optional[str]:
    """The file's name; for bytes one that fits their type, because OpenAI requires a name for each file."""
    if url is source:
        return None
    if isinstance(source, (str, os.PathLike)):
        return Path(source).name
    from mimetypes import guess_extension

    return "file" + (guess_extension(url[5:].partition(";")[0]) or "")


def _name_of(source: Source) -> str:
    """How an error names the source; never by its bytes."""
    return repr(os.fspath(source))[:200] if isinstance(source, (str, os.PathLike)) else "passed as bytes"
