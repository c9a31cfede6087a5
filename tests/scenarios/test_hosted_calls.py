"""X11: what tools did that the provider runs itself is read the same way everywhere, and goes back as it came."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Tuple

import pytest

from llm_orchestrator import FinishReason, HostedCall
from llm_orchestrator.providers.anthropic.hosted import hosted_calls as of_anthropic
from llm_orchestrator.providers.gemini.hosted import hosted_calls as of_gemini
from llm_orchestrator.providers.openai.chat.hosted import hosted_calls as of_chat
from llm_orchestrator.providers.openai.responses.hosted import hosted_calls as of_responses
from tests.support.fixtures import Orchestrate
from tests.support.marks import anthropic, chat, gemini, responses
from tests.support.money import answer
from tests.support.raw_replies import ITEM, choice, chunk, completion, ended, message, raw, response_json
from tests.support.scripted_server import Dialect, Reply, ScriptedServer
from tests.support.ways import ask

Json = Dict[str, Any]

QUERY, URL, TITLE = "people of Köln", "https://example.test/koeln", "Cologne"
CODE, PRINTED = "print(6 * 7)", "42\n"
QUESTION = {"role": "user", "content": "Hi"}
TEXT = "A million, and 42."

# ---------------------------------------------------------------- one search and one run, by each provider

ITEMS: List[Json] = [
    {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": QUERY, "sources": [{"type": "url", "url": URL}]},
    },
    {
        "type": "code_interpreter_call",
        "id": "ci_1",
        "status": "completed",
        "container_id": "c1",
        "code": CODE,
        "outputs": [{"type": "logs", "logs": PRINTED}],
    },
]
BLOCKS: List[Json] = [
    {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": QUERY}},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srv_1",
        "content": [{"type": "web_search_result", "url": URL, "title": TITLE, "encrypted_content": "x=="}],
    },
    {"type": "server_tool_use", "id": "srv_2", "name": "code_execution", "input": {"code": CODE}},
    {
        "type": "code_execution_tool_result",
        "tool_use_id": "srv_2",
        "content": {
            "type": "code_execution_result",
            "stdout": PRINTED,
            "stderr": "",
            "return_code": 0,
            "content": [],
        },
    },
]
PARTS: List[Json] = [
    {"toolCall": {"id": "t1", "toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": [QUERY]}}},
    {
        "toolResponse": {
            "id": "t1",
            "toolType": "GOOGLE_SEARCH_WEB",
            "response": {"results": [{"uri": URL, "title": TITLE}]},
        }
    },
    {"executableCode": {"language": "PYTHON", "code": CODE}, "thoughtSignature": "c2ln"},
    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": PRINTED}},
]
EXECUTED: List[Json] = [
    {
        "index": 0,
        "type": "search",
        "arguments": json.dumps({"query": QUERY}),
        "search_results": {"results": [{"title": TITLE, "url": URL, "score": 0.9}]},
    },
    {"index": 1, "type": "python", "arguments": json.dumps({"code": CODE}), "output": PRINTED},
]


def chat_reply(way: str) -> Reply:
    chunks = [chunk({"executed_tools": EXECUTED}), chunk({"content": TEXT}), chunk({}, "stop")]
    whole = completion(choice(message(content=TEXT, executed_tools=EXECUTED)))
    return raw(way, whole, chunks, "[DONE]")


def responses_reply(way: str) -> Reply:
    items = [*ITEMS, {**ITEM, "content": [{"type": "output_text", "text": TEXT, "annotations": []}]}]
    added = [
        {"type": f"response.output_item.{state}", "output_index": place, "item": item}
        for place, item in enumerate(items)
        for state in ("added", "done")
    ]
    return raw(way, response_json(*items), [*added, ended(*items)])


def anthropic_events(blocks: List[Json]) -> List[Json]:
    """The events of a streamed message; the input of a call comes in pieces."""
    usage = {"input_tokens": 12, "output_tokens": 6}
    head = {"type": "message", "role": "assistant", "model": "m", "usage": usage, "content": []}
    events: List[Json] = [{"type": "message_start", "message": head}]
    for index, block in enumerate(blocks):
        start, deltas = dict(block), []
        if "input" in block:
            start["input"], written = {}, json.dumps(block["input"])
            deltas = [
                {"type": "input_json_delta", "partial_json": piece} for piece in (written[:7], written[7:])
            ]
        if block["type"] == "text":
            start["text"], deltas = "", [{"type": "text_delta", "text": block["text"]}]
        events += [
            {"type": "content_block_start", "index": index, "content_block": start},
            *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": index},
        ]
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 6}}
    return [*events, end, {"type": "message_stop"}]


def anthropic_reply(way: str, blocks: Any = BLOCKS) -> Reply:
    told = [*blocks, {"type": "text", "text": TEXT}]
    usage = {"input_tokens": 12, "output_tokens": 6}
    whole = {"type": "message", "role": "assistant", "model": "m", "usage": usage, "stop_reason": "end_turn"}
    return raw(way, {**whole, "content": told}, anthropic_events(told))


def gemini_reply(way: str, parts: Any = PARTS, **beside: Any) -> Reply:
    def candidate(*said: Json, **fields: Any) -> Json:
        return {"candidates": [{"content": {"parts": list(said), "role": "model"}, **fields}]}

    text = {"text": TEXT}
    events = [*(candidate(part) for part in parts), candidate(text), candidate(finishReason="STOP", **beside)]
    return raw(way, candidate(*parts, text, finishReason="STOP", **beside), events)


REPLIES = {
    "chat": chat_reply,
    "responses": responses_reply,
    "anthropic": anthropic_reply,
    "gemini": gemini_reply,
}
#: What must be in the next request, in the place where the provider put it.
SENT: Dict[str, Tuple[str, Any]] = {
    "chat": ("messages", {"role": "assistant", "content": TEXT, "executed_tools": EXECUTED}),
    "responses": ("input", ITEMS[0]),
    "anthropic": ("messages", {"role": "assistant", "content": [*BLOCKS, {"type": "text", "text": TEXT}]}),
    "gemini": ("contents", {"role": "model", "parts": [*PARTS, {"text": TEXT}]}),
}


def test_x11_what_was_asked_what_came_and_the_sources_are_read_and_go_back(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(REPLIES[dialect.name](way), answer(dialect, way))
    orchestrator = orchestrate()

    response = ask(orchestrator, way)
    ask(orchestrator, way, [QUESTION, response.message, QUESTION])

    search, run = response.hosted_calls
    assert (search.name, search.asked, search.output, search.error) == ("web_search", (QUERY,), None, None)
    (source,) = search.sources
    assert (source.url, source.title) == (URL, None if dialect.name == "responses" else TITLE)
    assert (run.name, run.asked, run.output, run.sources) == ("code_execution", (CODE,), PRINTED, ())
    assert response.tool_calls == () and response.finish_reason is FinishReason.STOP
    assert response.to_dict()["hosted_calls"][1]["output"] == PRINTED
    field, sent = SENT[dialect.name]
    assert sent in server.requests[1].body[field]


def test_x11_an_answer_of_text_alone_has_none(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(answer(dialect, way))
    assert ask(orchestrate(), way).hosted_calls == ()


# ---------------------------------------------------------------- tools of one provider


def told(call: HostedCall) -> Tuple[Any, ...]:
    """A call in short, its sources by address, title, text and id."""
    sources = [tuple(filter(None, (each.url, each.title, each.text, each.file_id))) for each in call.sources]
    return call.name, call.asked, call.output, sources, call.error


@responses
@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (
            [
                {
                    "type": "web_search_call",
                    "action": {"type": "find_in_page", "url": URL, "pattern": "million"},
                }
            ],
            ("web_search", ("million",), None, [], None),
        ),
        (
            [
                {
                    "type": "file_search_call",
                    "queries": ["a", "b"],
                    "results": [{"file_id": "f1", "filename": "a.pdf", "text": "So.", "score": 0.5}],
                }
            ],
            ("file_search", ("a", "b"), None, [("a.pdf", "So.", "f1")], None),
        ),
        (
            [
                {
                    "type": "mcp_call",
                    "name": "roll",
                    "arguments": '{"dice": 2}',
                    "output": "7",
                    "server_label": "d",
                }
            ],
            ("roll", ('{"dice": 2}',), "7", [], None),
        ),
        (
            [
                {
                    "type": "mcp_call",
                    "name": "roll",
                    "arguments": "{}",
                    "error": {"code": 5, "message": "No dice"},
                }
            ],
            ("roll", ("{}",), None, [], "No dice"),
        ),
        (
            [
                {"type": "shell_call", "call_id": "c1", "action": {"commands": ["ls", "pwd"]}},
                {
                    "type": "shell_call_output",
                    "call_id": "c1",
                    "output": [{"stdout": "a\n", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
                },
            ],
            ("shell", ("ls", "pwd"), "a\n", [], None),
        ),
        (
            [
                {
                    "type": "code_interpreter_call",
                    "status": "failed",
                    "code": CODE,
                    "outputs": [{"type": "image", "url": URL}],
                }
            ],
            ("code_execution", (CODE,), None, [(URL,)], "failed"),
        ),
        (
            [{"type": "image_generation_call", "result": "QUJD", "revised_prompt": "a cat"}],
            ("image_generation", ("a cat",), None, [], None),
        ),
    ],
    ids=["in a page", "files", "mcp", "mcp failed", "shell", "image of code", "image"],
)
def test_x11_tools_of_openai(
    orchestrate: Orchestrate, server: ScriptedServer, way: str, items: List[Json], expected: Any
) -> None:
    server.script(raw(way, response_json(*items), [ended(*items)]))
    (call,) = ask(orchestrate(), way).hosted_calls
    shown = told(call)
    assert shown == expected
    assert list(call.raw) == items


@responses
def test_x11_what_waits_for_the_application_is_none(
    orchestrate: Orchestrate, server: ScriptedServer, way: str
) -> None:
    items = [
        {"type": "computer_call", "id": "c", "call_id": "c1", "action": {"type": "screenshot"}},
        {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}"},
    ]
    server.script(raw(way, response_json(*items), [ended(*items)]))
    response = ask(orchestrate(), way)
    assert response.hosted_calls == () and len(response.tool_calls) == 1


@anthropic
@pytest.mark.parametrize(
    ("name", "given", "content", "expected"),
    [
        (
            "web_fetch",
            {"url": URL},
            {
                "type": "web_fetch_result",
                "url": URL,
                "content": {
                    "type": "document",
                    "title": TITLE,
                    "source": {"type": "text", "media_type": "text/plain", "data": "Page."},
                },
            },
            ("web_fetch", (URL,), "Page.", [(URL, TITLE)], None),
        ),
        (
            "web_fetch",
            {"url": URL},
            {"type": "web_fetch_tool_result_error", "error_code": "url_not_accessible"},
            ("web_fetch", (URL,), None, [], "url_not_accessible"),
        ),
        (
            "bash_code_execution",
            {"command": "ls"},
            {
                "type": "bash_code_execution_result",
                "stdout": "a\n",
                "stderr": "b\n",
                "content": [{"type": "bash_code_execution_output", "file_id": "f1"}],
            },
            ("code_execution", ("ls",), "a\nb\n", [("f1",)], None),
        ),
        (
            "text_editor_code_execution",
            {"command": "view", "path": "/a"},
            {"type": "text_editor_code_execution_view_result", "content": "line", "file_type": "text"},
            ("code_execution", ("view",), "line", [], None),
        ),
        (
            "tool_search_tool_bm25",
            {"query": "dice"},
            {
                "type": "tool_search_tool_search_result",
                "tool_references": [{"type": "tool_reference", "tool_name": "roll"}],
            },
            ("tool_search", ("dice",), "roll", [], None),
        ),
    ],
    ids=["page", "no page", "bash", "editor", "tools"],
)
def test_x11_tools_of_anthropic(
    orchestrate: Orchestrate,
    server: ScriptedServer,
    way: str,
    name: str,
    given: Any,
    content: Any,
    expected: Any,
) -> None:
    blocks = [
        {"type": "server_tool_use", "id": "s1", "name": name, "input": given},
        {"type": f"{name}_tool_result", "tool_use_id": "s1", "content": content},
    ]
    server.script(anthropic_reply(way, blocks))
    (call,) = ask(orchestrate(), way).hosted_calls
    assert told(call) == expected


@anthropic
@pytest.mark.parametrize("is_error", [False, True])
def test_x11_tools_of_mcp_servers_at_anthropic(
    orchestrate: Orchestrate, server: ScriptedServer, way: str, is_error: bool
) -> None:
    content = [{"type": "text", "text": "No dice."}]
    blocks = [
        {"type": "mcp_tool_use", "id": "m1", "name": "roll", "server_name": "d", "input": {"dice": 2}},
        {"type": "mcp_tool_result", "tool_use_id": "m1", "is_error": is_error, "content": content},
    ]
    server.script(anthropic_reply(way, blocks))
    (call,) = ask(orchestrate(), way).hosted_calls
    output, error = (None, "No dice.") if is_error else ("No dice.", None)
    assert told(call) == ("roll", ('{"dice": 2}',), output, [], error)


@gemini
def test_x11_what_gemini_tells_beside_the_parts(
    orchestrate: Orchestrate, server: ScriptedServer, way: str
) -> None:
    grounding = {
        "webSearchQueries": [QUERY, "Cologne"],
        "groundingChunks": [
            {"web": {"uri": URL, "title": TITLE}},
            {"retrievedContext": {"title": "a.pdf", "text": "So."}},
            {"maps": {"uri": "https://maps.test", "title": "Dom"}},
        ],
    }
    pages = [
        {"retrievedUrl": URL, "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS"},
        {"retrievedUrl": URL, "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_PAYWALL"},
    ]
    beside = {"groundingMetadata": grounding, "urlContextMetadata": {"urlMetadata": pages}}
    server.script(gemini_reply(way, [], **beside))
    assert list(map(told, ask(orchestrate(), way).hosted_calls)) == [
        ("web_search", (QUERY, "Cologne"), None, [(URL, TITLE)], None),
        ("file_search", (), None, [("a.pdf", "So.")], None),
        ("maps", (), None, [("https://maps.test", "Dom")], None),
        ("web_fetch", (URL,), None, [(URL,)], None),
        ("web_fetch", (URL,), None, [], "URL_RETRIEVAL_STATUS_PAYWALL"),
    ]


@gemini
def test_x11_a_search_that_gemini_tells_twice_is_one_call(
    orchestrate: Orchestrate, server: ScriptedServer, way: str
) -> None:
    grounding = {"webSearchQueries": [QUERY], "groundingChunks": [{"web": {"uri": URL, "title": TITLE}}]}
    server.script(gemini_reply(way, PARTS[:2], groundingMetadata=grounding))
    (call,) = ask(orchestrate(), way).hosted_calls
    assert told(call) == ("web_search", (QUERY,), None, [(URL, TITLE)], None)


@gemini
def test_x11_code_that_fails_at_gemini_says_so(
    orchestrate: Orchestrate, server: ScriptedServer, way: str
) -> None:
    failed = {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "ZeroDivisionError"}}
    server.script(gemini_reply(way, [PARTS[2], failed]))
    (call,) = ask(orchestrate(), way).hosted_calls
    assert told(call) == ("code_execution", (CODE,), "ZeroDivisionError", [], "OUTCOME_FAILED")


@chat
def test_x11_arguments_that_are_no_json_are_shown_as_they_came(
    orchestrate: Orchestrate, server: ScriptedServer, way: str
) -> None:
    executed = [{"type": "browser", "arguments": "open it"}]
    said = {"content": TEXT, "executed_tools": executed}
    server.script(raw(way, completion(choice(message(**said))), [chunk(said), chunk({}, "stop")], "[DONE]"))
    (call,) = ask(orchestrate(), way).hosted_calls
    assert told(call) == ("browser", ("open it",), None, [], None)


HOSTILE = (None, True, -1, 10**400, 1.5, "", "x", [], [[]], {}, {"type": 3}, [{"type": []}], {"url": {}})


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: type(value).__name__)
def test_x11_whatever_stands_where_calls_should_is_no_error(value: Any) -> None:
    fields = (
        "action",
        "outputs",
        "output",
        "results",
        "arguments",
        "error",
        "status",
        "id",
        "call_id",
        "name",
    )
    everything = dict.fromkeys(
        [*fields, "queries", "content", "input", "tool_use_id", "args", "response"], value
    )
    results = ("web_search_tool_result", "mcp_tool_result")
    found = [
        *(
            call
            for kind in ("web_search_call", "mcp_call", "program")
            for call in of_responses(
                [{**everything, "type": kind}, {**everything, "type": "shell_call_output"}], []
            )
        ),
        *(
            call
            for kind in ("server_tool_use", "mcp_tool_use")
            for call in of_anthropic(
                [{**everything, "type": kind}, *({**everything, "type": result} for result in results)]
            )
        ),
        *of_gemini({}, [{"executableCode": value}, {"codeExecutionResult": value}]),
        *of_gemini({}, [{"toolCall": everything}, {"toolResponse": everything}]),
        *of_gemini({"groundingMetadata": value, "urlContextMetadata": value}, []),
        *of_gemini({"groundingMetadata": {"groundingChunks": [value], "webSearchQueries": value}}, []),
        *of_gemini({"groundingMetadata": {"groundingChunks": [{"web": value}]}}, []),
        *of_gemini({"urlContextMetadata": {"urlMetadata": [value, {"retrievedUrl": value}]}}, []),
        *of_chat(value),
        *of_chat([{**everything, "search_results": value}]),
        *of_chat([{"type": value, "search_results": {"results": value}}]),
    ]
    assert all(isinstance(call.name, str) and all(map(str, call.asked)) for call in found)
