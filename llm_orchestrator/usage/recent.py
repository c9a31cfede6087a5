"""The records of a program without a ledger file: the last ones row by row, all earlier ones as sums."""

from __future__ import annotations

import logging
import threading
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Deque, Dict, Iterator, List, Optional, Set, Tuple

from llm_orchestrator.usage.columns import REPORT_COLUMNS
from llm_orchestrator.usage.record import UsageRecord

if TYPE_CHECKING:
    from llm_orchestrator.usage.tally import Tally

__all__ = ["MOST_RECORDS", "MOST_SESSIONS", "OTHER_SESSIONS", "RecentRecords"]

logger = logging.getLogger(__name__)

#: So many records are kept, of 2 kB each.
MOST_RECORDS = 10_000
#: So many sessions have sums of their own.
MOST_SESSIONS = 10_000
#: The name under which reports show the sums of all others.
OTHER_SESSIONS = "(other sessions)"


class RecentRecords:
    """Keeps records in memory, for many threads at once; memory does not grow without end."""

    def __init__(self) -> None:
        self._records: Deque[UsageRecord] = deque()
        self._sums: Optional[Tally] = None
        self._sessions: Set[str] = set()
        self._forgotten_until: Optional[datetime] = None
        self._lock = threading.Lock()

    def add(self, record: UsageRecord) -> None:
        """Keep a record; the oldest becomes a part of the sums where there are too many."""
        self._records.append(record)
        if len(self._records) > MOST_RECORDS:
            with self._lock:
                self._forget(self._records.popleft())

    def _forget(self, record: UsageRecord) -> None:
        if self._sums is None:
            from llm_orchestrator.usage.tally import Tally

            self._sums = Tally()
        row = record.to_row()
        if len(self._sessions) >= MOST_SESSIONS and record.session_id not in self._sessions:
            row["session_id"] = OTHER_SESSIONS
        self._sessions.add(row["session_id"])
        self._sums.add([row[name] for name in REPORT_COLUMNS])
        self._forgotten_until = max(self._forgotten_until or record.timestamp, record.timestamp)

    def rows(self, start: Optional[datetime]) -> Iterator[Dict[str, str]]:
        """The records as rows; where earlier ones would belong to them, that is said."""
        self._say_what_lacks(start)
        return (record.to_row() for record in list(self._records))

    def _say_what_lacks(self, start: Optional[datetime]) -> None:
        until = self._forgotten_until
        if self._sums is not None and until is not None and (start is None or start <= until):
            logger.warning(
                "Without a ledger file only the last %d records are kept row by row; %d earlier ones are in "
                "the sums of a whole report alone. Set log_path to keep all.",
                MOST_RECORDS,
                self._sums.rows,
            )

    def whole(self) -> Tuple[Optional[Tally], List[UsageRecord]]:
        """The sums of what is not kept, for the caller to add to, and what is kept."""
        with self._lock:
            return (self._sums.copy() if self._sums is not None else None), list(self._records)
