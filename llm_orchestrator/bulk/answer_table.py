"""The table of a journal in a database: answers, and who asks for which rows until when.

A row of the table begins as a claim, which one statement makes or refuses, and becomes an answer. Claims end
by the database's clock, so that those of a worker that died are free again.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Set, Union
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from llm_orchestrator.bulk.journal import Kept, make_private
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.types import LLMResponse
from llm_orchestrator.usage.database.carrier import reason_of
from llm_orchestrator.usage.database.engine import BEGIN, Use, make_engine, shown_url
from llm_orchestrator.usage.database.schema import Moment, Money, Now
from llm_orchestrator.usage.database.setup import lock_out_others

__all__ = ["ANSWERS", "LEASE", "AnswerTable", "Claim", "Found", "answer_of"]

#: Seconds until a claim ends that is not renewed.
LEASE = 60

#: One row for each answer, or for each row that is being asked for: its ``content`` is NULL, and ``claim``
#: and ``expires_at`` say who asks, and how long nobody else may.
ANSWERS = sa.Table(
    "llm_answer",
    sa.MetaData(),
    sa.Column("id", sa.Uuid, primary_key=True),  # of key and fingerprint: an index takes no long texts
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    sa.Column("content", sa.Text),
    sa.Column("is_parsed", sa.Boolean),
    sa.Column("cost", Money),
    sa.Column("provider", sa.Text),
    sa.Column("model", sa.Text),
    sa.Column("prompt_tokens", sa.BigInteger),
    sa.Column("completion_tokens", sa.BigInteger),
    sa.Column("finish_reason", sa.Text),
    sa.Column("request_id", sa.Text),
    sa.Column("answered_at", Moment),
    sa.Column("claim", sa.Uuid),
    sa.Column("expires_at", Moment),
)
_IS_ANSWERED = ANSWERS.c.content.is_not(None)
_IS_OPEN = ANSWERS.c.content.is_(None)
_SHOWN = [column for column in ANSWERS.columns if column.name not in ("id", "claim", "expires_at")]
_USE = Use("The URL of the journal", "journal")
#: Rows of one statement; more would be too many parameters for SQLite.
_MOST = 500
#: Answers that are read from the server at a time.
_PAGE = 1000


class Claim(NamedTuple):
    """One worker's wish to ask for a row; ``claim`` is its own, so that claiming twice is once."""

    id: UUID
    key: str
    fingerprint: bytes
    claim: UUID

    @classmethod
    def to(cls, key: str, fingerprint: bytes) -> Claim:
        """A new claim to a row."""
        return cls(_id_of(key, fingerprint), _storable(key), fingerprint, uuid4())


#: What is known of a row: its answer, or whether somebody asks for it.
Found = Union[Kept, bool]


class AnswerTable:
    """The table in one database. Methods that take a list may be tried again after a failure."""

    def __init__(self, url: str) -> None:
        self._engine = make_engine(url, use=_USE)
        self.name = shown_url(self._engine)
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        self._is_ready = False
        insert = sqlite.insert if self._is_sqlite else postgresql.insert
        self._claim, self._keep = _claim_with(insert(ANSWERS), self._later()), _keep_with(insert(ANSWERS))
        self._renew = _own(sa.update(ANSWERS)).values(expires_at=self._later())
        self._release = _own(sa.delete(ANSWERS)).where(_IS_OPEN)

    def _later(self) -> sa.ColumnElement[Any]:
        """When a lease ends that begins now, by the database's clock."""
        return sa.literal_column(
            f"strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now', '+{LEASE} seconds')"
            if self._is_sqlite
            else f"now() + interval '{LEASE} seconds'"
        )

    # ---------------------------------------------------------------- whose table it is

    def prepare(self, *, must_exist: bool = False) -> None:
        """See once that the table is there and ours, or make it; safe for many processes at once."""
        if self._is_ready:
            return
        if self._is_sqlite and not must_exist:
            make_private(str(self._engine.url.database))
        if not self.exists():
            if must_exist:
                raise ConfigurationError(f"There is no journal in {self.name}. Check the URL.")
            with self._writing() as connection:
                lock_out_others(connection)
                ANSWERS.metadata.create_all(connection)
        with self._engine.connect() as connection:
            found = {column["name"] for column in sa.inspect(connection).get_columns(ANSWERS.name)}
        missing = [column.name for column in ANSWERS.columns if column.name not in found]
        if missing:
            raise ConfigurationError(
                f"The table {ANSWERS.name} in {self.name} lacks the columns {', '.join(missing)}: it is of "
                "another program. Use another database, or another schema by ?options=-csearch_path=NAME."
            )
        self._is_ready = True

    def exists(self) -> bool:
        """Whether there is a table of this name."""
        with self._engine.connect() as connection:
            return sa.inspect(connection).has_table(ANSWERS.name)

    def has_answers(self) -> bool:
        """Whether there is any answer; makes nothing."""
        if not self.exists():
            return False
        with self._engine.connect() as connection:
            return (
                connection.execute(sa.select(ANSWERS.c.id).where(_IS_ANSWERED).limit(1)).first() is not None
            )

    def unusable(self, error: Exception) -> ConfigurationError:
        """What is said of an error of the database, without the URL's secrets."""
        if isinstance(error, ConfigurationError):
            return error
        return ConfigurationError(
            f"The journal in {self.name} cannot be used: {reason_of(error)} "
            "Start the same again when the database can be used, or name another journal."
        )

    def may_recover(self, error: Exception) -> bool:
        """Whether the same may go well in a moment: a server that starts again, or a deadlock."""
        state = str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")
        is_passing = isinstance(error, (sa.exc.OperationalError, sa.exc.InterfaceError))
        return is_passing and not self._is_sqlite and not state.startswith(("53100", "54"))

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _writing(self) -> Any:
        return self._engine.execution_options(**{BEGIN: "IMMEDIATE"}).begin()

    # ---------------------------------------------------------------- for a run; many rows at once

    def find(self, ids: Sequence[UUID]) -> List[Found]:
        """Look rows up; an answer, or whether somebody asks for it now."""
        is_held = sa.func.coalesce(ANSWERS.c.expires_at > Now(), sa.false()).label("is_held")
        query = sa.select(ANSWERS.c.id, ANSWERS.c.content, ANSWERS.c.is_parsed, ANSWERS.c.cost, is_held)
        found: Dict[UUID, Found] = {}
        with self._engine.connect() as connection:
            for some in _portions(ids):
                for row in connection.execute(query.where(ANSWERS.c.id.in_(some))):
                    is_open = row.content is None
                    found[row.id] = (
                        bool(row.is_held) if is_open else Kept(row.content, bool(row.is_parsed), row.cost)
                    )
        return [found.get(each, False) for each in ids]

    def claim(self, claims: Sequence[Claim]) -> List[bool]:
        """Claim rows; False for one that another has, or that is answered."""
        wanted: Dict[UUID, Claim] = {}
        for claim in claims:
            wanted.setdefault(claim.id, claim)  # one statement cannot change a row twice
        granted: Set[UUID] = set()
        with self._writing() as connection:
            for some in _portions(_sorted(wanted.values())):
                granted |= set(connection.execute(self._claim, some).scalars())
        return [claim.id in granted and wanted[claim.id] is claim for claim in claims]

    def keep(self, answers: Sequence[Dict[str, Any]]) -> List[None]:
        """Keep answers; the first to a row stays."""
        with self._writing() as connection:
            connection.execute(self._keep, sorted(answers, key=lambda answer: str(answer["id"])))
        return [None] * len(answers)

    def release(self, claims: Sequence[Claim]) -> List[None]:
        """Give claims back whose rows were not answered."""
        return self._change(self._release, claims)

    def renew(self, claims: Sequence[Claim]) -> List[None]:
        """Begin the leases of claims anew."""
        return self._change(self._renew, claims)

    def _change(self, statement: Any, claims: Sequence[Claim]) -> List[None]:
        if claims:
            own = [{"own_id": claim["id"], "own_claim": claim["claim"]} for claim in _sorted(claims)]
            with self._writing() as connection:
                connection.execute(statement, own)
        return [None] * len(claims)

    # ---------------------------------------------------------------- for the command line

    def sums(self) -> Dict[str, Any]:
        """How many answers there are, of how many rows and prompts, from when to when, and their cost."""
        columns, count = ANSWERS.c, sa.func.count
        query = sa.select(
            count(),
            count(columns.key.distinct()),
            count(columns.fingerprint.distinct()),
            sa.func.min(columns.answered_at),
            sa.func.max(columns.answered_at),
            count() - count(columns.cost),
        ).where(_IS_ANSWERED)
        with self._engine.connect() as connection:
            answers, rows, prints, first, last, unpriced = connection.execute(query).one()
            costs = connection.execute(sa.select(columns.cost).where(columns.cost.is_not(None)))
            return {
                "answers": answers,
                "rows": rows,
                "prompts": prints,
                "first": _shown(first),
                "last": _shown(last),
                "cost": sum(costs.scalars(), Decimal(0)),
                "unpriced": unpriced,
            }

    def answers(self) -> Iterator[Dict[str, Any]]:
        """All answers, in the order in which they came."""
        query = sa.select(*_SHOWN).where(_IS_ANSWERED).order_by(ANSWERS.c.answered_at, ANSWERS.c.id)
        with self._engine.connect() as connection:
            for row in connection.execution_options(yield_per=_PAGE).execute(query).mappings():
                cost = None if row["cost"] is None else format(row["cost"], "f")
                yield {
                    **row,
                    "fingerprint": row["fingerprint"].hex(),
                    "is_parsed": int(row["is_parsed"]),
                    "cost": cost,
                    "answered_at": _shown(row["answered_at"]),
                }

    def forget(self, key: Optional[str] = None) -> int:
        """Remove the answers of one key, or all of them; returns how many."""
        chosen = sa.delete(ANSWERS).where(_IS_ANSWERED)
        if key is not None:
            chosen = chosen.where(ANSWERS.c.key == _storable(key))
        with self._writing() as connection:
            removed = int(connection.execute(chosen).rowcount)
        if self._is_sqlite:
            with self._engine.connect().execution_options(**{BEGIN: None}) as connection:
                connection.exec_driver_sql("VACUUM")  # or the texts would stay in the file
        return removed


def answer_of(key: str, fingerprint: bytes, response: LLMResponse) -> Dict[str, Any]:
    """What is kept of an answer."""
    usage = response.usage
    return {
        "id": _id_of(key, fingerprint),
        "key": _storable(key),
        "fingerprint": fingerprint,
        "content": _storable(response.content),
        "is_parsed": response.parsed is not None,
        "cost": response.cost,
        "provider": response.provider,
        "model": response.model and _storable(response.model),
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "finish_reason": response.finish_reason.value,
        "request_id": response.request_id and _storable(response.request_id),
    }


def _claim_with(insert: Any, later: Any) -> Any:
    """Claim a row that nobody has, or whose lease is over."""
    insert = insert.values(expires_at=later)
    wanted = insert.excluded
    is_free = sa.or_(ANSWERS.c.expires_at <= Now(), ANSWERS.c.claim == wanted.claim)
    return insert.on_conflict_do_update(
        index_elements=["id"],
        set_={"claim": wanted.claim, "expires_at": wanted.expires_at},
        where=sa.and_(_IS_OPEN, is_free),
    ).returning(ANSWERS.c.id)


def _keep_with(insert: Any) -> Any:
    insert = insert.values(answered_at=Now())
    changed = {column.name: insert.excluded[column.name] for column in _SHOWN}
    return insert.on_conflict_do_update(
        index_elements=["id"], set_={**changed, "claim": None, "expires_at": None}, where=_IS_OPEN
    )


def _own(statement: Any) -> Any:
    """A change of a row that is still claimed by who says so."""
    return statement.where(
        ANSWERS.c.id == sa.bindparam("own_id"), ANSWERS.c.claim == sa.bindparam("own_claim")
    )


def _id_of(key: str, fingerprint: bytes) -> UUID:
    text = key.encode("utf-8", "surrogatepass")
    return UUID(bytes=blake2b(fingerprint + text, digest_size=16).digest())


def _storable(text: str) -> str:
    """The text without what PostgreSQL takes in none: NUL, and halves of characters."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _sorted(claims: Iterable[Claim]) -> List[Dict[str, Any]]:
    """In one order for all processes, which would wait for each other crosswise otherwise."""
    return [claim._asdict() for claim in sorted(claims, key=lambda claim: claim.id)]


def _portions(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _MOST):
        yield items[start : start + _MOST]


def _shown(moment: Any) -> Optional[str]:
    return None if moment is None else str(moment.isoformat(timespec="seconds"))
