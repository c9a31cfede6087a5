"""FC11: hosts count in their own places, and each count is merged, read and priced right."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

from llm_orchestrator import (
    StreamInterruptedError,
)
from llm_orchestrator.utils.usage import in_numbers, updated_usage
from tests.support.marks import anthropic, chat, gemini
from tests.support.money import Spend, price, rows
from tests.support.scripted_server import MODEL, Dialect, Reply, ScriptedServer, Usage
from tests.support.scripted_server.replies import json_reply
from tests.support.ways import ask


def events(*chunks: Any, done: bool = True) -> Reply:
    """A stream of these chunks."""
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + (
        "data: [DONE]\n\n" if done else ""
    )
    return Reply(200, {"content-type": "text/event-stream"}, body.encode())


# ------------------------------------------------------------------------------- FC11: usage


def chunk(text: str = "", finish: Any = None, **fields: Any) -> Dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "model": MODEL, "choices": [choice], **fields}


def chat_usage(prompt: int, completion: int, **others: Any) -> Dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        **others,
    }


def in_choice(usage: Dict[str, Any]) -> Dict[str, Any]:
    last = chunk(finish="stop")
    last["choices"][0]["usage"] = usage
    return last


STREAMS: Dict[str, Callable[[], List[Any]]] = {
    "in the choice": lambda: [chunk("Hi"), in_choice(chat_usage(1000, 100))],
    "x_groq": lambda: [chunk("Hi"), chunk(finish="stop", x_groq={"usage": chat_usage(1000, 100)})],
    "every chunk": lambda: [
        chunk("Hi", usage=chat_usage(1000, 50)),
        chunk(finish="stop", usage=chat_usage(1000, 100)),
    ],
    "zeros last": lambda: [
        chunk("Hi"),
        chunk(finish="stop", usage=chat_usage(1000, 100)),
        {**chunk(usage=chat_usage(0, 0)), "choices": []},
    ],
    "null last": lambda: [
        chunk("Hi"),
        chunk(finish="stop", usage=chat_usage(1000, 100)),
        {**chunk(), "choices": [], "usage": None},
    ],
}


@chat
@pytest.mark.parametrize("place", STREAMS)
@pytest.mark.parametrize("way", ["streamed", "async streamed"])
def test_fc11_usage_is_read_where_a_host_puts_it_and_zeros_replace_nothing(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, place: str
) -> None:
    server.default = events(*STREAMS[place]())
    response = ask(spend(**price(dialect)), way)
    assert response.tokens_used == {"prompt": 1000, "completion": 100, "total": 1100}
    assert response.cost == Decimal("0.0045"), "1,000 at $3 and 100 at $15 a million"


@chat
@pytest.mark.parametrize(
    ("usage", "cost", "cached", "reasoning"),
    [
        (chat_usage(1000, 100, cached_tokens=400), "0.00342", 400, None),
        (
            chat_usage(1000, 100, prompt_cache_hit_tokens=400, prompt_cache_miss_tokens=600),
            "0.00342",
            400,
            None,
        ),
        (
            {
                **chat_usage(1000, 100),
                "total_tokens": 1300,
                "completion_tokens_details": {"reasoning_tokens": 200},
            },
            "0.0075",
            None,
            200,
        ),
        ({**chat_usage(1000, 100), "total_tokens": 1300}, "0.0075", None, None),
        ({"prompt_tokens": 1000, "total_tokens": 1100}, "0.0045", None, None),
        (chat_usage(1000, 100, reasoning_tokens=60), "0.0045", None, 60),
        ({"input_tokens": 1000, "output_tokens": 100}, "0.0045", None, None),
    ],
)
def test_fc11_the_counts_of_hosts_are_priced_right(
    spend: Spend,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    path: Path,
    usage: Dict[str, Any],
    cost: str,
    cached: Any,
    reasoning: Any,
) -> None:
    message = {"role": "assistant", "content": "Hi"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    whole = json_reply({"model": MODEL, "choices": [choice], "usage": usage})
    streamed = events(chunk("Hi"), chunk(finish="stop"), {**chunk(usage=usage), "choices": []})
    server.default = streamed if "streamed" in way else whole
    orchestrator = spend(**price(dialect))

    response = ask(orchestrator, way)

    assert response.cost == Decimal(cost)
    assert (response.usage.cached_tokens, response.usage.reasoning_tokens) == (cached, reasoning)
    assert orchestrator.cost_tracker.recompute(rows(path)[0]) == Decimal(cost)


@chat
def test_fc11_zeros_alone_are_not_a_count(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    whole = json_reply({"model": MODEL, "choices": [choice], "usage": chat_usage(0, 0)})
    server.default = (
        events(chunk("Hi"), chunk(finish="stop", usage=chat_usage(0, 0))) if "streamed" in way else whole
    )
    response = ask(spend(**price(dialect)), way)
    assert response.usage.source != "reported" and response.tokens_used["total"] is None
    assert response.cost is None, "unknown is not $0.00"


@anthropic
@pytest.mark.parametrize("way", ["streamed", "async streamed"])
def test_fc11_a_zero_at_the_end_of_a_message_erases_no_prompt(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    start = {"id": "m", "type": "message", "role": "assistant", "model": MODEL, "content": []}
    zeros = {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 2}
    usage = {"input_tokens": 100_000, "cache_read_input_tokens": 1000, "output_tokens": 1}
    server.default = events(
        {"type": "message_start", "message": {**start, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hi"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": zeros},
        {"type": "message_stop"},
        done=False,
    )
    response = ask(spend(**price(dialect)), way)
    assert (response.usage.prompt_tokens, response.usage.cached_tokens) == (101_000, 1000)
    assert response.cost == Decimal("0.30033")


def test_fc11_a_zero_beside_a_count_of_the_same_side_is_one() -> None:
    before = {"input_tokens": 100, "cache_read_input_tokens": 55_096, "output_tokens": 7}
    after = {"input_tokens": 181, "cache_read_input_tokens": 0, "output_tokens": 0}
    assert updated_usage(before, after) == {**after, "output_tokens": 7}, "a compaction came in between"

    zeros = {"prompt_tokens": 0, "completion_tokens": 9, "total_tokens": 9}
    assert updated_usage(chat_usage(1000, 5), zeros)["prompt_tokens"] == 1000, "the total is of neither side"
    with_tools = updated_usage(before, {"output_tokens": 0, "server_tool_use": {"web_search_requests": 1}})
    assert with_tools == {**before, "server_tool_use": {"web_search_requests": 1}}


@gemini
@pytest.mark.parametrize("way", ["streamed", "async streamed"])
@pytest.mark.parametrize(
    "last",
    [{"promptTokenCount": 0, "totalTokenCount": 0}, {"promptTokenCount": 0, "candidatesTokenCount": 100}],
)
def test_fc11_a_zero_at_the_end_of_geminis_stream_erases_no_prompt(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, last: Dict[str, int]
) -> None:
    def piece(text: str, finish: Any, usage: Dict[str, int]) -> Dict[str, Any]:
        candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
        return {
            "candidates": [{**candidate, **({"finishReason": finish} if finish else {})}],
            "usageMetadata": usage,
            "modelVersion": MODEL,
        }

    counts = {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}
    server.default = events(piece("H", None, counts), piece("i", "STOP", last), done=False)
    response = ask(spend(**price(dialect)), way)
    assert (response.usage.prompt_tokens, response.usage.completion_tokens) == (1000, 100)
    assert response.cost == Decimal("0.0045")


@chat
@pytest.mark.parametrize("way", ["streamed", "async streamed"])
def test_fc11_usage_beside_an_error_is_kept(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, path: Path
) -> None:
    broken = {"error": {"message": "upstream", "code": 502}, "usage": chat_usage(1000, 100)}
    server.default = events(chunk("Hi"), broken)
    with pytest.raises(StreamInterruptedError) as caught:
        ask(spend(**price(dialect)), way)
    partial = caught.value.partial_response
    assert partial is not None and partial.usage.prompt_tokens == 1000
    assert Decimal(rows(path)[0]["cost"]) == Decimal("0.0045")


@chat
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({"cost": 0.0123}, "0.0123"),
        ({"cost": {"total_cost": 0.5, "currency": "USD"}}, "0.5"),
        ({"estimated_cost": 0}, "0"),
        ({"cost_in_usd_ticks": 1330500}, "0.00013305"),
        ({"cost": "free"}, None),
        ({"cost": -1}, None),
        ({"cost": 1e300}, None),
        ({"cost": True}, None),
    ],
)
def test_fc11_a_hosts_own_price_is_kept_beside_ours(
    spend: Spend,
    server: ScriptedServer,
    dialect: Dialect,
    way: str,
    fields: Dict[str, Any],
    cost: Any,
    known: bool,
) -> None:
    usage = chat_usage(1000, 100, **fields)
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    whole = json_reply({"model": MODEL, "choices": [choice], "usage": usage})
    server.default = events(chunk("Hi"), chunk(finish="stop", usage=usage)) if "streamed" in way else whole
    response = ask(spend(**(price(dialect) if known else {})), way)
    assert response.cost == (Decimal("0.0045") if known else None)
    assert response.cost_details is not None
    assert response.cost_details.reported_cost == (None if cost is None else Decimal(cost))


def as_hosts_write(reply: Reply, form: str) -> Reply:
    """The same reply with every count as text, or as a number with a decimal point."""
    body = re.sub(rb'("\w*[tT]oken\w*": ?)(\d+)', form.encode(), reply.content())
    return Reply(reply.status, reply.headers, body)


@pytest.mark.parametrize("form", [r'\g<1>"\g<2>"', r"\g<1>\g<2>.0"], ids=["text", "float"])
def test_fc11_counts_that_are_no_whole_numbers_of_json_are_read(
    spend: Spend, server: ScriptedServer, dialect: Dialect, way: str, form: str
) -> None:
    usage = Usage(prompt=1000, completion=100, cached=400)
    reply = dialect.stream(["Hi"], usage=usage) if "streamed" in way else dialect.whole("Hi", usage=usage)
    server.script(as_hosts_write(reply, form))

    response = ask(spend(**price(dialect)), way)

    assert response.tokens_used == {"prompt": 1000, "completion": 100, "total": 1100}
    assert response.usage.cached_tokens == 400
    assert response.cost == Decimal("0.00342"), "600 at $3, 400 at $0.30 and 100 at $15 a million"


@pytest.mark.parametrize("count", ["", "many", "-5", "1.5", "9" * 12, True, 1.5, 1e300])
def test_fc11_what_is_no_count_is_unknown(count: Any) -> None:
    assert in_numbers({"prompt_tokens": count, "price": "12"}) in (
        {"prompt_tokens": count, "price": "12"},
        {"prompt_tokens": int(count) if isinstance(count, float) else count, "price": "12"},
    )
