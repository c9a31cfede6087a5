"""Anthropic's message batches: the requests are the body, the results one file of JSON lines.

Facts: anthropic, types/messages/message_batch.py and batch_create_params.py. A batch keeps no mark of ours,
so the ids of its requests have to begin with it.
"""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple
from urllib.parse import quote

from llm_orchestrator.providers.batch_values import (
    ENDED,
    ENDING,
    RUNNING,
    BatchItem,
    BatchLimits,
    BatchResult,
    BatchStatus,
    Submission,
    id_and_state,
)
from llm_orchestrator.providers.reading import as_count, as_mapping, as_mappings, as_text_or_none
from llm_orchestrator.providers.wire import WireRequest
from llm_orchestrator.types import JSON

__all__ = [
    "KEEPS_MARKS",
    "LIMITS",
    "cancel_request",
    "group",
    "list_request",
    "parse_list",
    "parse_result",
    "parse_status",
    "status_request",
    "submission",
]

LIMITS = BatchLimits(100_000, 256_000_000)
KEEPS_MARKS = False
PATH = "/v1/messages/batches"
PAGE_SIZE = 100
STATES = {"in_progress": RUNNING, "canceling": ENDING, "ended": ENDED}


def group(wire: WireRequest) -> Tuple[Any, ...]:
    """A batch may hold requests of all kinds."""
    return ()


def submission(items: Sequence[Tuple[str, BatchItem]], mark: str) -> Submission:
    """Make the batch."""
    requests = [{"custom_id": custom_id, "params": item.wire.body} for custom_id, item in items]
    batch, _ = yield WireRequest(PATH, {"requests": requests})
    return parse_status(batch)


def status_request(identifier: str) -> WireRequest:
    """Ask how far a batch is."""
    return WireRequest(f"{PATH}/{quote(identifier, safe='')}")


def cancel_request(identifier: str) -> WireRequest:
    """Ask for a batch to be cancelled."""
    return WireRequest(f"{PATH}/{quote(identifier, safe='')}/cancel", {})


def list_request(cursor: Optional[str]) -> WireRequest:
    """Ask for one page of the batches, newest first."""
    after = f"&after_id={quote(cursor, safe='')}" if cursor else ""
    return WireRequest(f"{PATH}?limit={PAGE_SIZE}{after}")


def parse_list(body: JSON) -> Tuple[List[BatchStatus], Optional[str]]:
    """Read one page of batches."""
    batches = [parse_status(entry) for entry in as_mappings(body.get("data"))]
    return batches, batches[-1].id if batches and body.get("has_more") else None


def parse_status(body: JSON) -> BatchStatus:
    """Read a batch; each of its requests says for itself whether it expired."""
    identifier, state = id_and_state(body.get("id"), STATES.get(str(body.get("processing_status"))))
    counts = {name: as_count(count) for name, count in as_mapping(body.get("request_counts")).items()}
    results = WireRequest(f"{PATH}/{quote(identifier, safe='')}/results")
    return BatchStatus(
        identifier,
        state,
        total=sum(count or 0 for count in counts.values()) if counts else None,
        answered=counts.get("succeeded"),
        failed=counts.get("errored"),
        created_at=body.get("created_at"),
        expires_at=body.get("expires_at"),
        results=(results,) if state == ENDED and body.get("results_url") else (),
    )


def parse_result(line: JSON) -> Optional[BatchResult]:
    """Read a line of the results."""
    custom_id, result = as_text_or_none(line.get("custom_id")), as_mapping(line.get("result"))
    if custom_id is None:
        return None
    message = as_mapping(result.get("message"))
    if result.get("type") == "succeeded" and message:
        return BatchResult(custom_id, body=message, status_code=200)
    if result.get("type") == "errored":
        error = as_mapping(result.get("error"))  # an error reply, which holds the error
        return BatchResult(custom_id, error=error if "error" in error else {"error": error})
    return BatchResult(custom_id, was_cancelled=result.get("type") == "canceled")  # else it expired
