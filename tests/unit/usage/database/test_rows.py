"""A row comes back from the database as the text it was, whatever a hand wrote into it."""

from __future__ import annotations

from decimal import Decimal
from typing import Dict
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sqlalchemy", reason="a database needs the extra `database`")

from llm_orchestrator.usage.columns import COLUMNS
from llm_orchestrator.usage.database.rows import row_of, values_of
from llm_orchestrator.usage.database.schema import TYPED
from llm_orchestrator.usage.database.spool import _new_id
from llm_orchestrator.usage.export import TYPES
from tests.support.ledgers import row

CELLS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    st.sampled_from(
        ["1", "0", "-1", "1.0", "1E-7", "NaN", "9" * 30, "true", "True", "2026-03-01T10:00:00+01:00"]
    ),
    st.sampled_from(['{"b": 1, "a": "x"}', '{"a": NaN}', "[1]", '{"a": "\\u0000\\ud800"}', '{"a":  1}']),
)


@given(st.dictionaries(st.sampled_from(COLUMNS[1:]), CELLS))
@settings(max_examples=60)
def test_any_row_comes_back_as_it_was(cells: Dict[str, str]) -> None:
    given_row = row(**cells)
    values = values_of(uuid4(), given_row)
    kinds = {name: TYPES[name] for name in TYPED if values[name] is not None}
    assert all(isinstance(values[name], kind) for name, kind in kinds.items())
    assert "\0" not in str(values["tags"])
    assert row_of(values) == given_row


def test_usual_rows_hold_each_thing_once() -> None:
    moment = "2026-11-01T06:00:00.000000+00:00"
    cells = {"timestamp": moment, "cost": "0.10", "total_tokens": 15, "latency": "0.800000", "rates": "in=1"}
    values = values_of(uuid4(), row(**cells))
    assert (values["cost"], values["total_tokens"], values["latency"]) == (Decimal("0.10"), 15, 0.8)
    assert values["detail"] == {"rates": "in=1"}


def test_ids_are_unique_and_grow() -> None:
    ids = [UUID(_new_id().decode()) for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert {(number.version, number.variant) for number in ids} == {(7, ids[0].variant)}
    times = [number.int >> 64 for number in ids]
    assert times == sorted(times)
