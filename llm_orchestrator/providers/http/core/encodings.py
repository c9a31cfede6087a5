"""Unpacks gzip and deflate in bounded steps: a few bytes can hold gigabytes."""

from __future__ import annotations

import zlib
from typing import Any, Optional

from llm_orchestrator.providers.http.core.network_errors import broken_reply

__all__ = ["STEP_BYTES", "Unpacker", "unpacker_for"]

#: Most that one step unpacks: a millisecond's work.
STEP_BYTES = 128 * 1024
#: A gzip body may consist of several members; so many are no honest one.
MAX_MEMBERS = 1000
_GZIP, _ZLIB, _RAW = 31, 15, -15


def unpacker_for(encoding: str, status: int) -> Optional[Unpacker]:
    """Find what unpacks a body."""
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return None
    if encoding in {"gzip", "x-gzip"}:
        return Unpacker(_GZIP, status)
    if encoding == "deflate":
        return Unpacker(None, status)
    raise broken_reply(f"its content-encoding {encoding[:40]!r} was not asked for", status)


class Unpacker:
    """Unpacks one body."""

    __slots__ = ("_held", "_inflate", "_is_gzip", "_is_short", "_members", "_rest", "_status", "packed")

    def __init__(self, format_code: Optional[int], status: int) -> None:
        self.packed = 0
        self._status = status
        self._is_gzip = format_code == _GZIP
        self._inflate: Optional[Any] = zlib.decompressobj(format_code) if format_code else None
        self._held = b""  # the first byte of a body whose format is not known yet
        self._rest = b""
        self._is_short = True  # the last step gave all that there was
        self._members = 1

    def feed(self, data: bytes) -> None:
        """Take packed bytes, once all before them are unpacked."""
        self.packed += len(data)
        if self._inflate is None:
            data = self._held + data
            if len(data) < 2:
                self._held = data
                return
            self._inflate = zlib.decompressobj(_ZLIB if _has_zlib_header(data) else _RAW)
        self._rest = data

    def step(self) -> bytes:
        """Unpack some more."""
        while self._rest or not self._is_short:
            unpacked = self._unpack()
            if unpacked:
                return unpacked
        return b""

    def end(self) -> None:
        """Say that the body has ended: what was packed must have ended with it."""
        if self.packed and (self._inflate is None or not self._inflate.eof):
            raise broken_reply("its packed body is cut off", self._status)

    def _unpack(self) -> bytes:
        assert self._inflate is not None
        if self._inflate.eof and not self._next_member():
            return b""
        try:
            unpacked: bytes = self._inflate.decompress(self._rest, STEP_BYTES)
        except zlib.error as error:
            raise broken_reply("its packed body is broken", self._status) from error
        ended = self._inflate.eof
        self._rest = self._inflate.unused_data if ended else self._inflate.unconsumed_tail
        self._is_short = ended or len(unpacked) < STEP_BYTES  # zlib may hold more than it was asked for
        return unpacked

    def _next_member(self) -> bool:
        """Go on with what follows the end of packed data: another member, or the zeros that fill a block."""
        self._rest = self._rest.lstrip(b"\0") if self._is_gzip else self._rest
        if not self._rest:
            return False
        self._members += 1
        if not self._is_gzip or self._members > MAX_MEMBERS:
            raise broken_reply("its packed body goes on after its end", self._status)
        self._inflate = zlib.decompressobj(_GZIP)
        return True


def _has_zlib_header(data: bytes) -> bool:
    return data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
