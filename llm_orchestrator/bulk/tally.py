"""The sums of a run while it goes on."""

from __future__ import annotations

import logging
import time
from decimal import Decimal
from typing import Callable, Optional, Protocol

from llm_orchestrator.bulk.results import BulkProgress, BulkResult, BulkSummary
from llm_orchestrator.utils.money import add_money

__all__ = ["Counts", "Tally"]

logger = logging.getLogger(__name__)


class Counts(Protocol):
    """What counts the requests of a run."""

    requests: int
    refused: int


class Tally:
    """Counts the results of a run, and tells a function of the application about them."""

    def __init__(self, total: Optional[int], tell: Optional[Callable[[BulkProgress], None]]) -> None:
        self.gate: Optional[Counts] = None
        self.stopped: Optional[str] = None
        self.waiting = 0
        self._total = total
        self._tell = tell
        self._answered = self._failed = self._resumed = self._unpriced = 0
        self._cost = self._saved = Decimal(0)
        self._began: Optional[float] = None
        self._ended: Optional[float] = None

    def begin(self) -> None:
        """Note that the run begins."""
        self._began = time.monotonic()

    def end(self) -> None:
        """Note that the run has ended."""
        if self._ended is None:
            self._ended = time.monotonic()

    def add(self, result: BulkResult) -> None:
        """Count a result."""
        self._failed += result.error is not None
        self._answered += result.error is None
        if result.resumed:
            self._resumed += 1
            self._saved = add_money(self._saved, result.cost or Decimal(0))
        elif result.response is not None or result.vector is not None:
            self._unpriced += result.cost is None
            self._cost = add_money(self._cost, result.cost or Decimal(0))
        self.tell()

    def tell(self, note: Optional[str] = None) -> None:
        """Tell the function how far the run is, and what it waits for."""
        if self._tell is not None:
            try:
                self._tell(BulkProgress(self.summary(), self._total, note))
            except Exception:  # of the application's function, which no row may be lost by
                logger.exception("The function given as progress failed.")

    def summary(self) -> BulkSummary:
        """The sums so far."""
        began = self._began
        now = self._ended or time.monotonic()
        return BulkSummary(
            rows=self._answered + self._failed,
            answered=self._answered,
            failed=self._failed,
            resumed=self._resumed,
            requests=self.gate.requests if self.gate else 0,
            refused=self.gate.refused if self.gate else 0,
            cost=self._cost,
            unpriced=self._unpriced,
            saved=self._saved,
            seconds=0.0 if began is None else now - began,
            stopped=self.stopped,
            waiting=self.waiting,
        )
