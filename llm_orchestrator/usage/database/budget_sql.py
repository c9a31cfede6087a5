"""The statements of budgets, for PostgreSQL and for SQLite, which has one writer at a time and no decimals.

Each is one statement in a transaction of its own. ``s0 p0 m0, s1 p1 m1 ...`` are scope, period and money (the
limit, or what was spent) of the budgets it is about, ordered by scope and period.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any, Optional

import sqlalchemy as sa

from llm_orchestrator.utils.money import ZERO, add_money

__all__ = ["reserve", "set_up_sqlite", "settle"]

# PostgreSQL. A row that another transaction has locked is waited for, and read as that one leaves it; the
# holds are read as they were when the statement began. So the sum of what is held stands in the budget's
# row, and holds change only under its lock. A row that is not there cannot be locked: where two programs
# insert it at once, one gets an error and begins again.
#
# A commit does not wait for the disk: a server that crashes may forget the last half second of the sums, and
# no row of the ledger. Waiting would hold every other call of the same budget up for so long.
_NO_WAIT = "set_config('synchronous_commit', 'off', true)"

_LOCKED = """
locked AS (
    SELECT b.scope, b.period, b.spent, b.held, b.used_at
    FROM llm_budget b JOIN named n ON b.scope = n.scope AND b.period = n.period
    ORDER BY b.scope, b.period FOR UPDATE OF b
)"""
_ENDED = """
ended AS (
    DELETE FROM llm_hold h USING locked l
    WHERE h.scope = l.scope AND h.period = l.period AND ({which})
    RETURNING h.id, h.scope, h.period, h.amount
),
freed AS (SELECT scope, period, sum(amount) AS amount FROM ended GROUP BY scope, period)"""

_RESERVE = f"""
WITH named (scope, period, most) AS (VALUES {{values}}),
{_LOCKED},
{_ENDED.format(which="h.expires_at <= now()")},
state AS (
    SELECT n.scope, n.period, n.most, l.scope IS NOT NULL AS is_there,
        l.used_at, coalesce(l.spent, 0) AS spent, coalesce(l.held, 0) - coalesce(f.amount, 0) AS held
    FROM named n
    LEFT JOIN locked l ON l.scope = n.scope AND l.period = n.period
    LEFT JOIN freed f ON f.scope = n.scope AND f.period = n.period
),
verdict AS (
    SELECT bool_and(spent + held < most AND spent + held + :amount <= most) AS is_granted FROM state
),
updated AS (
    UPDATE llm_budget b SET used_at = now(), held = s.held + CASE WHEN v.is_granted THEN :amount ELSE 0 END
    FROM state s, verdict v
    WHERE b.scope = s.scope AND b.period = s.period
        AND (v.is_granted OR EXISTS (SELECT 1 FROM ended) OR s.used_at < now() - interval '1 day')
),
created AS (
    INSERT INTO llm_budget (scope, period, spent, held)
    SELECT s.scope, s.period, 0, :amount FROM state s, verdict v WHERE v.is_granted AND NOT s.is_there
    ORDER BY s.scope, s.period
),
taken AS (
    INSERT INTO llm_hold (id, scope, period, amount, expires_at)
    SELECT :id, s.scope, s.period, :amount, now() + make_interval(secs => :seconds)
    FROM state s, verdict v WHERE v.is_granted
)
SELECT v.is_granted, s.scope, s.period, s.spent, s.held, {_NO_WAIT} FROM state s, verdict v
"""

_SETTLE = f"""
WITH named (scope, period, spent) AS (VALUES {{values}}),
{_LOCKED},
{_ENDED.format(which="h.id = :id OR h.expires_at <= now()")},
paid AS (
    SELECT n.scope, n.period,
        CASE WHEN :again AND NOT EXISTS (SELECT 1 FROM ended WHERE id = :id) THEN 0 ELSE n.spent END AS spent
    FROM named n
),
updated AS (
    UPDATE llm_budget b SET used_at = now(), spent = l.spent + p.spent, held = l.held - coalesce(f.amount, 0)
    FROM locked l
    JOIN paid p ON p.scope = l.scope AND p.period = l.period
    LEFT JOIN freed f ON f.scope = l.scope AND f.period = l.period
    WHERE b.scope = l.scope AND b.period = l.period
),
created AS (
    INSERT INTO llm_budget (scope, period, spent, held)
    SELECT p.scope, p.period, p.spent, 0 FROM paid p
    WHERE p.spent > 0
        AND NOT EXISTS (SELECT 1 FROM locked l WHERE l.scope = p.scope AND l.period = p.period)
    ORDER BY p.scope, p.period
)
SELECT {_NO_WAIT}
"""

# SQLite. Its one writer sees everything, so what is held is the sum of the holds that have not expired.
_RESERVE_IN_SQLITE = """
INSERT INTO llm_hold (id, scope, period, amount, expires_at)
WITH named (scope, period, most) AS (VALUES {values})
SELECT :id, scope, period, :amount, :expires FROM named
WHERE NOT EXISTS (
    SELECT 1 FROM named n
    WHERE NOT llm_fits(
        (SELECT b.spent FROM llm_budget b WHERE b.scope = n.scope AND b.period = n.period),
        (SELECT llm_sum(h.amount) FROM llm_hold h
            WHERE h.scope = n.scope AND h.period = n.period AND h.expires_at > :now),
        :amount, n.most
    )
)
RETURNING 1 AS is_granted, scope, period, 0 AS held, (
    SELECT b.spent FROM llm_budget b WHERE b.scope = llm_hold.scope AND b.period = llm_hold.period
) AS spent
"""
_SETTLE_IN_SQLITE = """
INSERT INTO llm_settle (id, again, now, scope, period, spent)
WITH named (scope, period, spent) AS (VALUES {values})
SELECT :id, :again, :now, scope, period, spent FROM named
"""
#: A statement of SQLite changes one table. This view, which only the connection has, lets one change two.
_VIEW = """
CREATE TEMP VIEW llm_settle AS
    SELECT NULL AS id, NULL AS again, NULL AS now, NULL AS scope, NULL AS period, NULL AS spent;
CREATE TEMP TRIGGER llm_settle_one INSTEAD OF INSERT ON llm_settle BEGIN
    INSERT INTO llm_budget (scope, period, spent, held, used_at)
        SELECT NEW.scope, NEW.period, NEW.spent, '0', NEW.now
        WHERE NOT NEW.again OR EXISTS (
            SELECT 1 FROM llm_hold WHERE scope = NEW.scope AND period = NEW.period AND id = NEW.id
        )
        ON CONFLICT (scope, period) DO UPDATE
            SET spent = llm_add(spent, excluded.spent), used_at = excluded.used_at;
    DELETE FROM llm_hold
        WHERE scope = NEW.scope AND period = NEW.period AND (id = NEW.id OR expires_at <= NEW.now);
END;
"""


@lru_cache(maxsize=64)
def reserve(count: int, is_sqlite: bool) -> sa.TextClause:
    """Hold ``amount`` of so many budgets under ``id``, for ``seconds`` or until ``expires``."""
    return _statement(_RESERVE_IN_SQLITE if is_sqlite else _RESERVE, count, is_sqlite)


@lru_cache(maxsize=64)
def settle(count: int, is_sqlite: bool) -> sa.TextClause:
    """End what is held under ``id``, and count what was spent; ``again``: only where it was still held."""
    return _statement(_SETTLE_IN_SQLITE if is_sqlite else _SETTLE, count, is_sqlite)


def _statement(text: str, count: int, is_sqlite: bool) -> sa.TextClause:
    number = "text" if is_sqlite else "numeric"
    one = "(CAST(:s{0} AS text), CAST(:p{0} AS text), CAST(:m{0} AS {1}))"
    text = text.format(values=", ".join(one.format(index, number) for index in range(count)))
    if not is_sqlite:
        for name, kind in (
            ("amount", "numeric"),
            ("id", "uuid"),
            ("seconds", "float8"),
            ("again", "boolean"),
        ):
            text = text.replace(f":{name}", f"CAST(:{name} AS {kind})")
    return sa.text(text)


def set_up_sqlite(connection: Any, _: Any) -> None:
    """Teach a connection to count money, and to settle."""
    connection.create_function("llm_add", 2, _add)
    connection.create_function("llm_fits", 4, _fits)
    connection.create_aggregate("llm_sum", 1, _Sum)
    connection.execute("PRAGMA synchronous = NORMAL")  # as in PostgreSQL: a commit waits for no disk
    connection.executescript(_VIEW)


def _fits(spent: Optional[str], held: Optional[str], amount: str, most: str) -> bool:
    used = add_money(Decimal(spent or 0), Decimal(held or 0))
    return used < Decimal(most) and add_money(used, Decimal(amount)) <= Decimal(most)


def _add(first: str, second: str) -> str:
    return format(add_money(Decimal(first), Decimal(second)), "f")


class _Sum:
    """The aggregate of amounts."""

    def __init__(self) -> None:
        self._sum = ZERO

    def step(self, amount: str) -> None:
        """Add one."""
        self._sum = add_money(self._sum, Decimal(amount))

    def finalize(self) -> str:
        """The sum as it is stored."""
        return format(self._sum, "f")
