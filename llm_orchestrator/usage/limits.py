"""Which budgets there are, and which of them apply to a call.

A budget limits what is spent in one period, by all calls or by those with one value of a tag. Where its sums
are kept is no matter here: ``usage.budget`` checks them in a ledger, ``usage.database.budget`` reserves.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Iterable, Iterator, List, Mapping, NamedTuple, Optional, Tuple

from llm_orchestrator.exceptions import BudgetExceededError, ConfigurationError
from llm_orchestrator.usage.groups import storable
from llm_orchestrator.usage.ledger_csv import as_stored
from llm_orchestrator.usage.periods import LAST_FIRST_DAY, Calendar, zone_of
from llm_orchestrator.utils.money import ZERO, add_money, format_cost, subtract_money
from llm_orchestrator.utils.values import Value

__all__ = ["KINDS", "BudgetLimits", "BudgetStatus", "Claim", "scope_of"]

#: What a budget can be for; a month or a day of the calendar, or a session.
KINDS = ("session", "day", "month")
#: Characters of a session, or of a tag's value, from which on a hash tells two of them apart.
_LONGEST = 200


@dataclass(frozen=True, eq=False, repr=False)
class BudgetStatus(Value):
    """What is left of one budget.

    Attributes:
        budget: Which one: ``session``, ``day``, ``month``, or ``month tag:customer=acme``.
        period: The session's id, the day (``2026-11-29``), or the month (``2026-11``).
        limit: US dollars.
        spent: US dollars; None when the database could not be asked.
        held: US dollars that calls under way have reserved.
        left: US dollars, not below 0; None when ``spent`` is not known.
        until: When the period ends, in the budget's time zone; None for a session.
    """

    budget: str
    period: str
    limit: Decimal
    spent: Optional[Decimal]
    held: Decimal
    until: Optional[datetime]

    @property
    def left(self) -> Optional[Decimal]:
        """US dollars that may still be spent; see ``Attributes``."""
        if self.spent is None:
            return None
        return max(subtract_money(self.limit, add_money(self.spent, self.held)), ZERO)


class Claim(NamedTuple):
    """One budget that applies to a call: whose period it is, how much may be spent in it, and until when."""

    scope: str
    period: str
    limit: Decimal
    until: Optional[datetime]

    @property
    def key(self) -> Tuple[str, str]:
        """What its sums are kept under."""
        return self.scope, self.period

    @property
    def setting(self) -> str:
        """The key of the configuration that says how much."""
        kind, _, tag = self.scope.partition(" tag:")
        name = tag.partition("=")[0]
        return f"cost_tracking.budget.tags.{name}.{kind}" if tag else f"cost_tracking.budget.{kind}"

    def found_in(self, keys: Iterable[Tuple[str, str]]) -> List[Claim]:
        """Those of its period whose scope begins as its own, for a claim of ``tag_claims``."""
        scopes = sorted(scope for scope, period in keys if period == self.period)
        return [self._replace(scope=scope) for scope in scopes if scope.startswith(self.scope)]

    def status(self, spent: Optional[Decimal], held: Decimal = ZERO) -> BudgetStatus:
        """What is left of it."""
        return BudgetStatus(self.scope, self.period, self.limit, spent, held, self.until)

    def fits(self, spent: Decimal, held: Decimal, amount: Decimal) -> bool:
        """Whether an amount may still be spent; with a budget that is used up, nothing may."""
        used = add_money(spent, held)
        return used < self.limit and add_money(used, amount) <= self.limit

    def exceeded(self, spent: Decimal, held: Decimal = ZERO, amount: Decimal = ZERO) -> BudgetExceededError:
        """The error of a call for which it has no room."""
        kind, _, tag = self.scope.partition(" tag:")
        of_tag = f" of {tag}" if tag else ""
        taken = f"is spent: {format_cost(spent)} of {format_cost(self.limit)}"
        if spent < self.limit:
            taken = (
                f"has no room for this call: {format_cost(spent)} of {format_cost(self.limit)} is spent, "
                f"calls under way hold {format_cost(held)}, and this one may cost {format_cost(amount)}"
            )
        wait = f" or wait until {self.until.isoformat()}" if self.until else ""
        return BudgetExceededError(
            f"The budget for one {kind}{of_tag} {taken} ({kind} {self.period}). Nothing more was sent. "
            f"Raise {self.setting}{wait} to go on.",
            budget=self.scope,
            period=self.period,
            limit=self.limit,
            spent=spent,
            held=held,
            needed=amount,
            until=self.until,
        )


class BudgetLimits:
    """The budgets of a tracker.

    Args:
        session: US dollars for one session; None: no limit.
        day: US dollars for one day.
        month: US dollars for one month.
        tags: The same for each value of a tag: ``{"customer": {"month": 50}}``.
        timezone: Where days and months begin and end, such as ``Europe/Berlin``; None: local time for a
            ledger file, UTC for a database, which machines in several zones may share.
        month_starts_on: The day on which months begin, from 1 to 28.
        reserve: Whether a call reserves what it may cost, where the ledger is a database.
        on_unreachable: ``allow`` or ``refuse``: what becomes of a call while the database cannot be asked.

    Raises:
        ConfigurationError: The time zone is not known, or another argument has no sensible value.
    """

    def __init__(
        self,
        *,
        session: Optional[Decimal] = None,
        day: Optional[Decimal] = None,
        month: Optional[Decimal] = None,
        tags: Optional[Mapping[str, Mapping[str, Optional[Decimal]]]] = None,
        timezone: Optional[str] = None,
        month_starts_on: int = 1,
        reserve: bool = True,
        on_unreachable: str = "allow",
    ) -> None:
        if on_unreachable not in ("allow", "refuse") or not 1 <= month_starts_on <= LAST_FIRST_DAY:
            raise ConfigurationError(
                "A budget's on_unreachable is allow or refuse, and its month_starts_on a day from 1 to "
                f"{LAST_FIRST_DAY}. Correct the one that is not."
            )
        self._limits = _amounts({"session": session, "day": day, "month": month})
        self._tags = {name: _amounts(limits) for name, limits in (tags or {}).items()}
        self._zone = zone_of(timezone) if timezone else None
        self._first = month_starts_on
        self.reserve = reserve
        self.refuses_unreachable = on_unreachable == "refuse"
        self.calendar = Calendar(self._zone, month_starts_on)

    def __bool__(self) -> bool:
        return bool(self._limits) or any(self._tags.values())

    def in_utc(self) -> BudgetLimits:
        """The same with days in UTC, where no time zone was set."""
        if self._zone is not None:
            return self
        shared = copy.copy(self)
        shared._zone, shared.calendar = timezone.utc, Calendar(timezone.utc, self._first)
        return shared

    def claims(self, session_id: str, tags: Mapping[str, str], at: Optional[datetime] = None) -> List[Claim]:
        """The budgets that apply to a call, in the order in which all programs take them.

        ``at`` is by the clock of this machine, which the rows of the ledger have their time from, too: so
        the sum of a day is that of its rows, also where the clocks of two machines differ.
        """
        at = at or datetime.now(timezone.utc)
        groups = [("", self._limits)]
        for name, limits in self._tags.items():
            if name in tags:
                groups.append((f"{name}={_bounded(storable(str(tags[name])))}", limits))
        found = [
            self._claim(kind, tag, limit, session_id, at)
            for tag, limits in groups
            for kind, limit in limits.items()
        ]
        return sorted(found, key=lambda claim: claim.key)

    def tag_claims(self, at: Optional[datetime] = None) -> Iterator[Claim]:
        """A claim for each day and month budget of a tag, whose scope ends before the value."""
        at = at or datetime.now(timezone.utc)
        for name, limits in self._tags.items():
            for kind, limit in limits.items():
                if kind != "session":
                    yield self._claim(kind, f"{name}=", limit, "", at)

    def _claim(self, kind: str, tag: str, limit: Decimal, session_id: str, at: datetime) -> Claim:
        scope = scope_of(kind, tag)
        if kind == "session":
            return Claim(scope, _bounded(as_stored(session_id)), limit, None)
        period = self.calendar.day(at) if kind == "day" else self.calendar.month(at)
        return Claim(scope, period.name, limit, period.until)

    def keys(self, timestamp: str, session_id: str, tags: Mapping[str, str]) -> Iterator[Tuple[str, str]]:
        """The scope and period of each budget that a row of the ledger counts for."""
        day, month = self.calendar.names(timestamp)
        names = {"session": _bounded(as_stored(session_id)), "day": day, "month": month}
        for kind in self._limits:
            yield scope_of(kind, ""), names[kind]
        for name, limits in self._tags.items():
            if name in tags:
                for kind in limits:
                    yield scope_of(kind, f"{name}={_bounded(storable(str(tags[name])))}"), names[kind]

    @property
    def uses_tags(self) -> bool:
        """Whether there is a budget for the values of a tag."""
        return bool(self._tags)


def scope_of(kind: str, tag: str) -> str:
    """Which budget it is, by its kind and ``name=value`` of a tag; the kind first, so that no two collide."""
    return f"{kind} tag:{tag}" if tag else kind


def _amounts(limits: Mapping[str, Optional[Decimal]]) -> Mapping[str, Decimal]:
    unknown = set(limits) - set(KINDS)
    if unknown:
        raise ConfigurationError(
            f"A budget has no {sorted(unknown)[0]!r}. Use session, day or month, each with US dollars."
        )
    return {kind: Decimal(str(limit)) for kind, limit in limits.items() if limit is not None}


def _bounded(text: str) -> str:
    """A name as a database indexes it: PostgreSQL refuses an entry of more than 2.7 kB."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}…{hashlib.sha256(text.encode()).hexdigest()}"
