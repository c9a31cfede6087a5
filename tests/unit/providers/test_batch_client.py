"""The client of the batch APIs: who has one, how a batch is searched for, how results are read."""

from __future__ import annotations

import asyncio
from typing import Any, Dict, List, Optional, Tuple

import pytest

from llm_orchestrator.exceptions import InvalidRequestError, InvalidResponseError
from llm_orchestrator.providers import batches as client_module
from llm_orchestrator.providers.anthropic_adapter import AnthropicAdapter
from llm_orchestrator.providers.batch_values import BatchStatus, moment_of
from llm_orchestrator.providers.batches import BatchClient, Wanted, _Lines
from llm_orchestrator.providers.clouds.azure import AzureAdapter
from llm_orchestrator.providers.clouds.bedrock import BedrockAdapter
from llm_orchestrator.providers.clouds.vertex import VertexAdapter
from llm_orchestrator.providers.gemini_legacy.adapter import GeminiLegacyAdapter
from llm_orchestrator.providers.http.core.messages import MAX_BODY_BYTES, ReplyParser
from llm_orchestrator.providers.local_adapter import LocalAdapter
from llm_orchestrator.providers.openai_adapter import OpenAIAdapter
from llm_orchestrator.testing import FakeProvider
from llm_orchestrator.types import LLMRequest

TEMPLATE = LLMRequest("m", ())


@pytest.mark.parametrize(
    "provider",
    [
        AzureAdapter("azure", api_key="k", base_url="https://resource.example"),
        BedrockAdapter("bedrock", api_key="k", region="r"),
        VertexAdapter("vertex", publisher="anthropic", project="p", region="r"),
        VertexAdapter("vertex", publisher="google", project="p", region="r"),
        GeminiLegacyAdapter("gemini-legacy", api_key="k"),
        LocalAdapter("local", model_path="m.gguf"),
        FakeProvider(["Hi"]),
    ],
    ids=lambda provider: type(provider).__name__,
)
def test_a_provider_without_a_batch_api_says_so(provider: Any) -> None:
    with pytest.raises(InvalidRequestError, match="has no batch API"):
        BatchClient(provider, TEMPLATE)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (1700000000, 1700000000.0),
        ("2023-11-14T22:13:20Z", 1700000000.0),
        ("2023-11-14T22:13:20.123456789Z", 1700000000.0),
        ("2023-11-15T00:13:20+02:00", 1700000000.0),
        ("yesterday", None),
        (None, None),
        ({}, None),
    ],
)
def test_moments_are_read_in_every_form(value: Any, moment: Optional[float]) -> None:
    assert moment_of(value) == moment


@pytest.mark.parametrize(
    "pieces", [[b'{"a": 1}\r\n{"b": 2}\n\n{"c": 3}'], [b'{"a"', b': 1}\n{"b": 2}', b'\n{"c": 3}\n']]
)
def test_lines_are_read_however_they_are_cut(pieces: List[bytes]) -> None:
    lines = _Lines()
    found = [value for piece in [*pieces, None] for value in lines.feed(piece)]
    assert found == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert lines.unreadable == 0


def test_a_line_that_is_no_object_is_counted_and_the_others_are_read() -> None:
    lines = _Lines()
    found = [value for piece in [b'{"a": 1}\n{"b\n[1]\n{"c": 3}\n{"d"', None] for value in lines.feed(piece)]
    assert (found, lines.unreadable) == ([{"a": 1}, {"c": 3}], 3)


def test_a_line_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_EVENT_BYTES", 10)
    lines = _Lines()
    with pytest.raises(InvalidResponseError, match="more than 10 bytes"):
        list(lines.feed(b"x" * 11))


def test_only_results_may_be_larger_than_an_answer() -> None:
    parser = ReplyParser()
    parser.begin("GET", 10 * MAX_BODY_BYTES)
    assert parser._limit == 10 * MAX_BODY_BYTES
    parser.complete = True
    parser.begin("GET")
    assert parser._limit == MAX_BODY_BYTES


class Listing(BatchClient):
    """A client whose listing and results are given."""

    def __init__(self, provider: Any, batches: List[BatchStatus], first: Dict[str, str]) -> None:
        super().__init__(provider, TEMPLATE)
        self._batches = batches
        self._first = first

    async def _page(self, cursor: Optional[str]) -> Tuple[List[BatchStatus], Optional[str]]:
        return self._batches, None

    async def _first_id(self, status: BatchStatus) -> Optional[str]:
        return self._first.get(status.id)


def search(provider: Any, *batches: BatchStatus, **first: str) -> Tuple[Optional[str], bool]:
    wanted = Wanted("mark", 10_000.0, 3, {"known"})
    found, is_undecided = asyncio.run(Listing(provider, list(batches), first).find(wanted))
    return found.id if found else None, is_undecided


def batch(name: str, state: str = "ended", **facts: Any) -> BatchStatus:
    return BatchStatus(name, state, **{"total": 3, "created_at": 10_001.0, **facts})


def test_a_batch_is_found_by_its_mark() -> None:
    provider = OpenAIAdapter("openai", api_key="k")
    others = (batch("a", mark="other"), batch("b", "running"))
    assert search(provider, *others, batch("c", "running", mark="mark")) == ("c", False)
    assert search(provider, *others) == (None, False)
    assert search(provider, batch("old", created_at=1.0), batch("c", mark="mark")) == (None, False), "too old"


def test_where_no_mark_is_kept_a_batch_is_found_by_the_ids_of_its_requests() -> None:
    provider = AnthropicAdapter("anthropic", api_key="k")
    found = {"a": "other-0", "b": "mark-2", "known": "mark-0", "longer": "mark2-0"}
    assert search(provider, batch("a"), batch("b"), **found) == ("b", False)
    assert search(provider, batch("a"), batch("known"), batch("longer"), **found) == (None, False)
    assert search(provider, batch("b", total=4), **found) == (None, False), "it has as many requests"


def test_a_batch_under_way_that_may_be_the_one_leaves_it_open() -> None:
    provider = AnthropicAdapter("anthropic", api_key="k")
    assert search(provider, batch("x", "running")) == (None, True)
    assert search(provider, batch("x", "running"), batch("b"), b="mark-0") == ("b", False)
    assert search(provider, batch("x", "running", total=4)) == (None, False)
    assert search(provider, batch("known", "running")) == (None, False)
