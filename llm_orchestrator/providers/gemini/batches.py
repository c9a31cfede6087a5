"""Gemini's batches: small ones hold their requests themselves, others a file, and so do their results.

Facts: google-genai, batches.py (``_BatchJob_from_mldev``, ``_InlinedRequest_to_mldev``), files.py and
ai.google.dev, docs/batch-api. A batch is a long-running operation whose ``metadata`` tells its state.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple
from urllib.parse import quote, urlsplit

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
from llm_orchestrator.providers.reading import as_mapping, as_mappings, as_text_or_none
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

#: A file may have 2 GB, and no count is documented; a file is made in memory, so ours are smaller.
LIMITS = BatchLimits(100_000, 200_000_000)
KEEPS_MARKS = True
#: Bytes of requests that still go without a file; the body may have 20 MB.
MOST_INLINE = 18_000_000
#: Space for each request's id and the names of the fields around it.
FRAME = 128
METHOD = "batchGenerateContent"
UPLOADS = "../upload/v1beta/files"
PAGE_SIZE = 100
#: The names begin with BATCH_STATE_ or JOB_STATE_, by the SDK's and the API's habit.
STATES = {
    "UNSPECIFIED": VALIDATING,
    "QUEUED": VALIDATING,
    "PENDING": VALIDATING,
    "RUNNING": RUNNING,
    "PAUSED": RUNNING,
    "UPDATING": RUNNING,
    "CANCELLING": ENDING,
    "SUCCEEDED": ENDED,
    "PARTIALLY_SUCCEEDED": ENDED,
    "FAILED": FAILED,
    "CANCELLED": CANCELLED,
    "EXPIRED": EXPIRED,
}
#: Codes of google.rpc: that of too much at once, and those of requests that nobody worked on.
RESOURCE_EXHAUSTED, CANCELLED_CODE, DEADLINE_EXCEEDED = 8, 1, 4


def group(wire: WireRequest) -> Tuple[Any, ...]:
    """A batch has one model, which stands in its path."""
    return (wire.path,)


def submission(items: Sequence[Tuple[str, BatchItem]], mark: str) -> Submission:
    """Upload the requests where they are many, then make the batch."""
    model = items[0][1].wire.path.rpartition(":")[0]
    if sum(item.size + FRAME for _, item in items) <= MOST_INLINE:
        source: Dict[str, Any] = {"requests": {"requests": [_inline(*pair) for pair in items]}}
    else:
        content = write_lines([{"key": key, "request": item.wire.body} for key, item in items])
        _, headers = yield _begin_upload(len(content), mark)
        uploaded, _ = yield _upload(content, headers.get("x-goog-upload-url"))
        source = {"fileName": _file_name(uploaded)}
    batch, _ = yield WireRequest(f"{model}:{METHOD}", {"batch": {"displayName": mark, "inputConfig": source}})
    return parse_status(batch)


def _inline(key: str, item: BatchItem) -> Dict[str, Any]:
    return {"request": item.wire.body, "metadata": {"key": key}}


def _begin_upload(size: int, mark: str) -> WireRequest:
    headers = {
        "x-goog-upload-protocol": "resumable",
        "x-goog-upload-command": "start",
        "x-goog-upload-header-content-length": str(size),
        "x-goog-upload-header-content-type": "application/jsonl",
    }
    file = {"displayName": mark, "mimeType": "application/jsonl"}
    return WireRequest(UPLOADS, {"file": file}, headers)


def _upload(content: bytes, url: Any) -> WireRequest:
    """Send all bytes; of the address that Google gives only the query is new, as its SDK has it too."""
    if not isinstance(url, str):
        raise InvalidResponseError("The provider did not tell where to upload the file. Try again.")
    headers = {
        "x-goog-upload-command": "upload, finalize",
        "x-goog-upload-offset": "0",
        "content-type": "application/jsonl",
    }
    return WireRequest(f"{UPLOADS}?{urlsplit(url).query}", headers=headers, content=content)


def _file_name(uploaded: JSON) -> str:
    name = as_text_or_none(as_mapping(uploaded.get("file")).get("name"))
    if name is None:
        raise InvalidResponseError("The provider did not tell the name of the uploaded file. Try again.")
    return name


def status_request(identifier: str) -> WireRequest:
    """Ask how far a batch is; its id begins with ``batches/``."""
    return WireRequest(quote(identifier))


def cancel_request(identifier: str) -> WireRequest:
    """Ask for a batch to be cancelled."""
    return WireRequest(f"{quote(identifier)}:cancel", {})


def list_request(cursor: Optional[str]) -> WireRequest:
    """Ask for one page of the batches, newest first."""
    page = f"&pageToken={quote(cursor, safe='')}" if cursor else ""
    return WireRequest(f"batches?pageSize={PAGE_SIZE}{page}")


def parse_list(body: JSON) -> Tuple[List[BatchStatus], Optional[str]]:
    """Read one page of batches."""
    batches = [parse_status(entry) for entry in as_mappings(body.get("operations"))]
    return batches, as_text_or_none(body.get("nextPageToken"))


def parse_status(body: JSON) -> BatchStatus:
    """Read a batch, with the results that came with it."""
    facts = as_mapping(body.get("metadata"))
    state = STATES.get(str(facts.get("state")).partition("_STATE_")[2] or "UNSPECIFIED")
    identifier, state = id_and_state(body.get("name"), state)
    output = as_mapping(facts.get("output")) or as_mapping(body.get("response"))
    inline = as_mapping(output.get("inlinedResponses")).get("inlinedResponses")
    file, stats = output.get("responsesFile"), as_mapping(facts.get("batchStats"))
    error = as_mapping(body.get("error"))
    return BatchStatus(
        identifier,
        state,
        total=_count(stats.get("requestCount")),
        answered=_count(stats.get("successfulRequestCount")),
        failed=_count(stats.get("failedRequestCount")),
        created_at=facts.get("createTime"),
        mark=as_text_or_none(facts.get("displayName")),
        error={"error": error} if error else None,
        is_over_quota=error.get("code") == RESOURCE_EXHAUSTED,
        results=(_download(file),) if isinstance(file, str) else (),
        inline=tuple(as_mappings(inline)),
    )


def _count(value: Any) -> Optional[int]:
    """Google writes counts of 64 bits as strings."""
    return int(value) if isinstance(value, (int, str)) and str(value).isdecimal() else None


def _download(name: str) -> WireRequest:
    return WireRequest(f"{quote(name)}:download?alt=media")


def parse_result(line: JSON) -> Optional[BatchResult]:
    """Read a line of the results, or a result that came with the status."""
    key = as_text_or_none(line.get("key") or as_mapping(line.get("metadata")).get("key"))
    if key is None:
        return None
    reply, error = as_mapping(line.get("response")), as_mapping(line.get("error"))
    if reply:
        return BatchResult(key, body=reply, status_code=200)
    if error and error.get("code") not in (CANCELLED_CODE, DEADLINE_EXCEEDED):
        return BatchResult(key, error={"error": error})
    return BatchResult(key, was_cancelled=error.get("code") == CANCELLED_CODE)
