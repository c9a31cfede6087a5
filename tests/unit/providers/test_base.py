"""What the base does for every provider: options, parameters, limits, errors, listings, whole answers."""

from __future__ import annotations

import asyncio
import json
import math
import time
from dataclasses import replace
from typing import Any, Callable, Dict, List, Optional

import pytest

from llm_orchestrator.exceptions import (
    ConfigurationError,
    InvalidMessagesError,
    InvalidRequestError,
    InvalidResponseError,
    ModelNotFoundError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    ServerError,
    UnsupportedParameterError,
)
from llm_orchestrator.providers import questions
from llm_orchestrator.providers.adapter import Adapter
from llm_orchestrator.providers.base import BaseLLMProvider
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.direct import _Requests
from llm_orchestrator.providers.failures import Failure, error_of_failure
from llm_orchestrator.providers.http import deadlines
from llm_orchestrator.providers.wire import BufferedReply, Limits, StreamState, WireRequest
from llm_orchestrator.request.options import RESERVED_OPTIONS
from llm_orchestrator.types import LLMRequest, LLMResponse
from tests.support.small_adapter import DROP, REQUEST, Reply, SmallAdapter

ANSWER = b'{"text": "Hello.", "usage": 7}'


def request(**parameters: Any) -> LLMRequest:
    return replace(REQUEST, **parameters)


def body_of(adapter: SmallAdapter, **parameters: Any) -> Dict[str, Any]:
    _, wire = adapter.prepare(request(**parameters), stream=False)
    assert wire.body is not None
    return wire.body


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def send(request: pytest.FixtureRequest) -> Callable[..., LLMResponse]:
    """Sends a request for a whole answer, sync or async."""

    def ask(
        adapter: SmallAdapter, asked: LLMRequest = REQUEST, context: Optional[AttemptContext] = None
    ) -> LLMResponse:
        if is_async:
            return asyncio.run(adapter.asend_request(asked, context))
        return adapter.send_request(asked, context)

    is_async = request.param
    return ask


# ---------------------------------------------------------------- what is sent


@pytest.mark.parametrize(
    ("entry", "call", "expected"),
    [
        ({}, {}, {}),
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1, "b": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1, "y": 1}}, {"a": {"y": 2, "z": 3}}, {"a": {"x": 1, "y": 2, "z": 3}}),
        ({"a": {"x": 1}}, {"a": None}, {}),
        ({"a": {"x": 1, "y": 1}}, {"a": {"x": None}}, {"a": {"y": 1}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
    ],
)
def test_options_of_the_entry_below_those_of_the_call(entry: Any, call: Any, expected: Any) -> None:
    body = body_of(SmallAdapter(options=entry), provider_options=call)
    assert body == {"model": "model-1", "stream": False, "temperature": None, **expected}


def test_options_come_last_and_change_neither_argument() -> None:
    options, call = {"temperature_range": {"low": 0}}, {"temperature_range": {"high": 1}}
    body = body_of(SmallAdapter(options=options), provider_options=call)
    assert body["temperature_range"] == {"low": 0, "high": 1}
    assert (options, call) == ({"temperature_range": {"low": 0}}, {"temperature_range": {"high": 1}})


@pytest.mark.parametrize(("asked", "expected"), [(None, 0.1), (0.9, 0.9), (0.0, 0.0)])
def test_an_entrys_parameter_holds_where_the_call_has_none(asked: Optional[float], expected: float) -> None:
    assert body_of(SmallAdapter(options={"temperature": 0.1}), temperature=asked)["temperature"] == expected


@pytest.mark.parametrize("name", RESERVED_OPTIONS)
@pytest.mark.parametrize("place", ["entry", "call"])
def test_options_may_not_replace_what_the_library_sets(name: str, place: str) -> None:
    adapter = SmallAdapter(ANSWER, options={name: "mine"} if place == "entry" else {})
    asked = request(provider_options={name: "mine"} if place == "call" else {})
    with pytest.raises(InvalidRequestError, match=name) as caught:
        adapter.send_request(asked)
    assert caught.value.sent is False and adapter.sent == []
    assert (caught.value.provider, caught.value.model) == ("small", "model-1")


def test_headers_of_entry_adapter_and_call_in_that_order() -> None:
    adapter = SmallAdapter(headers={"x-entry": "e", "x-wire": "e", "x-call": "e"})
    _, wire = adapter.prepare(request(extra_headers={"x-call": "c"}), stream=False)
    assert wire.headers == {"x-entry": "e", "x-wire": "w", "x-call": "c"}


@pytest.mark.parametrize(
    "headers", [{"x-a": "b\nc: d"}, {"x-a": "ä"}, {"x-ä": "b"}, {"x-a\r": "b"}, {"x a": "b"}]
)
def test_a_header_that_http_cannot_carry_is_refused_without_its_value(headers: Dict[str, str]) -> None:
    adapter = SmallAdapter(ANSWER)
    with pytest.raises(InvalidRequestError, match="extra_headers") as caught:
        adapter.send_request(request(extra_headers=headers))
    assert caught.value.sent is False and adapter.sent == []
    assert "c: d" not in str(caught.value)


def test_a_parameter_without_a_field_is_left_out_with_a_warning(send: Callable[..., LLMResponse]) -> None:
    response = send(SmallAdapter(ANSWER), request(top_k=40))
    assert response.warnings == ("top_k was not sent: small does not take it.",)


@pytest.mark.parametrize(
    ("asked", "strict"),
    [({"top_k": 40}, True), ({"stop": ("END",)}, False)],
    ids=["strict", "not droppable"],
)
def test_a_parameter_without_a_field_is_refused(asked: Dict[str, Any], strict: bool) -> None:
    adapter = SmallAdapter(ANSWER)
    with pytest.raises(UnsupportedParameterError) as caught:
        adapter.send_request(request(**asked), AttemptContext(strict=strict))
    assert caught.value.parameter == next(iter(asked))
    assert caught.value.sent is False and adapter.sent == []


@pytest.mark.parametrize(
    ("asked", "expected"), [({}, InvalidRequestError), ({"temperature": 0.5}, UnsupportedParameterError)]
)
def test_only_a_parameter_that_was_sent_can_be_left_out(asked: Dict[str, Any], expected: type) -> None:
    def refuse(wire: WireRequest) -> Any:
        raise error_of_failure(Failure("No.", 400, ("unsupported_value",), "temperature"))

    with pytest.raises(InvalidRequestError) as caught:
        SmallAdapter(answer=refuse).send_request(request(**asked))
    assert type(caught.value) is expected
    assert (caught.value.status_code, caught.value.code, caught.value.model) == (
        400,
        "unsupported_value",
        "model-1",
    )


CIRCLE: List[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, math.nan, "\ud800", b"bytes", CIRCLE],
    ids=["object", "set", "nan", "surrogate", "bytes", "circle"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_written_as_json_is_a_fault_of_the_request(value: Any, stream: bool) -> None:
    def encode(wire: WireRequest) -> Any:
        _Requests.body_of(wire)
        pytest.fail("this can be written")

    adapter, asked = SmallAdapter(answer=encode), request(provider_options={"option": value})
    calls: List[Callable[[], Any]] = [
        lambda: (adapter.send_streaming_request if stream else adapter.send_request)(asked),
        lambda: asyncio.run((adapter.asend_streaming_request if stream else adapter.asend_request)(asked)),  # type: ignore[operator]
    ]
    for call in calls:
        with pytest.raises(InvalidRequestError, match="cannot be written as JSON") as caught:
            call()
        assert caught.value.sent is False and caught.value.model == "model-1"


@pytest.mark.parametrize("error", [TypeError("a fault of the adapter"), ValueError("no JSON")])
def test_other_faults_at_sending_stay_what_they_are(error: Exception) -> None:
    def fail(wire: WireRequest) -> Any:
        raise error

    expected: Any = TypeError if isinstance(error, TypeError) else InvalidResponseError
    with pytest.raises(expected):
        SmallAdapter(answer=fail).send_request(REQUEST)


# ---------------------------------------------------------------- limits


def test_limits_of_the_entry_and_of_the_call() -> None:
    adapter = SmallAdapter(timeout=30, connect_timeout=5)
    assert adapter.limits() == Limits(5, 30, math.inf)
    assert adapter.limits(REQUEST) == Limits(5, 30, math.inf)
    deadline = time.monotonic() + 100
    assert adapter.limits(request(timeout=2), AttemptContext(deadline)) == Limits(2, 2, deadline)


def test_connecting_takes_no_longer_than_the_timeout() -> None:
    assert SmallAdapter(timeout=3).connect_timeout == 3


@pytest.mark.parametrize("left", [0, -5])
def test_a_call_whose_time_is_over_is_not_sent(send: Callable[..., LLMResponse], left: float) -> None:
    adapter = SmallAdapter(ANSWER)
    with pytest.raises(ProviderTimeoutError, match="total_timeout") as caught:
        send(adapter, REQUEST, AttemptContext(time.monotonic() + left))
    assert caught.value.sent is False and adapter.sent == []


def test_the_head_waits_for_the_smaller_of_both_limits() -> None:
    assert Limits(1, 30).head() == 30
    assert 1 < Limits(1, 30, time.monotonic() + 2).head() <= 2
    assert Limits(1, 30, time.monotonic() - 2).head() == 0.001, "zero would mean no limit to some libraries"


# ---------------------------------------------------------------- whole answers and errors


def test_a_whole_answer(send: Callable[..., LLMResponse]) -> None:
    adapter = SmallAdapter(ANSWER[:5], ANSWER[5:])
    context = AttemptContext()
    response = send(adapter, REQUEST, context)
    assert (response.content, response.usage.prompt_tokens) == ("Hello.", 7)
    assert (response.model, response.requested_model, response.request_id) == (
        "model-1",
        "model-1",
        "request-1",
    )
    assert response.raw_response == {"text": "Hello.", "usage": 7}
    assert context.exchange is not None and context.exchange.api == "chat"
    assert adapter.replies[0].closed == 1


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b""], InvalidResponseError),
        ([b"<html>"], InvalidResponseError),
        ([b'{"text": ', DROP], ProviderConnectionError),
        ([b'{"error": "overloaded"}'], ServerError),
    ],
    ids=["empty", "HTML", "a drop", "an error with status 200"],
)
def test_a_whole_answer_that_is_none(
    send: Callable[..., LLMResponse], chunks: List[Any], expected: type
) -> None:
    adapter = SmallAdapter(*chunks)
    with pytest.raises(ProviderError) as caught:
        send(adapter)
    assert type(caught.value) is expected
    assert (caught.value.provider, caught.value.model) == ("small", "model-1")
    assert adapter.replies[0].closed == 1
    assert caught.value.__cause__ is (DROP if DROP in chunks else caught.value.__cause__)


@pytest.mark.parametrize(
    "error", [InvalidMessagesError("messages[0] is empty.", index=0), KeyboardInterrupt()]
)
def test_errors_that_are_not_the_providers_pass(
    send: Callable[..., LLMResponse], error: BaseException
) -> None:
    adapter = SmallAdapter(error)
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            adapter.send_request(REQUEST)
    else:
        with pytest.raises(InvalidMessagesError) as caught:
            send(adapter)
        assert caught.value is error
    assert adapter.replies[0].closed == 1


def test_a_whole_answer_leaves_nothing_behind() -> None:
    before = set(deadlines._Watchdog.running()._watches)

    async def main() -> int:
        loop: Any = asyncio.get_running_loop()
        await SmallAdapter(ANSWER).asend_request(REQUEST)
        return sum(not handle.cancelled() for handle in loop._scheduled)

    SmallAdapter(ANSWER).send_request(REQUEST)
    assert asyncio.run(main()) == 0
    assert deadlines._Watchdog.running()._watches == before


def test_a_deadline_that_passed_while_the_head_was_waited_for(send: Callable[..., LLMResponse]) -> None:
    replies: List[Reply] = []

    def late(wire: WireRequest) -> Reply:
        while time.monotonic() < deadline:
            pass
        replies.append(Reply([ANSWER]))
        return replies[-1]

    deadline = time.monotonic() + 0.2  # a busy machine takes its time to begin
    with pytest.raises(ProviderTimeoutError):
        send(SmallAdapter(answer=late), REQUEST, AttemptContext(deadline))
    assert [reply.closed for reply in replies] == [1]


# ---------------------------------------------------------------- models


PAGES = {
    "models?after=": {"models": ["a", "b"], "next": "p2"},
    "models?after=p2": {"models": ["c"], "next": "p3"},
    "models?after=p3": {"models": []},
    "models/a": {"id": "a"},
}


def from_pages(pages: Dict[str, Any]) -> Callable[[WireRequest], BufferedReply]:
    def answer(wire: WireRequest) -> BufferedReply:
        assert (wire.method, wire.headers) == ("GET", {"x-entry": "e"})
        page = pages.get(wire.path)
        if page is None:
            raise ModelNotFoundError("There is no such model.", status_code=404)
        return BufferedReply([json.dumps(page).encode()])

    return answer


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def models(request: pytest.FixtureRequest) -> Any:
    """Lists and validates models, sync or async."""

    class Models:
        def __init__(self, pages: Dict[str, Any]) -> None:
            self.adapter = SmallAdapter(answer=from_pages(pages), headers={"x-entry": "e"})

        def list(self) -> List[str]:
            adapter = self.adapter
            found = (
                asyncio.run(adapter.aget_available_models()) if is_async else adapter.get_available_models()
            )
            return [model.name for model in found]

        def validate(self, model: str) -> bool:
            adapter = self.adapter
            return asyncio.run(adapter.avalidate_model(model)) if is_async else adapter.validate_model(model)

    is_async = request.param
    return Models


def test_a_listing_is_read_page_by_page(models: Any) -> None:
    asked = models(PAGES)
    assert asked.list() == ["a", "b", "c"]
    assert [wire.path for wire, _ in asked.adapter.sent] == list(PAGES)[:3]


def test_pages_that_lead_in_a_circle_end(models: Any) -> None:
    pages = {
        "models?after=": {"models": ["a"], "next": "x"},
        "models?after=x": {"models": ["b"], "next": "y"},
        "models?after=y": {"models": ["c"], "next": "x"},
    }
    assert models(pages).list() == ["a", "b", "c"]


def test_fd6_pages_without_end_end(models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "MAX_PAGES", 5)
    pages = {
        f"models?after={number or ''}": {"models": ["a"], "next": str(number + 1)} for number in range(1000)
    }
    asked = models(pages)
    with pytest.raises(InvalidResponseError, match="more than 5 pages"):
        asked.list()
    assert len(asked.adapter.sent) == 5


def test_fd6_all_requests_of_a_listing_share_its_time(models: Any) -> None:
    asked = models(PAGES)
    asked.list()
    deadlines = {limits.deadline for _, limits in asked.adapter.sent}
    assert len(deadlines) == 1 and max(deadlines) < time.monotonic() + asked.adapter.timeout


def test_a_listing_that_fails_is_the_providers_error(models: Any) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        models({}).list()
    assert (caught.value.provider, caught.value.model) == ("small", None)


def test_a_failure_inside_a_listing_names_the_provider(models: Any) -> None:
    with pytest.raises(ServerError) as caught:
        models({"models?after=": {"error": "overloaded"}}).list()
    assert caught.value.provider == "small"


def test_validating_a_model(models: Any) -> None:
    assert models(PAGES).validate("a") is True
    assert models(PAGES).validate("missing") is False


def test_the_adapter_reads_whether_a_model_is_offered(models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SmallAdapter, "offers", lambda self, model, body: body["id"] != model)
    assert models(PAGES).validate("a") is False


def test_a_provider_that_cannot_list_or_validate_says_so() -> None:
    class Silent(SmallAdapter):
        list_request = Adapter.list_request
        model_request = Adapter.model_request
        parse_models = Adapter.parse_models

    with pytest.raises(ConfigurationError, match="cannot list its models"):
        Silent().get_available_models()
    with pytest.raises(ConfigurationError, match="cannot validate"):
        asyncio.run(Silent().avalidate_model("a"))
    assert Silent().parse_models({}) == ([], None)


# ---------------------------------------------------------------- the adapter's own


@pytest.mark.parametrize("key", ["sk-\n", "sk key", "schlüssel", "\tsk"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigurationError, match="api_key") as caught:
        SmallAdapter(api_key=key)
    assert key not in str(caught.value)


def test_the_repr_shows_no_key() -> None:
    adapter = SmallAdapter(api_key="sk-secret", base_url="http://127.0.0.1:1")
    assert repr(adapter) == "SmallAdapter('small', base_url='http://127.0.0.1:1')"


@pytest.mark.parametrize(
    ("name", "base_url", "expected"),
    [("mine", None, "small"), ("small", "http://127.0.0.1", "small"), ("mine", "http://127.0.0.1", "mine")],
)
def test_whose_price_list_holds(name: str, base_url: Optional[str], expected: str) -> None:
    adapter = SmallAdapter(base_url=base_url)
    adapter.name = name
    assert adapter.price_provider == expected
    assert adapter.model_kinds == "small"


def test_what_an_adapter_need_not_write() -> None:
    adapter, state = SmallAdapter(), StreamState()
    state.reply["text"] = "Hi"
    assert adapter.assemble_reply(state) == {"text": "Hi"}
    assert adapter.translate_options({"a": 1}) == {"a": 1}
    assert adapter.request_id_of({"request-id": "r", "x-request-id": ""}) == "r"
    assert adapter.request_id_of({}) is None
    adapter.close()
    asyncio.run(adapter.aclose())


def test_what_an_adapter_must_write() -> None:
    with pytest.raises(TypeError, match="abstract"):
        BaseLLMProvider("mine")  # type: ignore[abstract]


def test_a_buffered_reply_closes_its_source() -> None:
    closed: List[str] = []

    def source(name: str) -> Any:
        try:
            yield b"{}"
        finally:
            closed.append(name)

    async def read(reply: BufferedReply) -> None:
        assert [chunk async for chunk in reply.aiter_bytes()] == [b"{}"]
        await BufferedReply([b"x"]).aclose()

    one, two = BufferedReply(source("one")), BufferedReply(source("two"), {"a": "b"})
    assert next(one.iter_bytes()) == b"{}"
    one.close()
    asyncio.run(read(two))
    assert closed == ["one", "two"] and two.headers == {"a": "b"}
