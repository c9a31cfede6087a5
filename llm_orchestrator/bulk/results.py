"""What a run gives: a result for each row, and the sums of them all."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, List, Optional

from llm_orchestrator.exceptions import OrchestratorError
from llm_orchestrator.types import LLMResponse, Parsed_co
from llm_orchestrator.utils.money import format_cost, format_sum
from llm_orchestrator.utils.values import Value

__all__ = ["BulkEstimate", "BulkProgress", "BulkResult", "BulkSummary"]


@dataclass(frozen=True, eq=False, repr=False)
class BulkResult(Value, Generic[Parsed_co]):
    """What became of one row.

    Attributes:
        key: The row's key; its position where the run has no ``key``.
        index: The row's position, counted from 0.
        row: The row as it was read.
        response: The whole answer; None for a resumed row, and for one that failed without an answer. Where
            rows become vectors there is none.
        content: The text of the answer; None where there is none.
        parsed: The answer as a value of the type ``response_format``; None without one.
        cost: US dollars that the answer cost, in whichever run it was paid; None where that is unknown. A
            vector's is its share of what its request cost, by the length of the text.
        error: Why the row has no answer that can be used; None when it was answered.
        resumed: Whether the answer comes from the journal, so that this run did not pay for it.
        vector: The vector of the row, with ``embed=True``; None where there is none.
    """

    key: Any
    index: int
    row: Any
    response: Optional[LLMResponse[Parsed_co]] = None
    content: Optional[str] = None
    parsed: Optional[Parsed_co] = None
    cost: Optional[Decimal] = None
    error: Optional[OrchestratorError] = None
    resumed: bool = False
    vector: Optional[List[float]] = field(default=None, repr=False)


@dataclass(frozen=True, eq=False, repr=False)
class BulkSummary(Value):
    """The sums of a run, so far or at its end; ``rows`` is ``answered`` and ``failed`` together.

    Attributes:
        rows: Rows that are finished.
        answered: Rows with an answer, resumed ones included.
        failed: Rows with an error.
        resumed: Rows whose answer comes from the journal.
        requests: Requests that were sent.
        refused: Requests that the provider refused because of its limits; their rows were asked again.
        cost: US dollars that this run paid, as far as prices are known.
        unpriced: Answers of this run whose price is not known.
        saved: US dollars that the resumed rows had cost.
        seconds: Seconds since the run began.
        stopped: ``max_cost`` where the run ended before it would be passed; else None.
        waiting: Rows that lie in batches, or are about to be submitted; 0 in other modes.
    """

    rows: int = 0
    answered: int = 0
    failed: int = 0
    resumed: int = 0
    requests: int = 0
    refused: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    saved: Decimal = Decimal(0)
    seconds: float = 0.0
    stopped: Optional[str] = None
    waiting: int = 0

    def __str__(self) -> str:
        parts = [f"{self.rows:,} rows: {self.answered:,} answered, {self.failed:,} failed"]
        if self.resumed:
            parts.append(f"{self.resumed:,} resumed, which saved {format_cost(self.saved)}")
        parts.append(f"{self.requests:,} requests, {self.refused:,} refused")
        if self.waiting:
            parts.append(f"{self.waiting:,} rows wait in batches")
        parts.append(f"{format_sum(self.cost, self.unpriced)} in {self.seconds:.1f} s")
        return "; ".join(parts) + (f"; stopped by {self.stopped}" if self.stopped else "")


@dataclass(frozen=True, eq=False, repr=False)
class BulkProgress(Value):
    """How far a run is, as told to the function given as ``progress``.

    Attributes:
        summary: The sums so far.
        total: How many rows there are; None where that is not known before the last.
        note: What the run waits for, such as ``2 batches: 40 of 900 requests done``; None for nothing.
    """

    summary: BulkSummary
    total: Optional[int] = None
    note: Optional[str] = None

    @property
    def rows_per_second(self) -> float:
        """Rows a second so far, resumed ones left out."""
        asked = self.summary.rows - self.summary.resumed
        return asked / self.summary.seconds if self.summary.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> Optional[float]:
        """Seconds that the rest takes at this speed; None where it cannot be told."""
        if self.total is None or not self.rows_per_second:
            return None
        return max(self.total - self.summary.rows, 0) / self.rows_per_second


@dataclass(frozen=True, eq=False, repr=False)
class BulkEstimate(Value):
    """What a run would cost, as ``BulkRun.estimate()`` adds it up.

    Attributes:
        rows: Rows that there are.
        wrong: Rows that cannot be asked, such as those that lack a field.
        kept: Rows whose answer is in the journal, so that they cost nothing.
        prompt_tokens: Tokens of the prompts of all other rows, estimated.
        completion_tokens: Most tokens of their answers; 0 without ``max_tokens``.
        cost: US dollars for both in the mode of the run; None where the price of the model is not known.
        now_cost: US dollars for both with ``mode="now"``.
        batch_cost: US dollars for both with ``mode="batch"``; None where there is no such API, too.
    """

    rows: int
    wrong: int
    kept: int
    prompt_tokens: int
    completion_tokens: int
    cost: Optional[Decimal]
    now_cost: Optional[Decimal] = None
    batch_cost: Optional[Decimal] = None
