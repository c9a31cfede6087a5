"""Which rows of a ledger are meant: those of a period, a provider, a model, some tags, or of one session."""

from __future__ import annotations

import copy
from datetime import date, datetime
from pathlib import Path
from typing import Iterable, Iterator, Mapping, Optional, Sequence, Tuple, Union

from llm_orchestrator.usage.columns import REPORT_COLUMNS
from llm_orchestrator.usage.groups import storable, tags_of
from llm_orchestrator.usage.ledger_csv import Row
from llm_orchestrator.usage.record import as_utc, parse_timestamp

__all__ = ["ALL", "Selection", "exported", "selected"]

_TIME, _PROVIDER, _MODEL, _SESSION, _TAGS = map(
    REPORT_COLUMNS.index, ("timestamp", "provider", "model", "session_id", "tags")
)


class Selection:
    """The rows that all conditions hold for; without conditions all rows."""

    def __init__(
        self,
        start_date: Optional[date] = None,
        end_date: Optional[date] = None,
        provider: Optional[str] = None,
        model: Optional[str] = None,
        tags: Optional[Mapping[str, str]] = None,
        *,
        session: Optional[str] = None,
    ) -> None:
        self.start, self.end = as_utc(start_date), as_utc(end_date, end_of_day=True)
        self.provider, self.model = _name("provider", provider), _name("model", model)
        self.session = _name("session", session)
        self.tags = _texts(tags)
        self.as_of: Optional[datetime] = None  # only what a database had by then
        names = (provider, model, session)
        self.is_all = not (self.start or self.end or self.tags) and all(name is None for name in names)

    def has(self, cells: Sequence[str]) -> bool:
        """Whether it has a row, of which ``cells`` are at least those of ``REPORT_COLUMNS``."""
        return (
            (self.model is None or cells[_MODEL] == self.model)
            and (self.provider is None or cells[_PROVIDER] == self.provider)
            and (self.session is None or cells[_SESSION] == self.session)
            and (not self.tags or self._has_tags(cells[_TAGS]))
            and self._has_time(cells[_TIME])
        )

    def _has_tags(self, text: str) -> bool:
        found = tags_of(text)
        return all(found.get(name, "") == value for name, value in self.tags.items())

    def _has_time(self, timestamp: str) -> bool:
        if self.start is None and self.end is None:
            return True
        moment = parse_timestamp(timestamp)
        return (self.start is None or self.start <= moment) and (self.end is None or moment <= self.end)

    def pinned(self, moment: datetime) -> Selection:
        """The same rows, as far as a database had them at a moment of its clock."""
        pinned = copy.copy(self)
        pinned.as_of = moment
        return pinned

    def rows(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Those of the rows that it has."""
        has = self.has
        return (row for row in rows if self.is_all or has([row.get(name, "") for name in REPORT_COLUMNS]))


def _name(what: str, name: Optional[str]) -> Optional[str]:
    if name is not None and not isinstance(name, str):
        raise TypeError(f"{name!r} is not the name of a {what}. Use a str, or None for all.")
    return name


def _texts(tags: Optional[Mapping[str, str]]) -> Mapping[str, str]:
    if tags is not None and not isinstance(tags, Mapping):
        raise TypeError(f"{tags!r} are not tags. Use a dict such as {{'customer': 'acme'}}.")
    return {storable(str(name)): storable(str(value)) for name, value in (tags or {}).items()}


#: Every row.
ALL = Selection()


def selected(
    start_date: Optional[date] = None,
    end_date: Optional[date] = None,
    *,
    provider: Optional[str] = None,
    model: Optional[str] = None,
    tags: Optional[Mapping[str, str]] = None,
) -> Selection:
    """The rows that a reader asks for; ``CostTracker.get_usage_report`` documents the arguments."""
    return Selection(start_date, end_date, provider, model, tags)


def exported(
    path: Union[str, Path],
    *,
    start_date: Optional[date] = None,
    end_date: Optional[date] = None,
    provider: Optional[str] = None,
    model: Optional[str] = None,
    tags: Optional[Mapping[str, str]] = None,
) -> Tuple[Union[str, Path], Selection]:
    """The same, to be written to a file."""
    return path, Selection(start_date, end_date, provider, model, tags)
