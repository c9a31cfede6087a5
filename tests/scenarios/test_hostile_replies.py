"""N8: whatever a reply holds, and whatever prices, ledger and hooks raise, the paid answer arrives and has its row."""

from __future__ import annotations

import copy
import csv
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

from llm_orchestrator import LLMOrchestrator, OrchestratorError, ProviderError
from llm_orchestrator.cost_tracker import CostTracker
from llm_orchestrator.providers.wire import BufferedReply
from llm_orchestrator.usage import attempts
from tests.support.scripted_server import Call, Dialect, Reply, ScriptedServer, Usage
from tests.support.scripted_server.wire_base import Answer
from tests.support.ways import ask

#: Models that the shipped table prices by all that a reply says: tiers, tools, images.
MODELS = {
    "chat": "gpt-5",
    "responses": "gpt-5",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-flash",
}
TEXT = "Hello."
USAGE = Usage(prompt=1000, cached=10, cache_write=100, completion=30, reasoning=5)
Path_ = Tuple[Any, ...]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


#: Twenty values that no field expects.
VALUES: List[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    float("nan"),
    float("-inf"),
    10**15,
    10**400,
    "",
    "x" * 100_000,
    "\ud800",
    "1e999999999",
    "\x00\x1b[31m\u202e\r\n",
    [],
    {},
    [None, True, "x", [], {}],
    {"type": None, "": {"": [{}]}},
    [[[[[{"type": []}]]]]],
    nested(190),
]


def paths(value: Any, at: Path_ = ()) -> Iterator[Path_]:
    """Where everything in a document is, the document itself first."""
    yield at
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from paths(child, (*at, key))


def replaced(document: Any, path: Path_, value: Any) -> Any:
    if not path:
        return value
    document = copy.copy(document)
    document[path[0]] = replaced(document[path[0]], path[1:], value)
    return document


def bodies(dialect: Dialect) -> Iterator[bytes]:
    """A whole reply with each of its fields replaced by each of the values."""
    document = enriched(dialect.whole(TEXT, usage=USAGE, tool_calls=[Call("clock")], reasoning="Hm").json())
    for path in paths(document):
        for value in VALUES:
            yield json.dumps(replaced(document, path, value)).encode()


def enriched(document: Dict[str, Any]) -> Dict[str, Any]:
    """Add what only decides a price, wherever it may stand; a field of another dialect is ignored."""
    tools = [{"type": "image_generation", "model": "gpt-image-1"}]
    return {
        **document,
        "service_tier": "flex",
        "tools": tools,
        "tool_usage": {"web_search": {"num_requests": 1}},
    }


def streams(dialect: Dialect) -> Iterator[bytes]:
    """A stream with each field of each of its events replaced by each of the values."""
    answer = Answer((TEXT[:3], TEXT[3:]), USAGE, tool_calls=(Call("clock"),), reasoning="Hm")
    events = list(dialect.events(answer, complete=True))
    lines = [f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events]
    for number, event in enumerate(events):
        for path in paths(event) if not isinstance(event, str) else ():
            for value in VALUES:
                line = f"data: {json.dumps(replaced(event, path, value))}\n\n"
                yield "".join([*lines[:number], line, *lines[number + 1 :]]).encode()


class Bench:
    """An orchestrator whose ledger is a file and whose hook always fails; replies come from the test."""

    def __init__(self, dialect: Dialect, url: str, ledger: Path, tracker: Any = None) -> None:
        config = dialect.config(url, MODELS[dialect.name], max_retries=0, transport="direct")
        config["cost_tracking"] = {"log_path": str(ledger)}
        self.ledger = ledger
        self.told = 0
        self.orchestrator = LLMOrchestrator(config, hooks=[self.fail], cost_tracker=tracker)
        self._provider: Any = self.orchestrator._providers[dialect.provider]

    def fail(self, event: Any) -> None:
        self.told += 1
        raise RuntimeError("a bug of the application")

    def reply(self, content: bytes) -> None:
        """Let the next calls get this reply, without a socket."""
        self._provider.open_call = lambda wire, limits: BufferedReply([content])

    def ends(self, way: str) -> str:
        """How a call ends: with an answer, or the name of our error; anything else is raised."""
        try:
            if way == "streamed":  # not by ``ask``: its pieces and its end may contradict each other
                list(self.orchestrator.send_streaming_request("Hi"))
            else:
                ask(self.orchestrator, way)
        except OrchestratorError as error:
            return type(error).__name__
        return "answer"

    def rows(self) -> List[Dict[str, str]]:
        with open(self.ledger, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def quiet() -> Iterator[None]:
    """Thousands of failures take most time to log, and half characters cannot be handed on between processes."""
    logging.getLogger("llm_orchestrator").setLevel(logging.CRITICAL + 1)
    yield
    logging.getLogger("llm_orchestrator").setLevel(logging.NOTSET)


@pytest.fixture
def bench(dialect: Dialect, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(dialect, "http://127.0.0.1:1", tmp_path / "costs.csv")
    yield made
    made.orchestrator.close()


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("way", "replies"), [("whole", bodies), ("streamed", streams)], ids=["whole", "streamed"]
)
def test_n8_every_field_replaced_by_every_value(
    bench: Bench, dialect: Dialect, way: str, replies: Callable[[Dialect], Iterator[bytes]]
) -> None:
    outcomes: Counter[str] = Counter()
    for content in replies(dialect):
        bench.reply(content)
        outcomes[bench.ends(way)] += 1

    rows, number = bench.rows(), sum(outcomes.values())
    assert len(rows) == number > 500 and bench.told == 2 * number
    assert Counter(row["status"] == "ok" for row in rows)[True] == outcomes["answer"] > number / 3
    assert all(row["final"] == "true" and row["call_id"] for row in rows)
    report = bench.orchestrator.cost_tracker.get_usage_report()
    assert report.total_requests == number and str(report)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "path",
    [("usage",), ("usageMetadata",), ("model",), ("choices",), ("output",), ("content",), ("candidates",)],
)
def test_n8_a_sample_over_sockets(
    server: ScriptedServer, dialect: Dialect, way: str, path: Path_, tmp_path: Path
) -> None:
    document = enriched(dialect.whole(TEXT, usage=USAGE).json())
    if path[0] not in document:
        pytest.skip("another dialect's field")
    bench = Bench(dialect, server.url, tmp_path / "costs.csv")
    for number, value in enumerate(VALUES, 1):
        server.default = hostile(dialect, way, path, value)
        bench.ends(way)
        assert len(bench.rows()) == number
    bench.orchestrator.close()


def hostile(dialect: Dialect, way: str, path: Path_, value: Any) -> Reply:
    """The whole document with one value replaced, or a stream in whose last event that stands."""
    reply = dialect.whole(TEXT, usage=USAGE)
    if "streamed" not in way:
        return reply.but(body=json.dumps(replaced(enriched(reply.json()), path, value)).encode())
    stream = dialect.stream([TEXT], usage=USAGE)
    extra = f"data: {json.dumps({path[0]: value})}\n\n".encode()
    return stream.but(chunks=(*stream.pieces()[:-1], extra, stream.pieces()[-1]))


# ---------------------------------------------------------------- what bookkeeping raises


class FailingTracker(CostTracker):
    """A tracker of the application's own, with a bug."""

    def __init__(self, name: str, error: Exception, ledger: Path) -> None:
        super().__init__(log_path=ledger)
        self.calls = 0

        def fail(*_: Any, **__: Any) -> Any:
            self.calls += 1
            raise error

        setattr(self, name, fail)


ERRORS = [
    RuntimeError("a bug"),
    OSError(28, "No space left on device"),
    MemoryError(),
    RecursionError("too deep"),
    UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", ["price_response", "add"])
def test_n8_what_a_tracker_raises_costs_no_answer(
    server: ScriptedServer, dialect: Dialect, way: str, name: str, error: Exception, tmp_path: Path
) -> None:
    tracker = FailingTracker(name, error, tmp_path / "costs.csv")
    bench = Bench(dialect, server.url, tmp_path / "costs.csv", tracker)

    assert bench.ends(way) == "answer" and tracker.calls >= 1 and bench.told == 2
    if name == "price_response":
        (row,) = bench.rows()
        assert (row["status"], row["cost"], row["price_status"]) == ("ok", "", "unpriced")
    bench.orchestrator.close()


@pytest.mark.parametrize("name", ["_add_audit_facts", "_add_tokens"])
def test_n8_a_detail_that_cannot_be_made_is_left_out_of_the_row(
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FD10: caught once, logged, the row kept without the detail."""
    make = getattr(attempts, name)
    failures = iter([RuntimeError("a bug")])

    def fail_once(*arguments: Any) -> Any:
        for failure in failures:
            raise failure
        return make(*arguments)

    monkeypatch.setattr(attempts, name, fail_once)
    bench = Bench(dialect, server.url, tmp_path / "costs.csv")

    assert bench.ends(way) == "answer"
    (row,) = bench.rows()
    assert (row["status"], row["usage_status"], row["cost"], row["final"]) == ("ok", "missing", "", "true")
    bench.orchestrator.close()


def test_n8_a_ledger_that_cannot_be_written_costs_no_answer(
    server: ScriptedServer, dialect: Dialect, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(dialect, server.url, tmp_path / "costs.csv")
    (tmp_path / "costs.csv").mkdir()

    assert bench.ends(way) == "answer"
    bench.orchestrator.close()


@pytest.mark.parametrize("transport", ["direct", "sdk"])
def test_fe8_a_providers_words_command_no_terminal(
    server: ScriptedServer, dialect: Dialect, way: str, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = dialect.error(400, message="No.\r\nERROR root: forged\x1b[2J\x9b31m\u202etxt")
    server.default = refusal.but(
        headers={**refusal.headers, "x-request-id": "a\x9b31m", "request-id": "a\x9b31m"}
    )
    config = dialect.config(server.url, max_retries=0, transport=transport)
    with LLMOrchestrator(config) as orchestrator, pytest.raises(ProviderError) as caught:
        ask(orchestrator, way)

    error = caught.value
    assert "No. ERROR root: forged\\x1b[2J\\x9b31m\\u202etxt" in str(error)
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("llm_orchestrator")]
    assert logged and all(text.isprintable() for text in [str(error), error.request_id or "", *logged])
