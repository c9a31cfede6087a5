"""``Media``: an image or a sound that a model made."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Optional

from llm_orchestrator.utils.values import Value

__all__ = ["Media"]


@dataclass(frozen=True, eq=False, repr=False)
class Media(Value):
    """An image or a sound of an answer, in base64 as it came; ``data`` are its bytes.

    Attributes:
        media_type: Its type, such as ``image/png``; None where nothing tells it.
        encoded: Its bytes in base64, in the standard alphabet; empty where there is only an address.
        url: Its address, where it is kept elsewhere.
        transcript: For a sound, what is said.
    """

    media_type: Optional[str] = None
    encoded: str = field(default="", repr=False)
    url: Optional[str] = None
    transcript: Optional[str] = None

    @property
    def data(self) -> Optional[bytes]:
        """The bytes; None where there is only an address, or what came is not base64."""
        try:
            return base64.b64decode(self.encoded, validate=True) if self.encoded else None
        except (binascii.Error, ValueError):
            return None
