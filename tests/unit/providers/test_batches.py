"""The batch APIs' JSON: what is submitted, how a batch's state is read, and what came of each request."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, Tuple

import pytest

from llm_orchestrator.exceptions import InvalidRequestError, InvalidResponseError
from llm_orchestrator.providers.anthropic import batches as anthropic
from llm_orchestrator.providers.anthropic_adapter import AnthropicAdapter
from llm_orchestrator.providers.batch_values import BatchItem, BatchResult, BatchStatus, Submission, encoded
from llm_orchestrator.providers.direct import _Requests
from llm_orchestrator.providers.gemini import batches as gemini
from llm_orchestrator.providers.gemini_adapter import GeminiAdapter
from llm_orchestrator.providers.http.core.settings import HttpSettings
from llm_orchestrator.providers.openai import batches as openai
from llm_orchestrator.providers.openai_adapter import OpenAIAdapter
from llm_orchestrator.providers.wire import Endpoint, Limits, WireRequest
from llm_orchestrator.types import LLMRequest, Message

MARK = "0123456789abcdef"
Replies = List[Tuple[Dict[str, Any], Mapping[str, str]]]


def items(adapter: Any, module: Any, count: int = 2) -> List[Tuple[str, BatchItem]]:
    """Requests as the adapter builds them, each with an id of ours."""
    request = LLMRequest("a-model", (Message("user", "Hi Ω"),), max_tokens=5)
    wire = adapter.build_request(request, stream=False)
    item = BatchItem(request, wire, module.group(wire), len(encoded(wire.body)))
    return [(f"{MARK}-{index}", item) for index in range(count)]


def sent(steps: Submission, replies: Replies) -> Tuple[List[WireRequest], BatchStatus]:
    """The requests that submit a batch, and what they return."""
    wires = [next(steps)]
    try:
        for reply in replies:
            wires.append(steps.send(reply))
    except StopIteration as end:
        return wires, end.value
    raise AssertionError("more is sent than there are replies")


def lines_of(content: bytes) -> List[Any]:
    return [json.loads(line) for line in content.splitlines()]


# ---------------------------------------------------------------- OpenAI


@pytest.mark.parametrize(("api", "path"), [("responses", "/v1/responses"), ("chat", "/v1/chat/completions")])
def test_openai_uploads_a_file_and_makes_a_batch_of_it(api: str, path: str) -> None:
    pairs = items(OpenAIAdapter("openai", api=api), openai)
    batch = {"id": "batch_1", "status": "validating", "metadata": {"llm_orchestrator": MARK}}
    (upload, create), status = sent(openai.submission(pairs, MARK), [({"id": "file-1"}, {}), (batch, {})])
    content = bytes(upload.content or b"")
    boundary = upload.headers["content-type"].partition("boundary=")[2].encode()
    _, purpose, file, end = content.split(b"--" + boundary)
    assert (upload.method, upload.path, end) == ("POST", "/files", b"--\r\n")
    assert b'name="purpose"\r\n\r\nbatch\r\n' in purpose
    lines = lines_of(file.partition(b"\r\n\r\n")[2][:-2])
    assert [line["custom_id"] for line in lines] == [f"{MARK}-0", f"{MARK}-1"]
    assert {(line["method"], line["url"]) for line in lines} == {("POST", path)}
    assert lines[0]["body"] == pairs[0][1].wire.body
    assert create.path == "/batches"
    assert create.body == {
        "input_file_id": "file-1",
        "endpoint": path,
        "completion_window": "24h",
        "metadata": {"llm_orchestrator": MARK},
    }
    assert (status.id, status.state, status.mark) == ("batch_1", "validating", MARK)


def test_openai_batches_of_two_models_or_endpoints_do_not_mix() -> None:
    groups = {
        openai.group(WireRequest(path, {"model": model})) for path in ("/a", "/b") for model in ("x", "y")
    }
    assert len(groups) == 4


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("in_progress", "running"),
        ("finalizing", "ending"),
        ("cancelling", "ending"),
        ("completed", "ended"),
        ("failed", "failed"),
        ("expired", "expired"),
        ("cancelled", "cancelled"),
    ],
)
def test_openai_states(said: str, state: str) -> None:
    assert openai.parse_status({"id": "b", "status": said}).state == state


@pytest.mark.parametrize("said", ["completed", "expired", "cancelled"])
def test_openai_reads_both_files_or_the_one_there_is(said: str) -> None:
    both = {"output_file_id": "out", "error_file_id": "err"}
    status = openai.parse_status({"id": "b", "status": said, **both})
    assert [wire.path for wire in status.results] == ["/files/out/content", "/files/err/content"]
    errors_only = openai.parse_status(
        {"id": "b", "status": said, "output_file_id": None, "error_file_id": "err"}
    )
    assert [wire.path for wire in errors_only.results] == ["/files/err/content"]


def test_openai_refuses_a_batch_late() -> None:
    quota = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}
    status = openai.parse_status({"id": "b", "status": "failed", "errors": {"data": [quota]}})
    assert (status.is_over_quota, status.error) == (True, {"error": quota})
    line = {"code": "invalid_json_line", "message": "bad", "line": 3}
    status = openai.parse_status({"id": "b", "status": "failed", "errors": {"data": [line]}})
    assert (status.is_over_quota, status.faulty_lines) == (False, (2,))


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ({"response": {"status_code": 200, "body": {"a": 1}}}, BatchResult("i", {"a": 1}, status_code=200)),
        (
            {"response": {"status_code": 400, "body": {"error": {"code": "x"}}}},
            BatchResult("i", error={"error": {"code": "x"}}, status_code=400),
        ),
        ({"response": {"status_code": 0, "body": {}}}, BatchResult("i")),
        ({"response": None, "error": {"code": "batch_expired", "message": "m"}}, BatchResult("i")),
        ({"error": {"code": "batch_cancelled"}}, BatchResult("i", was_cancelled=True)),
        ({"response": None, "error": {"code": "x"}}, BatchResult("i", error={"error": {"code": "x"}})),
    ],
)
def test_openai_results(line: Dict[str, Any], result: BatchResult) -> None:
    assert openai.parse_result({"custom_id": "i", **line}) == result


# ---------------------------------------------------------------- Anthropic


def test_anthropic_sends_the_requests_themselves() -> None:
    pairs = items(AnthropicAdapter("anthropic"), anthropic)
    batch = {"id": "msgbatch_1", "processing_status": "in_progress", "request_counts": {"processing": 2}}
    (create,), status = sent(anthropic.submission(pairs, MARK), [(batch, {})])
    assert create.path == "/v1/messages/batches"
    params = pairs[0][1].wire.body
    assert create.body == {"requests": [{"custom_id": f"{MARK}-{i}", "params": params} for i in (0, 1)]}
    assert (status.state, status.total, status.results) == ("running", 2, ())


def test_an_ended_batch_of_anthropic_has_results() -> None:
    body = {"id": "m", "processing_status": "ended", "results_url": "https://elsewhere/results"}
    status = anthropic.parse_status(body)
    assert (status.state, [wire.path for wire in status.results]) == (
        "ended",
        ["/v1/messages/batches/m/results"],
    )


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"type": "succeeded", "message": {"id": "m"}}, BatchResult("i", {"id": "m"}, status_code=200)),
        (
            {"type": "errored", "error": {"type": "error", "error": {"type": "invalid_request_error"}}},
            BatchResult("i", error={"type": "error", "error": {"type": "invalid_request_error"}}),
        ),
        ({"type": "expired"}, BatchResult("i")),
        ({"type": "canceled"}, BatchResult("i", was_cancelled=True)),
    ],
)
def test_anthropic_results(result: Dict[str, Any], expected: BatchResult) -> None:
    assert anthropic.parse_result({"custom_id": "i", "result": result}) == expected


# ---------------------------------------------------------------- Gemini

PENDING = {"name": "batches/1", "metadata": {"state": "BATCH_STATE_PENDING", "displayName": MARK}}


def test_a_small_batch_of_gemini_holds_its_requests() -> None:
    pairs = items(GeminiAdapter("gemini"), gemini)
    (create,), status = sent(gemini.submission(pairs, MARK), [(PENDING, {})])
    assert create.path == "models/a-model:batchGenerateContent"
    batch = (create.body or {})["batch"]
    requests = batch["inputConfig"]["requests"]["requests"]
    assert batch["displayName"] == MARK
    assert requests[1] == {"request": pairs[1][1].wire.body, "metadata": {"key": f"{MARK}-1"}}
    assert (status.id, status.state, status.mark) == ("batches/1", "validating", MARK)


def test_a_large_batch_of_gemini_is_uploaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemini, "MOST_INLINE", 10)
    pairs = items(GeminiAdapter("gemini"), gemini)
    begun: Dict[str, Any] = {}
    url = {"x-goog-upload-url": "https://host/upload/v1beta/files?upload_id=7"}
    replies: Replies = [(begun, url), ({"file": {"name": "files/f"}}, {}), (PENDING, {})]
    (begin, upload, create), _ = sent(gemini.submission(pairs, MARK), replies)
    content = bytes(upload.content or b"")
    assert begin.headers["x-goog-upload-header-content-length"] == str(len(content))
    assert upload.path == "../upload/v1beta/files?upload_id=7"
    assert upload.headers["x-goog-upload-command"] == "upload, finalize"
    assert lines_of(content)[1] == {"key": f"{MARK}-1", "request": pairs[1][1].wire.body}
    assert (create.body or {})["batch"]["inputConfig"] == {"fileName": "files/f"}


@pytest.mark.parametrize("prefix", ["BATCH_STATE_", "JOB_STATE_"])
@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("RUNNING", "running"),
        ("SUCCEEDED", "ended"),
        ("PARTIALLY_SUCCEEDED", "ended"),
        ("FAILED", "failed"),
        ("CANCELLED", "cancelled"),
        ("EXPIRED", "expired"),
    ],
)
def test_gemini_states(prefix: str, said: str, state: str) -> None:
    assert gemini.parse_status({"name": "batches/1", "metadata": {"state": prefix + said}}).state == state


@pytest.mark.parametrize("place", ["metadata", "response"])
def test_gemini_results_come_with_the_status_or_in_a_file(place: str) -> None:
    def body(output: Dict[str, Any]) -> Dict[str, Any]:
        facts = {"state": "BATCH_STATE_EXPIRED", "batchStats": {"requestCount": "2"}}
        if place == "response":
            return {"name": "batches/1", "metadata": facts, "response": output}
        return {"name": "batches/1", "metadata": {**facts, "output": output}}

    lines = [{"metadata": {"key": "i"}, "response": {"candidates": []}}]
    status = gemini.parse_status(body({"inlinedResponses": {"inlinedResponses": lines}}))
    assert (status.total, list(status.inline)) == (2, lines)
    status = gemini.parse_status(body({"responsesFile": "files/f"}))
    assert [wire.path for wire in status.results] == ["files/f:download?alt=media"]


def test_gemini_refuses_a_batch_late() -> None:
    error = {"code": 8, "message": "Quota"}
    facts = {"state": "BATCH_STATE_FAILED"}
    status = gemini.parse_status({"name": "batches/1", "metadata": facts, "error": error})
    assert (status.is_over_quota, status.error) == (True, {"error": error})


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ({"key": "i", "response": {"a": 1}}, BatchResult("i", {"a": 1}, status_code=200)),
        ({"metadata": {"key": "i"}, "response": {"a": 1}}, BatchResult("i", {"a": 1}, status_code=200)),
        ({"key": "i", "error": {"code": 3}}, BatchResult("i", error={"error": {"code": 3}})),
        ({"key": "i", "error": {"code": 4}}, BatchResult("i")),
        ({"key": "i", "error": {"code": 1}}, BatchResult("i", was_cancelled=True)),
    ],
)
def test_gemini_results(line: Dict[str, Any], result: BatchResult) -> None:
    assert gemini.parse_result(line) == result


# ---------------------------------------------------------------- all of them


@pytest.mark.parametrize("module", [openai, anthropic, gemini])
def test_what_is_no_batch_or_nobodys_line(module: Any) -> None:
    with pytest.raises(InvalidResponseError):
        module.parse_status({"id": "x", "name": "x", "status": "new", "metadata": {"state": "X_STATE_NEW"}})
    assert module.parse_result({"hello": 1}) is None
    assert module.cancel_request("batches/1").method == "POST"
    assert module.status_request("batches/1").method == "GET"


@pytest.mark.parametrize("module", [openai, anthropic])
def test_pages_of_batches(module: Any) -> None:
    entry = {"id": "b", "status": "completed", "processing_status": "ended"}
    batches, cursor = module.parse_list({"data": [entry], "has_more": True})
    assert ([batch.id for batch in batches], cursor) == (["b"], "b")
    assert cursor in module.list_request(cursor).path
    assert module.parse_list({"data": [entry], "has_more": False})[1] is None


def test_pages_of_gemini_batches() -> None:
    batches, cursor = gemini.parse_list({"operations": [PENDING], "nextPageToken": "p"})
    assert ([batch.mark for batch in batches], cursor) == ([MARK], "p")
    assert gemini.list_request(cursor).path.endswith("pageToken=p")


def test_a_file_goes_direct_and_out_of_the_last_part_of_the_base_url() -> None:
    requests = _Requests(Endpoint("https://host/proxy/v1beta", {}), HttpSettings())
    wire = WireRequest("../upload/v1beta/files?a=1", headers={"content-type": "text/x"}, content=b"x")
    assert requests.path_of(wire) == "/proxy/upload/v1beta/files?a=1"
    assert requests.body_of(wire) == b"x"
    assert b"content-type: text/x" in requests.headers_of(wire).lower()


@pytest.mark.parametrize("wire", [WireRequest("/files", content=b"x"), WireRequest("../upload", {})])
def test_an_sdk_is_given_no_file(wire: WireRequest) -> None:
    adapter = OpenAIAdapter("openai", api_key="k", transport="sdk")
    with pytest.raises(InvalidRequestError, match="transport: direct"):
        adapter.open_call(wire, Limits(1, 1))
