"""What passes between a provider's batch API and who drives it: the batch, its state, the result of a row."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Dict, Generator, List, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.providers.reading import as_text_or_none
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import JSON, LLMRequest
from llm_orchestrator.utils.values import Value

__all__ = [
    "CANCELLED",
    "ENDED",
    "ENDING",
    "EXPIRED",
    "FAILED",
    "FINAL",
    "RUNNING",
    "VALIDATING",
    "BatchItem",
    "BatchLimits",
    "BatchResult",
    "BatchSearch",
    "BatchStatus",
    "BatchTranslation",
    "Submission",
    "encoded",
    "id_and_state",
    "moment_of",
    "write_lines",
]

VALIDATING, RUNNING, ENDING = "validating", "running", "ending"
ENDED, FAILED, EXPIRED, CANCELLED = "ended", "failed", "expired", "cancelled"
#: States that a batch never leaves.
FINAL = (ENDED, FAILED, EXPIRED, CANCELLED)
#: Fractions of a second are left out: Google writes nine digits of them, which not every Python reads.
_MOMENT = re.compile(r"(?P<seconds>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(\.\d+)?(?P<zone>Z|[+-]\d\d:\d\d)")


class BatchLimits(NamedTuple):
    """What one batch may hold.

    Attributes:
        requests: Most requests.
        size: Most bytes of all requests, as they are written into a file.
    """

    requests: int
    size: int


@dataclass(frozen=True, eq=False, repr=False)
class BatchItem(Value):
    """One request of a batch.

    Attributes:
        request: The call, with the entry's default options.
        wire: The request as it would be sent alone.
        group: What all requests of one batch have in common.
        size: Its bytes as JSON.
    """

    request: LLMRequest
    wire: WireRequest
    group: Tuple[Any, ...]
    size: int


@dataclass(frozen=True, eq=False, repr=False)
class BatchStatus(Value):
    """How far a batch is.

    Attributes:
        id: The provider's id.
        state: ``validating``, ``running``, ``ending``, ``ended``, ``failed``, ``expired`` or ``cancelled``.
        total: Requests in it; None when the provider has not said.
        answered: Requests with an answer; None when the provider has not said.
        failed: Requests with an error; None when the provider has not said.
        created_at: When it was made, as the provider writes it, or in Unix seconds.
        expires_at: When the provider gives it up, in the same form.
        mark: The mark it was submitted with; None where the provider keeps none.
        error: The provider's error, in the form of an error reply, when it refused the whole batch.
        faulty_lines: Positions, from 0, of the requests for which it did.
        is_over_quota: It was refused because too much waits already; it may be submitted later.
        results: What to ask for to read its results: files of JSON lines.
        inline: Results that came with the status.
    """

    id: str
    state: str
    total: Optional[int] = None
    answered: Optional[int] = None
    failed: Optional[int] = None
    created_at: Any = None
    expires_at: Any = None
    mark: Optional[str] = None
    error: Optional[JSON] = None
    faulty_lines: Tuple[int, ...] = ()
    is_over_quota: bool = False
    results: Tuple[WireRequest, ...] = ()
    inline: Tuple[JSON, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in FINAL


@dataclass(frozen=True, eq=False, repr=False)
class BatchResult(Value):
    """What came of one request.

    Attributes:
        custom_id: The id it was submitted with.
        body: The reply, as the provider would have sent it alone; None when there is none.
        error: The provider's error, in the form of an error reply; None when there is none.
        status_code: The HTTP status that it would have had; None when unknown.

        was_cancelled: Whether the batch was cancelled before anybody worked on it.

    With neither ``body`` nor ``error`` nobody worked on it (expired, cancelled), and nothing was billed.
    """

    custom_id: str
    body: Optional[JSON] = None
    error: Optional[JSON] = None
    status_code: Optional[int] = None
    was_cancelled: bool = False


class BatchSearch(NamedTuple):
    """What a search for a batch came to.

    Attributes:
        found: The batch; None when there is none, or none yet.
        is_undecided: A batch is under way that may be it; only its results will tell.
    """

    found: Optional[BatchStatus] = None
    is_undecided: bool = False


#: Requests that submit a batch: yields one, is sent body and headers of its reply, returns the batch.
Submission = Generator[WireRequest, Tuple[JSON, Mapping[str, str]], BatchStatus]


class BatchTranslation(Protocol):
    """A provider's ``batches`` module: the same functions in each."""

    LIMITS: BatchLimits
    #: Whether the batch's own entry in the listing shows the mark it was submitted with.
    KEEPS_MARKS: bool

    def group(self, wire: WireRequest) -> Tuple[Any, ...]:
        """What all requests of one batch have in common."""

    def submission(self, items: Sequence[Tuple[str, BatchItem]], mark: str) -> Submission:
        """Submit a batch."""

    def status_request(self, identifier: str) -> WireRequest:
        """Ask how far a batch is."""

    def cancel_request(self, identifier: str) -> WireRequest:
        """Ask for a batch to be cancelled."""

    def list_request(self, cursor: Optional[str]) -> WireRequest:
        """Ask for one page of the batches, newest first."""

    def parse_status(self, body: JSON) -> BatchStatus:
        """Read a batch."""

    def parse_list(self, body: JSON) -> Tuple[List[BatchStatus], Optional[str]]:
        """Read one page of batches, and the next page's cursor."""

    def parse_result(self, line: JSON) -> Optional[BatchResult]:
        """Read what came of one request; None where it is nobody's."""


def encoded(value: Any) -> bytes:
    """Write one line of a file."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")


def id_and_state(identifier: Any, state: Optional[str]) -> Tuple[str, str]:
    """What every batch has: its id, and its state, which is None for one that is not known."""
    name = as_text_or_none(identifier)
    if name is None or state is None:
        raise InvalidResponseError("The provider's reply is not a batch. Try again, or check base_url.")
    return name, state


def moment_of(value: Any) -> Optional[float]:
    """Read a moment as providers write it, Unix seconds or RFC 3339; None for anything else."""
    if isinstance(value, (int, float)):
        return float(value)
    match = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    zone = match["zone"].replace("Z", "+00:00")
    return datetime.fromisoformat(f"{match['seconds']}{zone}".replace(" ", "T")).timestamp()


def write_lines(lines: Sequence[Dict[str, Any]]) -> bytes:
    """Write a file of JSON lines."""
    return b"".join(encoded(line) + b"\n" for line in lines)
