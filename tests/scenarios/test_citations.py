"""X8: the sources that an answer names are the same for every provider, with their place in the text."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import pytest

from llm_orchestrator import Citation
from llm_orchestrator.providers.citations import annotations_in, cited_blocks, cited_parts, grounding_of
from tests.support.fixtures import Orchestrate
from tests.support.marks import chat
from tests.support.money import answer
from tests.support.raw_replies import (
    ITEM,
    choice,
    chunk,
    completion,
    ended,
    message,
    raw,
    response_json,
)
from tests.support.scripted_server import Dialect, Reply, ScriptedServer
from tests.support.ways import ask

TEXT = "Köln: a million people."
#: Where "a million" stands, in characters and in bytes of UTF-8.
START, END = 6, 15
URL, TITLE = "https://example.test/koeln", "Cologne"


def chat_reply(way: str) -> Reply:
    place = {"start_index": START, "end_index": END}
    noted = [{"type": "url_citation", "url_citation": {"url": URL, "title": TITLE, **place}}]
    chunks = [chunk({"content": TEXT}), chunk({"annotations": noted}), chunk({}, "stop")]
    return raw(way, completion(choice(message(content=TEXT, annotations=noted))), chunks, "[DONE]")


def responses_reply(way: str) -> Reply:
    place = {"start_index": START - 6, "end_index": END - 6}
    noted = {"type": "url_citation", "url": URL, "title": TITLE, **place}
    parts = [
        {"type": "output_text", "text": TEXT[:6], "annotations": []},
        {"type": "output_text", "text": TEXT[6:], "annotations": [noted]},
    ]
    item = {**ITEM, "content": parts}
    return raw(way, response_json(item), [ended(item)])


def anthropic_reply(way: str) -> Reply:
    cited = {"type": "web_search_result_location", "url": URL, "title": TITLE, "cited_text": "1.1 million"}
    texts = [TEXT[:START], TEXT[START:END], TEXT[END:]]
    blocks: List[Dict[str, Any]] = [{"type": "text", "text": text} for text in texts]
    blocks[1]["citations"] = [cited]
    usage = {"input_tokens": 12, "output_tokens": 6}
    whole = {"type": "message", "role": "assistant", "model": "m", "usage": usage}
    events: List[Any] = [{"type": "message_start", "message": {**whole, "content": []}}]
    for index, text in enumerate(texts):
        start = {"type": "text", "text": "", **({"citations": []} if index == 1 else {})}
        deltas = [{"type": "citations_delta", "citation": cited}] if index == 1 else []
        events += [
            {"type": "content_block_start", "index": index, "content_block": start},
            *(
                {"type": "content_block_delta", "index": index, "delta": delta}
                for delta in [*deltas, {"type": "text_delta", "text": text}]
            ),
            {"type": "content_block_stop", "index": index},
        ]
    events += [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}]
    return raw(way, {**whole, "content": blocks, "stop_reason": "end_turn"}, events)


def gemini_reply(way: str) -> Reply:
    grounding = {
        "groundingChunks": [{"web": {"uri": URL, "title": TITLE}}],
        "groundingSupports": [
            {"segment": {"startIndex": START + 1, "endIndex": END + 1}, "groundingChunkIndices": [0]}
        ],
    }
    content = {"parts": [{"text": TEXT}], "role": "model"}
    candidate = {"content": content, "finishReason": "STOP", "groundingMetadata": grounding}
    begun = {"content": {"parts": [{"text": TEXT}], "role": "model"}}
    rest = {"content": {"parts": [], "role": "model"}, "finishReason": "STOP", "groundingMetadata": grounding}
    return raw(way, {"candidates": [candidate]}, [{"candidates": [begun]}, {"candidates": [rest]}])


REPLIES = {
    "chat": chat_reply,
    "responses": responses_reply,
    "anthropic": anthropic_reply,
    "gemini": gemini_reply,
}


def test_x8_a_source_has_its_address_title_and_place_and_the_turn_goes_back(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(REPLIES[dialect.name](way), answer(dialect, way))
    orchestrator = orchestrate()

    response = ask(orchestrator, way)
    question = {"role": "user", "content": "Hi"}
    ask(orchestrator, way, [question, response.message, question])

    (cited,) = response.citations
    assert (cited.url, cited.title) == (URL, TITLE)
    assert response.content[cited.start : cited.end] == "a million"
    assert cited.text == ("1.1 million" if dialect.name == "anthropic" else None)
    assert response.to_dict()["citations"][0]["url"] == URL
    sent = str(server.requests[1].body)
    assert (URL in sent) is (dialect.name != "gemini"), "Gemini keeps sources beside the turn"


@chat
@pytest.mark.parametrize("field", ["citations", "search_results"])
def test_x8_what_a_host_lists_beside_its_answer_are_sources(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str, field: str
) -> None:
    listed: Any = [URL] if field == "citations" else [{"url": URL, "title": TITLE}]
    whole = completion(choice(message(content=TEXT)), **{field: listed})
    last = {**chunk({}, "stop"), field: listed}
    server.script(raw(way, whole, [{**chunk({"content": TEXT}), field: listed}, last], "[DONE]"))

    (cited,) = ask(orchestrate(), way).citations

    assert (cited.url, cited.start, cited.end) == (URL, None, None)


def test_x8_an_answer_without_sources_has_none(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(answer(dialect, way))
    assert ask(orchestrate(), way).citations == ()


HOSTILE: Tuple[Any, ...] = (None, True, -1, 10**400, "", "x", [], [[]], {}, {"type": 3}, [{"type": []}], 1.5)


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: type(value).__name__)
def test_x8_whatever_stands_where_sources_should_is_no_error(value: Any) -> None:
    found = [
        *annotations_in([{"type": "url_citation", "url_citation": value, "start_index": value}]),
        *annotations_in(value),
        *cited_parts([{"type": "text", "text": "Hi", "annotations": value}], "Hi"),
        *cited_blocks([{"type": "text", "text": "Hi", "citations": value}]),
        *grounding_of({"groundingMetadata": value, "citationMetadata": value}, "Hi"),
        *grounding_of({"groundingMetadata": {"groundingChunks": value, "groundingSupports": value}}, "Hi"),
        *grounding_of(
            {
                "groundingMetadata": {
                    "groundingChunks": [value],
                    "groundingSupports": [{"segment": value, "groundingChunkIndices": [value, 0]}],
                }
            },
            "Hi",
        ),
        *grounding_of({"citationMetadata": {"citations": [{"endIndex": value, "uri": value}]}}, "Hi"),
    ]
    assert all(isinstance(cited, Citation) for cited in found)
