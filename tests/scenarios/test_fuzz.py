"""Any JSON a provider may send, any configuration a user may write: a result or one of our errors.

The reader of bytes is fuzzed beside its unit tests. Runs are the same every time and short;
``pytest --hypothesis-profile=thorough tests/scenarios/test_fuzz.py`` looks further.
"""

from __future__ import annotations

import copy
import itertools
import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_orchestrator import FinishReason, LLMOrchestrator, LLMResponse, OrchestratorError
from llm_orchestrator.config.manager import ConfigManager, OrchestratorConfig
from llm_orchestrator.exceptions import ConfigurationError, InvalidResponseError, ProviderError
from llm_orchestrator.providers import find_adapter
from llm_orchestrator.providers.wire import BufferedReply
from tests.support.scripted_server import DIALECTS, KEY, MODEL, Call, Dialect, Usage
from tests.support.scripted_server.wire_base import Answer

pytestmark = pytest.mark.slow

# ---------------------------------------------------------------- what is sent

#: Whatever JSON allows, and what Python's reader takes for it: lone surrogates, huge numbers, NaN.
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([10**30, -(10**400), 1e308, float("nan"), float("inf"), -0.0, 0.5]),
    st.sampled_from(
        ["", "text", "stop", "1", "\ud800", "\x00", "data: x\n\n", "models/x", "{", '{"a": NaN}']
    ),
    st.text(st.characters(), max_size=4),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)

ANSWERS = [
    Answer(("Hello", " there"), Usage(20, 10, cached=5, reasoning=2), reasoning="I think."),
    Answer(("Let me see.",), Usage(), "tool_calls", (Call("clock", {"zone": "UTC"}), Call("weather"))),
    Answer((), Usage(), refusal="No."),
]


@st.composite
def damaged(draw: Any, document: Any) -> Any:
    """A document in which one to three values are others, or are missing."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(document))
        if not places:
            break
        container, key = places[draw(st.integers(0, len(places) - 1))]
        if draw(st.booleans()):
            container[key] = draw(VALUES)
        else:
            del container[key]
    return document


def _places(value: Any) -> Iterator[Tuple[Any, Any]]:
    keys: Iterable[Any] = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])


def documents(dialect: Dialect) -> st.SearchStrategy[Any]:
    """Whole answers, mostly nearly right."""
    return st.one_of(VALUES, *[damaged(dialect.document(answer)) for answer in ANSWERS])


def streams(dialect: Dialect) -> st.SearchStrategy[Any]:
    """The events of streamed answers, mostly nearly right."""
    return st.one_of(
        st.lists(VALUES, max_size=3),
        *[damaged(list(dialect.events(answer, complete=True))) for answer in ANSWERS],
    )


def as_events(events: Iterable[Any]) -> bytes:
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return "".join(f"data: {line}\n\n" for line in lines).encode("utf-8", "replace")


# ---------------------------------------------------------------- who reads it


class Line:
    """An orchestrator of one dialect on the real adapter, whose replies are given to it."""

    def __init__(self, dialect: Dialect, ledger: Path) -> None:
        line = self
        # The last event of a Responses stream holds the answer again, and a damaged one another.
        self._ends_with_the_answer = dialect.name == "responses"

        class Canned(find_adapter(dialect.provider)):  # type: ignore[misc]
            def open_call(self, wire: Any, limits: Any) -> BufferedReply:
                return BufferedReply(line.body, {"x-request-id": "req_1"})

        self.body: Iterable[bytes] = ()
        settings = dialect.config_entry("http://127.0.0.1:9", max_retries=0)
        config = dialect.config("http://127.0.0.1:9", max_retries=0)
        config["cost_tracking"] = {"log_path": str(ledger)}
        provider = Canned(
            dialect.provider, api_key=KEY, base_url=settings["base_url"], api=settings.get("api", "auto")
        )
        self.orchestrator = LLMOrchestrator(config, providers={dialect.provider: provider})

    def ask(self, body: Iterable[bytes], *, streamed: bool, history: Any = "Hi") -> Optional[LLMResponse]:
        """The answer; None when an error of ours came instead."""
        self.body = body
        try:
            if streamed:
                stream = self.orchestrator.send_streaming_request(history)
                text = "".join(stream)
                response = stream.final_response()
                assert text == response.content or self._ends_with_the_answer
                return response
            return self.orchestrator.send_request(history)
        except ProviderError as error:
            assert error.attempts, "every error that leaves a call tells its attempts"
            assert str(error) and repr(error)
            return None


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Line]:
    folder = tmp_path_factory.mktemp("ledgers")
    return {name: Line(dialect, folder / f"{name}.csv") for name, dialect in DIALECTS.items()}


def check(response: Optional[LLMResponse]) -> None:
    """An answer is what its types say, whatever it was made of."""
    if response is None:
        return
    assert isinstance(response.content, str) and isinstance(response.model, str)
    assert isinstance(response.finish_reason, FinishReason)
    usage = response.usage
    for count in (
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    ):
        assert count is None or (type(count) is int and count >= 0), usage
    assert response.cost is None or (
        isinstance(response.cost, Decimal) and response.cost.is_finite() and response.cost >= 0
    )
    for call in response.tool_calls:
        assert isinstance(call.id, str) and isinstance(call.name, str) and isinstance(call.raw_arguments, str)
        assert call.arguments is None or isinstance(call.arguments, dict)
    assert isinstance(response.raw_response, dict) and repr(response)
    assert all(isinstance(text, str) for text in response.warnings)


@pytest.mark.parametrize("name", DIALECTS)
@given(data=st.data())
def test_any_document_is_an_answer_or_our_error(
    lines: Dict[str, Line], name: str, data: st.DataObject
) -> None:
    body = json.dumps(data.draw(documents(DIALECTS[name]))).encode()

    check(lines[name].ask([body], streamed=False))


def test_a_number_below_zero_is_no_count(lines: Dict[str, Line], dialect: Dialect) -> None:
    document = dialect.document(ANSWERS[0])
    for container, key in _places(document):
        if type(container[key]) is int:
            number, container[key] = container[key], -1
            check(lines[dialect.name].ask([json.dumps(document).encode()], streamed=False))
            container[key] = number


@pytest.mark.parametrize("name", DIALECTS)
@given(data=st.data())
def test_any_stream_is_an_answer_or_our_error(lines: Dict[str, Line], name: str, data: st.DataObject) -> None:
    body = as_events(data.draw(streams(DIALECTS[name])))

    check(lines[name].ask([body], streamed=True))


@pytest.mark.parametrize("name", DIALECTS)
@given(data=st.data())
def test_any_answer_can_stand_in_a_history(lines: Dict[str, Line], name: str, data: st.DataObject) -> None:
    """What a provider sent and we called an answer goes back to it, or is refused before anything is sent."""
    dialect, line = DIALECTS[name], lines[name]
    odd = line.ask([json.dumps(data.draw(documents(dialect))).encode()], streamed=False)
    if odd is None or odd.message is None:
        return
    results = [{"role": "tool", "tool_call_id": call.id, "content": "42"} for call in odd.tool_calls]
    history = ["Hi", odd.message, *results, {"role": "user", "content": "And?"}]
    history[0] = {"role": "user", "content": "Hi"}
    try:
        check(line.ask([dialect.whole("Yes.").content()], streamed=False, history=history))
    except OrchestratorError as refusal:
        assert str(refusal)


@pytest.mark.parametrize("name", DIALECTS)
@given(data=st.data())
def test_any_listing_is_models_or_our_error(lines: Dict[str, Line], name: str, data: st.DataObject) -> None:
    dialect, line = DIALECTS[name], lines[name]
    listing = dialect.listing([dialect.model_entry("one"), dialect.model_entry("two")], more=False)
    line.body = [json.dumps(data.draw(st.one_of(VALUES, damaged(listing)))).encode()]
    try:
        models = line.orchestrator._providers[dialect.provider].get_available_models()
    except ProviderError as error:
        assert str(error)
    else:
        assert all(isinstance(model.name, str) and model.provider == dialect.provider for model in models)


# ---------------------------------------------------------------- bounded time and memory

NESTED = {
    "lists": lambda depth: "[" * depth + "]" * depth,
    "objects": lambda depth: '{"a":' * depth + "0" + "}" * depth,
    "unclosed lists": lambda depth: "[" * depth,
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", NESTED)
@pytest.mark.parametrize("depth", [300, 900, 20_000, 500_000])
def test_deep_nesting_is_an_answer_or_our_error(
    lines: Dict[str, Line], dialect: Dialect, kind: str, depth: int, streamed: bool
) -> None:
    """In any place: what can be read may still be too deep for whoever walks through it later."""
    deep = NESTED[kind](depth)
    answer = ANSWERS[1]
    values = list(dialect.events(answer, complete=True)) if streamed else [dialect.document(answer)]
    for place in range(0, len(list(_places(values))), 7):
        document = copy.deepcopy(values)
        container, key = list(_places(document))[place]
        if isinstance(container[key], str) and kind != "unclosed lists" and place % 2:
            container[key] = deep  # as text inside a text, like the arguments of a tool call
            texts = [json.dumps(value) for value in document]
        else:
            container[key] = "@deep@"
            texts = [json.dumps(value).replace('"@deep@"', deep) for value in document]
        body = "".join(f"data: {text}\n\n" for text in texts) if streamed else texts[0]
        check(lines[dialect.name].ask([body.encode()], streamed=streamed))


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_an_answer_without_end_is_our_error(
    lines: Dict[str, Line], dialect: Dialect, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("MAX_BODY_BYTES", "MAX_EVENT_BYTES"):
        monkeypatch.setattr(f"llm_orchestrator.providers.http.reader.{limit}", 1_000_000)
    line, endless = lines[dialect.name], itertools.chain([b"data: "], itertools.repeat(b"x" * 65536))
    line.body = endless

    with pytest.raises(InvalidResponseError, match="more than"):
        if streamed:
            line.orchestrator.send_streaming_request("Hi").final_response()
        else:
            line.orchestrator.send_request("Hi")


def test_an_answer_of_50_megabytes_is_read_in_time(lines: Dict[str, Line], dialect: Dialect) -> None:
    body = dialect.whole("x" * 50_000_000).content()
    pieces = [body[start : start + 65536] for start in range(0, len(body), 65536)]
    started = time.process_time()

    response = lines[dialect.name].ask(pieces, streamed=False)

    assert response is not None and len(response.content) == 50_000_000
    assert time.process_time() - started < 5


# ---------------------------------------------------------------- configurations

FULL: Dict[str, Any] = {
    "active_provider": "openai",
    "active_model": MODEL,
    "providers": {
        "openai": {"api_key": "${HOME:-none}", "fallback_models": ["a"], "headers": {"x": "1"}, "timeout": 3},
        "anthropic": {"api_key": KEY, "options": {"max_tokens": 5}, "api_version": "2023-06-01"},
        "ollama": {"adapter": "openai", "base_url": "http://127.0.0.1:9/v1"},
        "local": {"model_path": "./model.gguf"},
    },
    "cost_tracking": {
        "log_path": "costs.csv",
        "discount": 0.9,
        "budget": {"session": 1, "day": None},
        "price_overrides": [{"provider": "openai", "model": MODEL, "rates": {"in": 1, "out": "2"}}],
    },
    "model_registry": {"cache_path": "models.json"},
}

YAML_FRAGMENTS = [
    "active_provider: openai\n", "providers:\n", "  openai:\n", "    api_key: ${KEY}\n", "${", "}", ":-", "- ",
    "&a ", "*a ", "<<: ", "!!python/object:os.system ", "!!binary ", "? ", "{", "[", "]", "'", '"', "\t", "#", "|\n",
    "---\n", "\x00", "\ufeff", "\u2028", "0x10", "1e400", ".nan", "~", "yes", "2023-06-01", "\r", "\n", "    ",
]  # fmt: skip


def load(path: Path) -> None:
    try:
        assert isinstance(ConfigManager.load_config(str(path)), OrchestratorConfig)
    except ConfigurationError as error:
        assert str(path) in str(error) and KEY not in str(error)


@given(
    data=st.binary(max_size=300)
    | st.lists(st.sampled_from(YAML_FRAGMENTS), max_size=12).map("".join).map(str.encode)
)
def test_any_file_is_a_configuration_or_our_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)

    load(path)


@given(document=damaged(FULL) | VALUES)
def test_any_mapping_is_a_configuration_or_our_error(
    tmp_path_factory: pytest.TempPathFactory, document: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "mapping.yaml"
    path.write_text(json.dumps(document))
    load(path)
    if isinstance(document, dict):
        try:
            assert isinstance(ConfigManager.load(document), OrchestratorConfig)
        except ConfigurationError as error:
            assert str(error) and KEY not in str(error)


BOMBS = {
    "nested lists": "a: " + "[" * 100_000,
    "nested maps": "".join(f"{' ' * depth}a:\n" for depth in range(900)),
    "aliases of aliases": "a0: &a0 [x]\n"
    + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]\n" for n in range(1, 12)),
    "an alias of itself": "a: &a [*a]",
    "a long line": "a: " + "x" * 900_000,
    "many variables": "a: " + "${A:-" * 50_000,
    "many keys": "".join(f"k{number}: 1\n" for number in range(60_000)),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_hostile_file_is_refused_in_time(tmp_path: Path, bomb: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(BOMBS[bomb])
    started = time.process_time()

    with pytest.raises(ConfigurationError):
        ConfigManager.load_config(str(path))

    assert time.process_time() - started < 15  # what it guards against takes minutes
