"""The tables of what each provider supports say what the adapters do.

What an adapter supports is written in the adapter alone: in the body that it builds, in what it refuses, and in
what it reads. So each row of a table has a probe here that tries it, and a cell may say ``no`` where the probe
finds nothing, and only there.
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

import pytest

from llm_orchestrator.exceptions import NotSupportedError, OrchestratorError, ProviderError
from llm_orchestrator.providers import find_adapter
from llm_orchestrator.providers.adapter import Adapter
from llm_orchestrator.request.attachments import file_part, image_part
from llm_orchestrator.types import EmbeddingRequest, LLMRequest, LLMResponse, Message, tool_call
from llm_orchestrator.utils.values import evolve
from tests.docs.test_documents import rows_of
from tests.scenarios import test_citations as citations
from tests.scenarios import test_hosted_calls as hosted
from tests.support.raw_replies import WHOLE_ITEM, choice, completion, message, response_json
from tests.support.scripted_server import Reply

COLUMNS: Sequence[Tuple[str, Dict[str, Any]]] = (
    ("openai", {"api": "responses"}),
    ("openai", {"api": "chat"}),
    ("anthropic", {}),
    ("gemini", {}),
    ("local", {"embedding_model": "model"}),
)
CLOUDS: Sequence[Tuple[str, Dict[str, Any]]] = (
    ("azure", {"base_url": "https://resource.openai.azure.com"}),
    ("bedrock", {"region": "eu-central-1"}),
    ("vertex", {"project": "p", "region": "global"}),
    ("vertex", {"publisher": "anthropic", "project": "p", "region": "global"}),
)
HI = LLMRequest("model", (Message("user", "Hi"),))
PICTURE = "data:image/png;base64,iVBORw0KGgo="
TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
NODE = {
    "type": "object",
    "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
    "required": ["next"],
    "additionalProperties": False,
}
RECURSIVE = {"$defs": {"Node": NODE}, "$ref": "#/$defs/Node"}
FLAT = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def adapter_of(name: str, settings: Mapping[str, Any]) -> Adapter:
    is_cloud = any(name == cloud for cloud, _ in CLOUDS)
    adapter: Adapter = find_adapter(name)(
        name, api_key=None if is_cloud or name == "local" else "k", **settings
    )
    return adapter


# ---------------------------------------------------------------- what is sent

Probe = Callable[[Adapter], bool]


def is_sent(**parameters: Any) -> Probe:
    """Whether a request with these parameters is built, with a field for each."""

    def probe(adapter: Adapter) -> bool:
        request = evolve(HI, **parameters)
        try:
            wire = adapter.build_request(request, stream=False)
        except OrchestratorError as error:
            assert str(error).count(". ") >= 1, "what is wrong, and what to do"
            return False
        assert set(wire.unsupported) <= set(parameters)
        return not wire.unsupported

    return probe


def user(*parts: Mapping[str, Any]) -> Tuple[Message, ...]:
    return (Message("user", [{"type": "text", "text": "See."}, *parts]),)


def schema(given: Mapping[str, Any]) -> Dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": given}}


def with_picture_as_result() -> Tuple[Message, ...]:
    call = tool_call("call_1", "clock", "{}")
    result = Message("tool", [image_part(PICTURE)], tool_call_id="call_1")
    return (Message("user", "Hi"), Message("assistant", "", tool_calls=(call,)), result)


def both(*probes: Probe) -> Probe:
    return lambda adapter: all(probe(adapter) for probe in probes)


def counts(adapter: Adapter) -> bool:
    try:
        return bool(adapter.count_request(HI, adapter.build_request(HI, stream=False)).path)
    except ProviderError as error:
        assert "cannot count tokens" in str(error)
        return False


def embeds(adapter: Adapter) -> bool:
    try:
        return bool(adapter.embedding_request(EmbeddingRequest("model", (Message("user", "Hi"),))).path)
    except ProviderError as error:
        assert "cannot embed texts" in str(error) or "embedding_model" in str(error)
        return False


def lists(adapter: Adapter) -> bool:
    try:
        return bool(adapter.list_request(None).path)
    except NotSupportedError:
        return False


def batches(adapter: Adapter) -> bool:
    return adapter.batch_api is not None


# ---------------------------------------------------------------- what is read


BLOB = {"mimeType": "image/png", "data": "QUJD"}
USAGE = {"cached_tokens": 1, "cache_write_tokens": 1}
#: A reply with everything that the protocol can hold beside text.
SAMPLES: Dict[str, Any] = {
    "responses": response_json(
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "So."}], "encrypted_content": "x"},
        {"type": "image_generation_call", "result": "QUJD"},
        WHOLE_ITEM,
        usage={
            "input_tokens": 9,
            "output_tokens": 9,
            "input_tokens_details": USAGE,
            "output_tokens_details": {"reasoning_tokens": 1},
        },
    ),
    "chat": completion(
        choice(
            message(
                content="Hi",
                reasoning_content="So.",
                tool_calls=[{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                images=[image_part(PICTURE)],
                audio={"id": "a", "data": "QUJD"},
            )
        ),
        usage={
            "prompt_tokens": 9,
            "completion_tokens": 9,
            "prompt_tokens_details": USAGE,
            "completion_tokens_details": {"reasoning_tokens": 1},
        },
    ),
    "anthropic": {
        "type": "message",
        "content": [
            {"type": "thinking", "thinking": "So.", "signature": "x"},
            {"type": "text", "text": "Hi"},
        ],
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": 9,
            "output_tokens": 9,
            "cache_read_input_tokens": 1,
            "cache_creation_input_tokens": 1,
            "output_tokens_details": {"thinking_tokens": 1},
        },
    },
    "gemini": {
        "candidates": [
            {
                "content": {
                    "parts": [
                        {"text": "So.", "thought": True},
                        {"text": "Hi", "thoughtSignature": "x"},
                        {"inlineData": BLOB},
                        {"inlineData": {**BLOB, "mimeType": "audio/wav"}},
                    ]
                },
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 9,
            "candidatesTokenCount": 9,
            "thoughtsTokenCount": 1,
            "cachedContentTokenCount": 1,
        },
    },
}


def answer_of(adapter: Adapter, reply: Any = None) -> LLMResponse:
    """What the adapter reads of its protocol's sample, or of another reply, as a scenario scripts it."""
    kind = adapter.build_request(HI, stream=False).api if adapter.protocol in ("openai", "local") else ""
    body = (
        SAMPLES[kind or adapter.protocol]
        if reply is None
        else json.loads(reply(kind or adapter.protocol).body)
    )
    return adapter.parse_reply(body, {})


def is_read(read: Callable[[LLMResponse], Any]) -> Probe:
    return lambda adapter: bool(read(answer_of(adapter)))


def is_scripted(replies: Mapping[str, Callable[[str], Reply]], field: str) -> Probe:
    """Whether a field is filled from what a scenario has the provider's server say."""
    return lambda adapter: bool(getattr(answer_of(adapter, lambda kind: replies[kind]("whole")), field))


# ---------------------------------------------------------------- the table

PROBES: Mapping[str, Probe] = {
    "tools": is_sent(tools=(TOOL,), tool_choice="required"),
    "one call at a time": is_sent(tools=(TOOL,), parallel_tool_calls=False),
    "structured output": is_sent(response_format=schema(FLAT)),
    "recursive classes": is_sent(response_format=schema(RECURSIVE)),
    "`json_object`": is_sent(response_format={"type": "json_object"}),
    "images": both(
        is_sent(messages=user(image_part(PICTURE))),
        is_sent(messages=user(image_part("https://example.test/a.png"))),
    ),
    "PDF: path, bytes": is_sent(messages=user(file_part(b"%PDF-1.7"))),
    "PDF: URL": is_sent(messages=user(file_part("https://example.test/a.pdf"))),
    "images in the results of tools": is_sent(messages=with_picture_as_result(), tools=(TOOL,)),
    "reasoning effort": is_sent(reasoning_effort="low"),
    "reasoning text": is_read(lambda answer: answer.reasoning),
    "reasoning kept for the next turn": is_read(
        lambda answer: answer.message and answer.message.provider_state
    ),
    "tokens of reasoning": is_read(lambda answer: answer.usage.reasoning_tokens),
    "cached tokens read": is_read(lambda answer: answer.usage.cached_tokens),
    "cached tokens written": is_read(lambda answer: answer.usage.cache_write_tokens),
    "log probabilities": is_sent(logprobs=2),
    "sources": is_scripted(citations.REPLIES, "citations"),
    "images in answers": is_read(lambda answer: answer.images),
    "sound in answers": is_read(lambda answer: answer.audio),
    "results of hosted tools": is_scripted(hosted.REPLIES, "hosted_calls"),
    "tokens counted": counts,
    "vectors of texts": embeds,
    "batches": batches,
    "list of models": lists,
}
#: What the adapter of the local model would send or read as at any other host, and its server does not do.
OF_THE_SERVER = {
    "PDF: path, bytes",
    "tokens of reasoning",
    "cached tokens written",
    "sources",
    "images in answers",
    "sound in answers",
    "results of hosted tools",
}
#: Rows that are no matter of yes and no; the last has a test in test_documents.py.
IN_WORDS = {"prompt cache", "parameters without a field"}
HEADING, CLOUD_HEADING = "What each provider supports", "What each cloud supports"


def table(page: str, heading: str) -> Dict[str, List[str]]:
    """The cells of a table by what stands before the first colon or comma of their row, without links."""
    found: Dict[str, List[str]] = {}
    for name, *cells in rows_of(page, heading):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", name)
        known = sorted(filter(plain.startswith, (*PROBES, *IN_WORDS)), key=len)
        found[known[-1] if known else plain] = cells
    return found


def says_no(cell: str) -> bool:
    return re.match(r"no\b|-$", cell) is not None


@pytest.mark.parametrize("row", PROBES)
def test_the_table_says_what_the_adapters_do(row: str) -> None:
    cells = table("providers.md", HEADING)[row]
    assert len(cells) == len(COLUMNS)
    for (name, settings), cell in zip(COLUMNS, cells):
        if name == "local" and row in OF_THE_SERVER:
            assert says_no(cell)
            continue
        has_it = PROBES[row](adapter_of(name, settings))
        assert says_no(cell) is not has_it, f"{row}: {name} {settings}: {cell!r}"


def test_every_row_of_the_table_is_tried() -> None:
    assert set(table("providers.md", HEADING)) == {*PROBES, *IN_WORDS}


def test_the_table_of_clouds_says_what_their_adapters_do() -> None:
    shown = table("clouds.md", CLOUD_HEADING)
    assert {"tokens counted", "vectors of texts", "batches"} <= set(shown) <= set(PROBES)
    for row, cells in shown.items():
        for (name, settings), cell in zip(CLOUDS, cells):
            has_it = PROBES[row](adapter_of(name, settings))
            assert says_no(cell) is not has_it, f"{row}: {name} {settings}: {cell!r}"
