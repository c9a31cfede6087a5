"""Budgets in a database: what a call may cost is reserved by one statement, and settled by one.

A statement takes the rows of all its budgets in the order of their keys, so that no two wait for each other,
and grants all or nothing. What a dead worker holds ends by the clock of the database, which is one for all.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, TypeVar
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.database import budget_sql
from llm_orchestrator.usage.database.engine import BEGIN, make_engine, shown_url
from llm_orchestrator.usage.database.schema import BUDGETS, HOLDS
from llm_orchestrator.usage.database.setup import prepare
from llm_orchestrator.usage.limits import Claim
from llm_orchestrator.utils.money import ZERO, add_money
from llm_orchestrator.utils.values import Value

__all__ = ["BudgetTable", "Key", "Verdict"]

Result = TypeVar("Result")
#: Scope and period of a budget.
Key = Tuple[str, str]
#: How often a statement is sent that another one got in the way of.
_TRIES = 5
#: PostgreSQL's states for that: could not be serialized, deadlock.
_IN_THE_WAY = ("40001", "40P01")
#: The first version of SQLite with RETURNING.
_OLDEST_SQLITE = (3, 35)
#: Connections of parent processes, kept so that they are not closed here.
_of_parents: List[Any] = []


@dataclass(frozen=True, eq=False, repr=False)
class Verdict(Value):
    """What came of a reservation.

    Attributes:
        hold: Under which id the amount is held; None: it was not granted.
        sums: What was spent and held of each budget before.
    """

    hold: Optional[UUID]
    sums: Mapping[Key, Tuple[Decimal, Decimal]]


class BudgetTable:
    """The sums of budgets in a database; used by one thread at a time.

    Args:
        url: The database.
        timeout: Seconds to wait for a connection, and in SQLite for another writer.
        on_answer: Called whenever the database has answered: the first time it is asked several questions.
    """

    def __init__(self, url: str, timeout: float, on_answer: Callable[[], None] = lambda: None) -> None:
        self._url, self._timeout, self._on_answer = url, timeout, on_answer
        self._is_prepared = False
        self._begin()
        self.name = shown_url(self._engine)

    def _begin(self) -> None:
        self._connection: Optional[sa.Connection] = None
        self._engine = make_engine(self._url, timeout=self._timeout)
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        if self._is_sqlite:
            _check_sqlite()
            sa.event.listen(self._engine, "connect", budget_sql.set_up_sqlite)
        for answer in ("connect", "after_cursor_execute"):
            sa.event.listen(self._engine, answer, self._note_answer)

    def _note_answer(self, *_: Any) -> None:
        self._on_answer()

    def reserve(self, claims: Sequence[Claim], amount: Decimal, seconds: float) -> Verdict:
        """Hold an amount of each of these budgets, or of none where one has no room."""

        def send(connection: sa.Connection, is_again: bool) -> Verdict:
            hold = uuid4()  # a new one each time: one that was granted and not told ends by its time
            values = {"amount": self._money(amount), **self._claimed(claims)}
            if self._is_sqlite:
                now = datetime.now(timezone.utc)
                values.update(id=hold.hex, now=_text(now), expires=_text(now + timedelta(seconds=seconds)))
            else:
                values.update(id=hold, seconds=seconds)
            found = connection.execute(budget_sql.reserve(len(claims), self._is_sqlite), values).all()
            if self._is_sqlite and not found:
                self._note_use(connection, [claim.key for claim in claims])
                return Verdict(None, self._sums(connection, [claim.key for claim in claims]))
            sums = {(row.scope, row.period): (_amount(row.spent), _amount(row.held)) for row in found}
            return Verdict(hold if found[0].is_granted else None, sums)

        return self._run(send)

    def _note_use(self, connection: sa.Connection, keys: Sequence[Key]) -> None:
        """Keep a budget that refuses calls from being forgotten; PostgreSQL does so as it refuses."""
        now = datetime.now(timezone.utc)
        is_old = BUDGETS.c.used_at < now - timedelta(days=1)
        connection.execute(sa.update(BUDGETS).where(_among(BUDGETS.c, keys, ()), is_old).values(used_at=now))

    def settle(self, hold: Optional[UUID], spent: Mapping[Key, Decimal], *, is_again: bool = False) -> None:
        """End a hold, and count what was spent of each budget.

        ``is_again``: it was sent before over a connection that broke, so that it may be done already. Then
        the hold is gone.
        """
        may_be_done = is_again and hold is not None
        hold = hold or uuid4()

        def send(connection: sa.Connection, is_again: bool) -> None:
            values: Dict[str, Any] = {
                "id": hold.hex if self._is_sqlite else hold,
                "again": is_again or may_be_done,
            }
            for index, ((scope, period), cost) in enumerate(sorted(spent.items())):
                values.update({f"s{index}": scope, f"p{index}": period, f"m{index}": self._money(cost)})
            if self._is_sqlite:
                values["now"] = _text(datetime.now(timezone.utc))
            connection.execute(budget_sql.settle(len(spent), self._is_sqlite), values)

        self._run(send)

    def sums(
        self, keys: Sequence[Key], prefixes: Sequence[Key] = ()
    ) -> Mapping[Key, Tuple[Decimal, Decimal]]:
        """What is spent and held of budgets, and of all whose scope begins so."""
        return self._run(lambda connection, is_again: self._sums(connection, keys, prefixes))

    def _sums(
        self, connection: sa.Connection, keys: Sequence[Key], prefixes: Sequence[Key] = ()
    ) -> Mapping[Key, Tuple[Decimal, Decimal]]:
        now = (
            sa.literal(datetime.now(timezone.utc), HOLDS.c.expires_at.type)
            if self._is_sqlite
            else sa.func.now()
        )
        budgets = sa.select(BUDGETS.c.scope, BUDGETS.c.period, BUDGETS.c.spent).where(
            _among(BUDGETS.c, keys, prefixes)
        )
        holds = sa.select(HOLDS.c.scope, HOLDS.c.period, HOLDS.c.amount).where(
            _among(HOLDS.c, keys, prefixes), HOLDS.c.expires_at > now
        )
        sums = dict.fromkeys(keys, (ZERO, ZERO))
        for scope, period, spent in connection.execute(budgets):
            sums[scope, period] = (spent, ZERO)
        for scope, period, amount in connection.execute(holds):
            spent, held = sums.get((scope, period), (ZERO, ZERO))
            sums[scope, period] = (spent, add_money(held, amount))
        return sums

    def close(self) -> None:
        """Close the connection; the next statement opens another one."""
        self._drop()
        self._engine.dispose()

    def renew_after_fork(self) -> None:
        """Leave the parent's connection to the parent: it must not even be closed here."""
        _of_parents.append((self._engine, self._connection))
        self._begin()

    def _run(self, send: Callable[[sa.Connection, bool], Result]) -> Result:
        """Send a statement, again where another one got in its way or an idle connection was closed."""
        is_again = False
        for left in reversed(range(_TRIES)):
            try:
                connection = self._connected()
                result = send(connection, is_again)
                connection.commit()
                self._is_prepared = True
                return result
            except DBAPIError as error:
                is_again |= error.connection_invalidated
                self._drop()
                if not self._is_prepared:  # there may be no tables yet
                    prepare(self._engine)
                    self._is_prepared = True
                elif not left or not _may_repeat(error):
                    raise
        raise AssertionError("the last try returns or raises")

    def _connected(self) -> sa.Connection:
        if self._connection is None:
            # A statement is a transaction of its own: nothing to begin, and a row is locked no longer.
            options: Dict[str, Any] = {BEGIN: None, "isolation_level": "AUTOCOMMIT"}
            self._connection = self._engine.connect().execution_options(**options)
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def _claimed(self, claims: Sequence[Claim]) -> Dict[str, Any]:
        values: Dict[str, Any] = {}
        for index, claim in enumerate(claims):
            values.update(
                {f"s{index}": claim.scope, f"p{index}": claim.period, f"m{index}": self._money(claim.limit)}
            )
        return values

    def _money(self, amount: Decimal) -> Any:
        return format(amount, "f") if self._is_sqlite else amount


def _among(columns: Any, keys: Sequence[Key], prefixes: Sequence[Key]) -> sa.ColumnElement[bool]:
    """The condition on a budget's row."""
    conditions = [sa.and_(columns.scope == scope, columns.period == period) for scope, period in keys]
    conditions += [
        sa.and_(columns.scope.startswith(scope, autoescape=True), columns.period == period)
        for scope, period in prefixes
    ]
    return sa.or_(sa.false(), *conditions)


def _may_repeat(error: DBAPIError) -> bool:
    """Whether the same statement may be carried out the next time."""
    state = getattr(error.orig, "sqlstate", None)
    # Two programs that begin the same period at once: one inserts its row, for the other it is there then.
    return error.connection_invalidated or isinstance(error, IntegrityError) or state in _IN_THE_WAY


def _amount(value: Any) -> Decimal:
    return ZERO if value is None else Decimal(value)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise ConfigurationError(
            f"Budgets in SQLite need its version 3.35, and this Python has {sqlite3.sqlite_version}. Use "
            "PostgreSQL, or a newer Python."
        )
