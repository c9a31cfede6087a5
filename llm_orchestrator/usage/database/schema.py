"""The tables, the same in PostgreSQL and SQLite: rows of usage, budgets, and what is held of them.

Rows of usage are only inserted. Money is exact: NUMERIC, or text where SQLite has no decimals. Later versions
add columns and take none away, so that programs of two versions can share a database.
"""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, Optional

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import expression

from llm_orchestrator.usage.columns import COLUMNS, DETAILS, LISTS

__all__ = ["BUDGETS", "DETAIL", "HOLDS", "METADATA", "TYPED", "USAGE", "Moment", "Money", "Now"]


class Money(sa.TypeDecorator[Decimal]):
    """An exact amount: NUMERIC, which keeps every digit, and text in SQLite."""

    impl = sa.Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        kind = sa.Text() if dialect.name == "sqlite" else sa.Numeric(asdecimal=True)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Optional[Decimal], dialect: sa.Dialect) -> Any:
        return format(value, "f") if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Optional[Decimal]:
        return None if value is None else Decimal(value)


class Moment(sa.TypeDecorator[datetime]):
    """A moment in UTC: timestamptz, and text of one length in SQLite, which sorts as the moments do."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        kind = sa.Text() if dialect.name == "sqlite" else sa.DateTime(timezone=True)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Optional[datetime], dialect: sa.Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(timezone.utc).isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Optional[datetime]:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return None if moment is None else moment.astimezone(timezone.utc)


class Now(expression.FunctionElement[datetime]):
    """The moment by the database's own clock."""

    type = Moment()
    inherit_cache = True


@compiles(Now)
def _now(element: Now, compiler: Any, **options: Any) -> str:
    return "now()"


@compiles(Now, "sqlite")
def _now_in_sqlite(element: Now, compiler: Any, **options: Any) -> str:
    return "(strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now'))"


JSONB = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")

METADATA = sa.MetaData()

#: One row for each request that was sent. ``id`` is made by who wrote it, so that writing it twice is once.
USAGE = sa.Table(
    "llm_usage",
    METADATA,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("timestamp", Moment, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("prompt_tokens", sa.BigInteger),
    sa.Column("completion_tokens", sa.BigInteger),
    sa.Column("total_tokens", sa.BigInteger),
    sa.Column("cost", Money),
    sa.Column("session_id", sa.Text, nullable=False),
    sa.Column("call_id", sa.Text),
    sa.Column("attempt", sa.BigInteger),
    sa.Column("final", sa.Boolean),
    sa.Column("usage_status", sa.Text),
    sa.Column("price_status", sa.Text),
    sa.Column("estimated", sa.Boolean),
    sa.Column("estimated_cost", Money),
    sa.Column("tags", JSONB),
    sa.Column("status", sa.Text),
    sa.Column("error_type", sa.Text),
    sa.Column("status_code", sa.BigInteger),
    sa.Column("finish_reason", sa.Text),
    sa.Column("request_id", sa.Text),
    sa.Column("requested_model", sa.Text),
    sa.Column("cached_tokens", sa.BigInteger),
    sa.Column("cache_write_tokens", sa.BigInteger),
    sa.Column("reasoning_tokens", sa.BigInteger),
    sa.Column("streamed", sa.Boolean),
    sa.Column("latency", sa.Float(53)),
    sa.Column("time_to_first_token", sa.Float(53)),
    sa.Column("started_at", Moment),
    sa.Column("detail", JSONB),
    sa.Column("arrived_at", Moment, nullable=False, server_default=Now()),  # by the database's clock
    sa.Index("llm_usage_time", "timestamp", "id"),
    sa.Index("llm_usage_session", "session_id", "timestamp"),
)
#: The columns of the ledger that have a column of their own here.
TYPED = tuple(name for name in COLUMNS if name in USAGE.columns)
#: Those that stand in ``detail``, as the text that a CSV ledger has: only an audit reads them.
DETAIL = tuple(name for name in COLUMNS if name not in USAGE.columns)
assert {*DETAILS, *LISTS, "usage_raw", "price_facts"} <= set(DETAIL), "prices are for audits"

#: What a budget has spent and holds in one period. ``scope`` is which budget, such as ``day`` or
#: ``month tag:customer=acme``; ``period`` is which day, month or session.
BUDGETS = sa.Table(
    "llm_budget",
    METADATA,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("period", sa.Text, primary_key=True),
    sa.Column("spent", Money, nullable=False),
    sa.Column("held", Money, nullable=False),  # in SQLite always 0: the holds themselves are added up
    sa.Column("used_at", Moment, nullable=False, server_default=Now()),  # as a call asked or settled last
)

#: What a call under way holds of each of its budgets; one that expired is held by nobody any more.
HOLDS = sa.Table(
    "llm_hold",
    METADATA,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("period", sa.Text, primary_key=True),
    sa.Column("id", sa.Uuid, primary_key=True),  # last, so that all of one budget stand together
    sa.Column("amount", Money, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
)
