"""Bodies of ``multipart/form-data``, by which files are uploaded."""

from __future__ import annotations

from typing import Mapping, NamedTuple, Optional

__all__ = ["FORM", "Form", "FormField"]

FORM = "multipart/form-data"


class FormField(NamedTuple):
    """A field of a form: the name of its file, its content, and the media type of a file."""

    filename: Optional[str]
    content: bytes
    media_type: Optional[str] = None


class Form(NamedTuple):
    """A body of ``multipart/form-data``, which a vendor's SDK writes itself.

    The ``boundary`` must stand in none of the fields; names and types are written as they are.
    """

    boundary: str
    fields: Mapping[str, FormField]

    @property
    def media_type(self) -> str:
        """The value of its ``content-type``."""
        return f"{FORM}; boundary={self.boundary}"

    def __bytes__(self) -> bytes:
        lines = []
        for name, field_ in self.fields.items():
            filename = f'; filename="{field_.filename}"' if field_.filename else ""
            head = f'--{self.boundary}\r\ncontent-disposition: form-data; name="{name}"{filename}\r\n'
            media_type = f"content-type: {field_.media_type}\r\n" if field_.media_type else ""
            lines += [f"{head}{media_type}\r\n".encode(), field_.content, b"\r\n"]
        return b"".join((*lines, f"--{self.boundary}--\r\n".encode()))
