"""Plays the batch APIs of the four dialects: files, batches, their states, their results.

A test says what becomes of each row and of each batch; everything that was submitted is kept to be counted.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, field
from typing import Any, Callable, ClassVar, Dict, Iterator, List, Mapping, Optional, Tuple

from tests.support.scripted_server import MODEL, Dialect, Reply, Request, Usage
from tests.support.scripted_server.replies import json_reply

__all__ = ["USAGE", "BatchServer", "SubmittedBatch"]

#: What every answer of a batch has used.
USAGE = Usage(prompt=1000, completion=200)
#: The fate of a row: an answer, an error, no line at all, a line that says nobody worked on it, a status of 0,
#: a line that is cut.
ANSWER, ERROR, MISSING, UNTOUCHED, CANCELLED, ZERO, CUT = (
    "answer",
    "error",
    "missing",
    "untouched",
    "cancelled",
    "zero",
    "cut",
)
NEWEST = "2026-01-02T03:04:05.123456789Z"
#: Far in the future, for a batch is searched for by when it was made.
CREATED_AT = {
    "openai": 4000000000,
    "anthropic": "2096-10-02T07:06:40Z",
    "gemini": NEWEST.replace("2026", "2096"),
}


@dataclass
class SubmittedBatch:
    """One batch as it was submitted.

    Attributes:
        id: The id it was given.
        number: Its number, from 0.
        rows: Its requests as (id, text), in order.
        mark: The mark it came with; None where the dialect has none.
        looks: How often it was asked for.
        state: ``ended``, ``expired``, ``cancelled``, ``failed``; ``running`` until it is one of them.
        errors: What the provider says when it refuses the batch late, in its own form.
    """

    id: str
    number: int
    rows: List[Tuple[str, str]]
    mark: Optional[str] = None
    looks: int = 0
    state: str = "running"
    errors: List[Dict[str, Any]] = field(default_factory=list)

    @property
    def texts(self) -> List[str]:
        """What its rows ask."""
        return [text for _, text in self.rows]


class BatchServer:
    """Answers the requests of one dialect's batch API; give it to the scripted server as its default.

    Attributes:
        model: The model that answers say they come from.
        batches: What was submitted, in order.
        fate: What becomes of a row, by its batch and its text.
        end: How a batch ends, once it was looked at ``looks`` times; ``running`` for never.
        looks: See ``end``.
        on_create: Called with a batch before it is made; what it returns is the reply in its place.
        on_created: Called after it was made, before the reply.
        on_results: Replaces the reply with the results.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.model = MODEL
        self.batches: List[SubmittedBatch] = []
        self.fate: Callable[[SubmittedBatch, str], str] = lambda batch, text: ANSWER
        self.end: Callable[[SubmittedBatch], str] = lambda batch: "ended"
        self.looks = 1
        self.on_create: Callable[[SubmittedBatch], Optional[Reply]] = lambda batch: None
        self.on_created: Callable[[SubmittedBatch], None] = lambda batch: None
        self.on_results: Callable[[Reply], Reply] = lambda reply: reply
        self.cancelled: List[str] = []
        self.downloads = 0
        self._files: Dict[str, bytes] = {}
        self._numbers = itertools.count(1)
        self._play = {"openai": _OpenAI, "anthropic": _Anthropic, "gemini": _Gemini}[dialect.provider](self)

    def __call__(self, request: Request) -> Reply:
        """Answer one request."""
        return self._play.answer(request)

    @property
    def rows_submitted(self) -> int:
        """How many rows were submitted, in all batches."""
        return sum(len(batch.rows) for batch in self.batches)

    # for the dialects

    def keep_file(self, content: bytes) -> str:
        name = f"file{next(self._numbers)}"
        self._files[name] = content
        return name

    def file(self, name: str) -> bytes:
        return self._files[name]

    def create(
        self, rows: List[Tuple[str, str]], mark: Optional[str]
    ) -> Tuple[SubmittedBatch, Optional[Reply]]:
        number = len(self.batches)
        batch = SubmittedBatch(f"batch{number}", number, rows, mark)
        refusal = self.on_create(batch)
        if refusal is None:
            self.batches.append(batch)
            self.on_created(batch)
        return batch, refusal

    def look(self, name: str) -> Optional[SubmittedBatch]:
        """A batch that is asked for; after enough looks it has ended."""
        batch = next((batch for batch in self.batches if batch.id == name), None)
        if batch is not None:
            batch.looks += 1
            if batch.state == "running" and batch.looks > self.looks:
                batch.state = self.end(batch)
        return batch

    def newest(self) -> List[SubmittedBatch]:
        """All batches for the listing, newest first; it shows how far they are, too."""
        return [batch for batch in reversed(self.batches) if self.look(batch.id)]

    def cancel(self, name: str) -> SubmittedBatch:
        batch = next(batch for batch in self.batches if batch.id == name)
        self.cancelled.append(name)
        batch.state = "cancelled"
        return batch

    def text_of(self, body: Mapping[str, Any]) -> str:
        """What a request asks."""
        asked = self.dialect.read_request(dict(body), self.dialect.path(MODEL, stream=False))
        return str(asked["messages"][-1][1])

    def answer(self, text: str) -> Any:
        """The answer to it."""
        return self.dialect.whole(f"Echo: {text}", usage=USAGE, model=self.model).json()

    def results(self, batch: SubmittedBatch) -> Iterator[Tuple[str, str, str]]:
        """Rows with a line: id, text and fate; out of order, as providers may send them."""
        for name, text in reversed(batch.rows):
            fate = self.fate(batch, text)
            if fate != MISSING:
                yield name, text, fate

    def counts(self, batch: SubmittedBatch) -> Tuple[int, int]:
        fates = [self.fate(batch, text) for text in batch.texts] if batch.state != "running" else []
        return fates.count(ANSWER), fates.count(ERROR)


def lines(values: List[Any]) -> Reply:
    """A file of JSON lines; text is sent as it is."""
    written = [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values]
    return Reply(200, {"content-type": "application/jsonl"}, "\n".join(written).encode() + b"\n")


def cut(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text[: len(text) // 2]


def not_found(request: Request) -> Reply:
    return json_reply({"error": {"message": f"Nothing is at {request.path}.", "code": 404}}, 404)


class _OpenAI:
    """Files and batches of OpenAI."""

    STATES: ClassVar[Dict[str, str]] = {"ended": "completed", "running": "in_progress"}

    def __init__(self, server: BatchServer) -> None:
        self.server = server

    def answer(self, request: Request) -> Reply:
        _, _, kind, *rest = request.path.split("/")
        server = self.server
        if kind == "files" and request.method == "POST":
            content = request.content.partition(b"application/jsonl\r\n\r\n")[2].rpartition(b"\r\n--")[0]
            return json_reply({"id": server.keep_file(content), "object": "file"})
        if kind == "files":
            server.downloads += 1
            name, which = rest[0].split(".")
            batch = next(batch for batch in server.batches if batch.id == name)
            return server.on_results(lines(list(self._lines(batch, which == "errors"))))
        if kind != "batches":
            return not_found(request)
        if request.method == "POST" and not rest:
            return self._create(request.body)
        if request.method == "POST":
            return json_reply(self._batch(server.cancel(rest[0])))
        if not rest:
            return json_reply({"data": [self._batch(batch) for batch in server.newest()], "has_more": False})
        batch_found = server.look(rest[0])
        return not_found(request) if batch_found is None else json_reply(self._batch(batch_found))

    def _create(self, body: Any) -> Reply:
        content = self.server.file(body["input_file_id"])
        asked = [json.loads(line) for line in content.splitlines()]
        assert {line["url"] for line in asked} == {body["endpoint"]}, "one batch has one endpoint"
        assert len({line["body"]["model"] for line in asked}) == 1, "and one model"
        rows = [(line["custom_id"], self.server.text_of(line["body"])) for line in asked]
        batch, refusal = self.server.create(rows, body["metadata"]["llm_orchestrator"])
        return refusal or json_reply(self._batch(batch))

    def _batch(self, batch: SubmittedBatch) -> Dict[str, Any]:
        answered, failed = self.server.counts(batch)
        shown: Dict[str, Any] = {
            "id": batch.id,
            "object": "batch",
            "status": self.STATES.get(batch.state, batch.state),
            "created_at": CREATED_AT["openai"],
            "metadata": {"llm_orchestrator": batch.mark},
            "request_counts": {"total": len(batch.rows), "completed": answered, "failed": failed},
            "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        }
        if batch.state in ("ended", "expired", "cancelled"):
            for which, field_name in ((False, "output_file_id"), (True, "error_file_id")):
                if list(self._lines(batch, which)):
                    shown[field_name] = f"{batch.id}.{'errors' if which else 'answers'}"
        return shown

    def _lines(self, batch: SubmittedBatch, errors: bool) -> Iterator[Any]:
        for name, text, fate in self.server.results(batch):
            if errors == (fate in (ANSWER, CUT)):
                continue
            body, status, error = self.server.answer(text), 200, None
            if fate == ERROR:
                body, status = self.server.dialect.failure("bad_request").json(), 400
            elif fate == ZERO:
                body, status = {}, 0
            elif fate in (UNTOUCHED, CANCELLED):
                code = "batch_expired" if fate == UNTOUCHED else "batch_cancelled"
                error = {"code": code, "message": "This request was not executed."}
            reply = None if error else {"status_code": status, "request_id": "req_1", "body": body}
            line = {"id": f"r{name}", "custom_id": name, "response": reply, "error": error}
            yield cut(line) if fate == CUT else line


class _Anthropic:
    """Message batches."""

    PATH = "/v1/messages/batches"

    def __init__(self, server: BatchServer) -> None:
        self.server = server

    def answer(self, request: Request) -> Reply:
        assert request.headers.get("anthropic-version"), "every request names its version"
        if not request.path.startswith(self.PATH):
            return not_found(request)
        rest = request.path[len(self.PATH) :].strip("/").split("/")
        server = self.server
        if request.method == "POST" and rest == [""]:
            rows = [(row["custom_id"], server.text_of(row["params"])) for row in request.body["requests"]]
            assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name, _ in rows)
            batch, refusal = server.create(rows, None)
            return refusal or json_reply(self._batch(batch))
        if request.method == "POST":
            return json_reply(self._batch(server.cancel(rest[0])))
        if rest == [""]:
            shown = [self._batch(batch) for batch in server.newest()]
            return json_reply({"data": shown, "has_more": False})
        if len(rest) == 2:
            server.downloads += 1
            found = next(batch for batch in server.batches if batch.id == rest[0])
            return server.on_results(lines(list(self._lines(found))))
        looked = server.look(rest[0])
        return not_found(request) if looked is None else json_reply(self._batch(looked))

    def _batch(self, batch: SubmittedBatch) -> Dict[str, Any]:
        answered, failed = self.server.counts(batch)
        has_ended = batch.state != "running"
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if has_ended else "in_progress",
            "created_at": CREATED_AT["anthropic"],
            "request_counts": {
                "processing": 0 if has_ended else len(batch.rows),
                "succeeded": answered,
                "errored": failed,
                "expired": len(batch.rows) - answered - failed if has_ended else 0,
                "canceled": 0,
            },
            "results_url": "https://elsewhere.example/results" if has_ended else None,
        }

    def _lines(self, batch: SubmittedBatch) -> Iterator[Any]:
        for name, text, fate in self.server.results(batch):
            result: Dict[str, Any] = {"type": "succeeded", "message": self.server.answer(text)}
            if fate == ERROR:
                result = {"type": "errored", "error": self.server.dialect.failure("bad_request").json()}
            elif fate in (UNTOUCHED, ZERO):
                result = {"type": "expired"}
            elif fate == CANCELLED:
                result = {"type": "canceled"}
            line = {"custom_id": name, "result": result}
            yield cut(line) if fate == CUT else line


class _Gemini:
    """Batches of Gemini, inline and by files."""

    STATES: ClassVar[Dict[str, str]] = {"ended": "SUCCEEDED"}

    def __init__(self, server: BatchServer) -> None:
        self.server = server
        self._inline: Dict[str, bool] = {}

    def answer(self, request: Request) -> Reply:
        server = self.server
        if request.path.startswith("/upload/"):
            return self._upload(request)
        name = request.path[len("/v1beta/") :]
        if name.endswith(":batchGenerateContent"):
            return self._create(request.body["batch"])
        if name.endswith(":cancel"):
            server.cancel(name[len("batches/") : -len(":cancel")])
            return json_reply({})
        if name.endswith(":download"):
            server.downloads += 1
            found = next(batch for batch in server.batches if f"files/{batch.id}:download" == name)
            return server.on_results(lines(list(self._lines(found, inline=False))))
        if name == "batches":
            shown = [self._batch(batch) for batch in server.newest()]
            return json_reply({"operations": shown} if shown else {})
        if not name.startswith("batches/"):
            return not_found(request)
        looked = server.look(name[len("batches/") :])
        return not_found(request) if looked is None else json_reply(self._batch(looked))

    def _upload(self, request: Request) -> Reply:
        if request.headers["x-goog-upload-command"] == "start":
            url = "https://elsewhere.example/upload/v1beta/files?upload_id=7&upload_protocol=resumable"
            return Reply(200, {"x-goog-upload-url": url})
        assert request.query == {"upload_id": "7", "upload_protocol": "resumable"}
        return json_reply({"file": {"name": f"files/{self.server.keep_file(request.content)}"}})

    def _create(self, batch: Any) -> Reply:
        source = batch["inputConfig"]
        if "requests" in source:
            asked = [(row["metadata"]["key"], row["request"]) for row in source["requests"]["requests"]]
        else:
            content = self.server.file(source["fileName"].partition("/")[2])
            asked = [(row["key"], row["request"]) for row in map(json.loads, content.splitlines())]
        rows = [(key, self.server.text_of(body)) for key, body in asked]
        made, refusal = self.server.create(rows, batch["displayName"])
        self._inline[made.id] = "requests" in source
        return refusal or json_reply(self._batch(made))

    def _batch(self, batch: SubmittedBatch) -> Dict[str, Any]:
        answered, failed = self.server.counts(batch)
        facts: Dict[str, Any] = {
            "state": f"BATCH_STATE_{self.STATES.get(batch.state, batch.state.upper())}",
            "displayName": batch.mark,
            "createTime": CREATED_AT["gemini"],
            "batchStats": {
                "requestCount": str(len(batch.rows)),
                "successfulRequestCount": str(answered),
                "failedRequestCount": str(failed),
            },
        }
        shown: Dict[str, Any] = {"name": f"batches/{batch.id}", "metadata": facts}
        if batch.errors:
            shown["error"] = batch.errors[0]
        if batch.state in ("ended", "expired", "cancelled"):
            if self._inline.get(batch.id):
                found = [line for line in self._lines(batch, inline=True) if not isinstance(line, str)]
                facts["output"] = {"inlinedResponses": {"inlinedResponses": found}}
            else:
                facts["output"] = {"responsesFile": f"files/{batch.id}"}
        return shown

    def _lines(self, batch: SubmittedBatch, *, inline: bool) -> Iterator[Any]:
        for name, text, fate in self.server.results(batch):
            line: Dict[str, Any] = {"metadata": {"key": name}} if inline else {"key": name}
            if fate == ERROR:
                line["error"] = {"code": 3, "message": "Invalid value.", "status": "INVALID_ARGUMENT"}
            elif fate in (UNTOUCHED, CANCELLED, ZERO):
                line["error"] = {"code": 1 if fate == CANCELLED else 4, "message": "Not executed."}
            else:
                line["response"] = self.server.answer(text)
            yield cut(line) if fate == CUT else line
