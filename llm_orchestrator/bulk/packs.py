"""Packs rows into batches: never more requests or bytes than the provider takes at once."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from llm_orchestrator.bulk.prepare import Prepared
from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.providers.batch_values import BatchItem, BatchLimits

__all__ = ["Packed", "Packs", "halves"]

#: Bytes around each request: its id, the path and the names of the fields.
FRAME = 256


class Packed(NamedTuple):
    """A row and its request, ready to be submitted."""

    row: Prepared
    item: BatchItem


class _Pack:
    def __init__(self) -> None:
        self.rows: List[Packed] = []
        self.size = 0


class Packs:
    """The batches that are being filled, one for each group of requests that may go together."""

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._open: Dict[Tuple[Any, ...], _Pack] = {}

    def add(self, packed: Packed) -> Optional[List[Packed]]:
        """Put a row into its batch; returns the one that was full before it."""
        size = packed.item.size + FRAME
        if size > self._limits.size:
            raise InvalidRequestError(
                f"The request has {packed.item.size:,} bytes, and a whole batch may have "
                f"{self._limits.size:,}. "
                'Shorten it, or use mode="now".'
            )
        pack = self._open.get(packed.item.group)
        full = None
        if pack is not None and not self._has_room(pack, size):
            full, pack = pack.rows, None
        if pack is None:
            pack = self._open[packed.item.group] = _Pack()
        pack.rows.append(packed)
        pack.size += size
        return full

    def _has_room(self, pack: _Pack, size: int) -> bool:
        return len(pack.rows) < self._limits.requests and pack.size + size <= self._limits.size

    def take_rest(self) -> List[List[Packed]]:
        """Take all batches, full or not."""
        packs, self._open = self._open, {}
        return [pack.rows for pack in packs.values()]


def halves(rows: List[Packed]) -> Tuple[List[Packed], List[Packed]]:
    """Cut a batch in two, which are submitted apart."""
    middle = len(rows) // 2
    return rows[:middle], rows[middle:]
