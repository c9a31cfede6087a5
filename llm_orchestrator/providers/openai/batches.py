"""OpenAI's batches: a file of requests is uploaded, and read back as one of answers and one of errors.

Facts: openai, types/batch_create_params.py and types/batch.py; developers.openai.com, guides/batch.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple
from urllib.parse import quote

from llm_orchestrator.exceptions import InvalidResponseError
from llm_orchestrator.providers.batch_values import (
    CANCELLED,
    ENDED,
    ENDING,
    EXPIRED,
    FAILED,
    RUNNING,
    VALIDATING,
    BatchItem,
    BatchLimits,
    BatchResult,
    BatchStatus,
    Submission,
    id_and_state,
    write_lines,
)
from llm_orchestrator.providers.forms import Form, FormField
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

LIMITS = BatchLimits(50_000, 200_000_000)
KEEPS_MARKS = True
MARK = "llm_orchestrator"  # the name of our field in a batch's metadata
PAGE_SIZE = 100
STATES = {
    "validating": VALIDATING,
    "in_progress": RUNNING,
    "finalizing": ENDING,
    "cancelling": ENDING,
    "completed": ENDED,
    "failed": FAILED,
    "expired": EXPIRED,
    "cancelled": CANCELLED,
}
#: Codes of a batch that is refused because too many tokens wait already.
OVER_QUOTA = ("token_limit_exceeded", "request_limit_exceeded")
#: Codes of requests that nobody worked on.
CANCELLED_CODE = "batch_cancelled"
NEVER_BEGUN = ("batch_expired", CANCELLED_CODE)


def group(wire: WireRequest) -> Tuple[Any, ...]:
    """A batch has one endpoint and one model."""
    return (wire.path, (wire.body or {}).get("model"))


def submission(items: Sequence[Tuple[str, BatchItem]], mark: str) -> Submission:
    """Upload the requests, then make the batch."""
    endpoint = f"/v1/{items[0][1].wire.path.lstrip('/')}"
    content = write_lines([_line(custom_id, item, endpoint) for custom_id, item in items])
    uploaded, _ = yield _upload(content, mark)
    file_id = as_text_or_none(uploaded.get("id"))
    if file_id is None:
        raise InvalidResponseError("The provider did not tell the id of the uploaded file. Try again.")
    body: Dict[str, Any] = {
        "input_file_id": file_id,
        "endpoint": endpoint,
        "completion_window": "24h",
        "metadata": {MARK: mark},
    }
    batch, _ = yield WireRequest("/batches", body)
    return parse_status(batch)


def _line(custom_id: str, item: BatchItem, endpoint: str) -> Dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": endpoint, "body": item.wire.body}


def _upload(content: bytes, mark: str) -> WireRequest:
    """A form of two fields; the mark, random as it is, stands in none of the requests' texts."""
    file = FormField(f"{mark}.jsonl", content, "application/jsonl")
    form = Form(mark, {"purpose": FormField(None, b"batch"), "file": file})
    return WireRequest("/files", headers={"content-type": form.media_type}, content=form)


def status_request(identifier: str) -> WireRequest:
    """Ask how far a batch is."""
    return WireRequest(f"/batches/{quote(identifier, safe='')}")


def cancel_request(identifier: str) -> WireRequest:
    """Ask for a batch to be cancelled."""
    return WireRequest(f"/batches/{quote(identifier, safe='')}/cancel", {})


def list_request(cursor: Optional[str]) -> WireRequest:
    """Ask for one page of the batches, newest first."""
    after = f"&after={quote(cursor, safe='')}" if cursor else ""
    return WireRequest(f"/batches?limit={PAGE_SIZE}{after}")


def parse_list(body: JSON) -> Tuple[List[BatchStatus], Optional[str]]:
    """Read one page of batches."""
    batches = [parse_status(entry) for entry in as_mappings(body.get("data"))]
    return batches, batches[-1].id if batches and body.get("has_more") else None


def parse_status(body: JSON) -> BatchStatus:
    """Read a batch."""
    identifier, state = id_and_state(body.get("id"), STATES.get(str(body.get("status"))))
    counts = as_mapping(body.get("request_counts"))
    errors = list(as_mappings(as_mapping(body.get("errors")).get("data")))
    lines = (as_count(error.get("line")) for error in errors)
    return BatchStatus(
        identifier,
        state,
        total=as_count(counts.get("total")),
        answered=as_count(counts.get("completed")),
        failed=as_count(counts.get("failed")),
        created_at=body.get("created_at"),
        expires_at=body.get("expires_at"),
        mark=as_text_or_none(as_mapping(body.get("metadata")).get(MARK)),
        error={"error": errors[0]} if errors else None,
        faulty_lines=tuple(line - 1 for line in lines if line),
        is_over_quota=any(error.get("code") in OVER_QUOTA for error in errors),
        results=tuple(_file(body[name]) for name in ("output_file_id", "error_file_id") if body.get(name)),
    )


def _file(identifier: Any) -> WireRequest:
    return WireRequest(f"/files/{quote(str(identifier), safe='')}/content")


def parse_result(line: JSON) -> Optional[BatchResult]:
    """Read a line of the file of answers, or of that of errors."""
    custom_id = as_text_or_none(line.get("custom_id"))
    if custom_id is None:
        return None
    reply, error = as_mapping(line.get("response")), as_mapping(line.get("error"))
    status, body = as_count(reply.get("status_code")), as_mapping(reply.get("body"))
    if status is not None and 200 <= status < 300 and body:
        return BatchResult(custom_id, body=body, status_code=status)
    if error.get("code") in NEVER_BEGUN:
        return BatchResult(custom_id, was_cancelled=error["code"] == CANCELLED_CODE)
    if error:
        return BatchResult(custom_id, error={"error": error}, status_code=status or None)
    if status:
        return BatchResult(custom_id, error=body or {"error": {}}, status_code=status)
    return BatchResult(custom_id)  # status 0: the request was lost inside the provider
