"""Rows are packed by group, and never above what the provider takes at once."""

from __future__ import annotations

from typing import Any, List

import pytest

from llm_orchestrator.bulk.packs import FRAME, Packed, Packs, halves
from llm_orchestrator.bulk.prepare import Prepared
from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.providers.batch_values import BatchItem, BatchLimits
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import LLMRequest


def packed(position: int, size: int = 10, group: str = "a") -> Packed:
    request = LLMRequest("m", ())
    return Packed(
        Prepared(position, None, position, str(position), request, b""),
        BatchItem(request, WireRequest("/p", {}), (group,), size),
    )


def positions(rows: Any) -> List[int]:
    return [row.row.position for row in rows]


def test_a_full_batch_is_handed_over_and_the_rest_is_taken_at_the_end() -> None:
    packs = Packs(BatchLimits(2, 10**6))
    full = [packs.add(packed(position)) for position in range(5)]
    assert [positions(rows) for rows in full if rows] == [[0, 1], [2, 3]]
    assert [positions(rows) for rows in packs.take_rest()] == [[4]]
    assert packs.take_rest() == []


def test_bytes_count_with_what_stands_around_each_request() -> None:
    packs = Packs(BatchLimits(100, 2 * (10 + FRAME)))
    full = [packs.add(packed(position)) for position in range(3)]
    assert [positions(rows) for rows in full if rows] == [[0, 1]]
    with pytest.raises(InvalidRequestError, match="600 bytes"):
        packs.add(packed(4, size=600))


def test_groups_are_filled_apart() -> None:
    packs = Packs(BatchLimits(2, 10**6))
    for position in range(4):
        assert packs.add(packed(position, group="ab"[position % 2])) is None
    assert [positions(rows) for rows in packs.take_rest()] == [[0, 2], [1, 3]]


def test_halves_lose_no_row() -> None:
    first, second = halves([packed(position) for position in range(5)])
    assert (positions(first), positions(second)) == ([0, 1], [2, 3, 4])
