"""What must hold for every call, and at the end of every simulation."""

from __future__ import annotations

import sys
from collections import defaultdict
from decimal import Decimal
from typing import Any, Dict, Iterable, Iterator, List, Sequence

from tools.simulation.answers import price_of, question_of
from tools.simulation.servers import Seen
from tools.simulation.traffic import Told

__all__ = ["broken_by_call", "broken_by_sums", "rows_of"]

#: The moment after the end of a limit in which a call may still end.
SLACK = 0.01
#: Statuses of a row that only a server that read the request can have given.
_ANSWERED = {200, 400, 401, 404, 429, 500, 503, 529}
#: Before Python 3.11 a cancellation cannot be told from a timer's at the same moment.
_KNOWS_CANCELLATIONS = sys.version_info >= (3, 11)


def rows_of(records: Iterable[Any]) -> Dict[str, List[Any]]:
    """The rows of the ledger, by the token of their call."""
    rows: Dict[str, List[Any]] = defaultdict(list)
    for record in records:
        rows[record.tags["token"]].append(record)
    return rows


def broken_by_call(told: Told, rows: Sequence[Any], seen: Seen) -> Iterator[str]:
    """What is wrong with one call."""
    if told.wrong:
        yield told.wrong
    yield from _text(told)
    yield from _rows(told, rows)
    yield from _requests(rows, seen)
    yield from _money(told, rows)
    yield from _time(told, rows, seen)


def broken_by_sums(records: Sequence[Any], session_cost: Decimal) -> Iterator[str]:
    """What is wrong with the money of all calls together."""
    spent = sum(
        (record.cost - (record.estimated_cost or 0) for record in records if record.cost is not None),
        Decimal(0),
    )
    if spent != session_cost:
        yield f"the session cost {session_cost}, its rows {spent}"


def _text(told: Told) -> Iterator[str]:
    question = question_of(told.token)
    if told.is_whole and told.text != question:
        yield f"the answer is {told.text!r}"
    if not question.startswith(told.text):
        yield f"the text {told.text!r} is not of this answer"
    if (told.request_id or "").startswith("req_") and told.request_id != f"req_{told.token}":
        yield f"the request id is {told.request_id}"


def _rows(told: Told, rows: Sequence[Any]) -> Iterator[str]:
    if [row.attempt for row in rows] != list(range(1, len(rows) + 1)):
        yield f"the rows are numbered {[row.attempt for row in rows]}"
    if rows and [row.final for row in rows] != [False] * (len(rows) - 1) + [True]:
        yield "not the last row alone is the final one"
    recorded = [row.error_type for row in rows]
    attempted = recorded if told.attempts is None else [step.error for step in told.attempts]
    if attempted != recorded:
        yield f"{attempted} were attempted, {recorded} recorded"
    if told.outcome in ("answer", "left", "dropped") and not rows:
        yield "there is no row"


def _requests(rows: Sequence[Any], seen: Seen) -> Iterator[str]:
    if seen.requests > len(rows):
        yield f"{seen.requests} requests arrived, {len(rows)} are recorded"
    answered = sum(row.status_code in _ANSWERED for row in rows)
    if answered > seen.requests:
        yield f"{answered} rows say that there was an answer, {seen.requests} requests arrived"


def _money(told: Told, rows: Sequence[Any]) -> Iterator[str]:
    if told.is_whole:
        price = price_of(told.token)
        if told.cost is None and rows and rows[-1].estimated:
            return  # the connection broke between the end of the answer and its usage
        if (told.cost, rows[-1].cost if rows else None) != (price, price):
            yield f"the answer cost {told.cost}, its row {rows and rows[-1].cost}, the right price is {price}"


def _time(told: Told, rows: Sequence[Any], seen: Seen) -> Iterator[str]:
    room = SLACK + told.worked
    total = told.arguments["total_timeout"]
    if total is not None and told.ended - told.began > total + room:
        yield f"it took {told.ended - told.began:.3f} s, total_timeout is {total}"
    if told.cancelled is not None and _KNOWS_CANCELLATIONS:
        if told.outcome != "cancelled":
            yield f"it was cancelled, and ended as {told.outcome}"
        if told.ended - told.cancelled > room:
            yield f"it ended {told.ended - told.cancelled:.3f} s after it was cancelled"
    yield from _silence(told, rows, seen, room)


def _silence(told: Told, rows: Sequence[Any], seen: Seen, room: float) -> Iterator[str]:
    """A call that ended must have ended soon after the last thing that happened to it.

    Getting a connection and getting the reply may each take as long as ``timeout``. A request is sent
    between the two, for as long as the server takes bytes of it.
    """
    if not rows or (rows[-1].status == "error" and told.outcome == "cancelled"):  # between two attempts
        return
    signs = [sign for sign in seen.signs if sign <= told.ended]
    since = min([rows[-1].latency, *(told.ended - sign for sign in signs)])
    if since > 2 * told.arguments["timeout"] + room:
        yield f"nothing came for {since:.3f} s, timeout is {told.arguments['timeout']}"
