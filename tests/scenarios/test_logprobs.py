"""X10: how likely a model found the tokens of its answer is asked for, and read, the same way everywhere."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from llm_orchestrator import FinishReason, TokenLogprob, UnsupportedParameterError
from llm_orchestrator.providers.logprobs import (
    joined_results,
    logprobs_of_candidate,
    logprobs_of_choice,
    logprobs_of_parts,
)
from tests.support.fixtures import Orchestrate
from tests.support.marks import anthropic, chat, responses
from tests.support.money import answer
from tests.support.openai_client import create
from tests.support.raw_replies import ITEM, choice, chunk, completion, ended, message, raw, response_json
from tests.support.scripted_server import Dialect, Reply, ScriptedServer
from tests.support.ways import ask

TOKENS = ("Hel", "lo", " €")
LIKELY: List[Dict[str, float]] = [
    {"Hel": -0.1, "By": -2.5},
    {"lo": 0.0, "p": -9999.0},
    {" €": -0.5, " $": -1},
]
READ = tuple(
    TokenLogprob(
        token,
        float(top[token]),
        token.encode(),
        tuple(TokenLogprob(word, float(value), word.encode()) for word, value in top.items()),
    )
    for token, top in zip(TOKENS, LIKELY)
)
#: The field in which each dialect is asked for the likeliest two at each place, and for none.
ASKED: Dict[str, Any] = {
    "chat": ({"logprobs": True, "top_logprobs": 2}, {"logprobs": True}),
    "responses": (
        {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
        {"include": ["message.output_text.logprobs"]},
    ),
    "gemini": (
        {"generationConfig": {"responseLogprobs": True, "logprobs": 2}},
        {"generationConfig": {"responseLogprobs": True}},
    ),
}
having = pytest.mark.parametrize("dialect", list(ASKED), indirect=True)


def entries(places: Any = slice(None)) -> List[Dict[str, Any]]:
    """The tokens as OpenAI writes them."""

    def entry(word: str, value: float) -> Dict[str, Any]:
        return {"token": word, "logprob": value, "bytes": list(word.encode())}

    return [
        {**entry(token, top[token]), "top_logprobs": [entry(*item) for item in top.items()]}
        for token, top in list(zip(TOKENS, LIKELY))[places]
    ]


def chat_reply(way: str) -> Reply:
    chunks = [
        chunk({"content": token}, logprobs={"content": entries(slice(place, place + 1)), "refusal": None})
        for place, token in enumerate(TOKENS)
    ]
    whole = choice(message(content="".join(TOKENS)), logprobs={"content": entries(), "refusal": None})
    return raw(way, completion(whole), [*chunks, chunk({}, "stop")], "[DONE]")


def responses_reply(way: str) -> Reply:
    part = {"type": "output_text", "text": "".join(TOKENS), "annotations": [], "logprobs": entries()}
    item = {**ITEM, "content": [part]}
    place = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0}
    deltas = [
        {**place, "delta": token, "logprobs": entries(slice(number, number + 1))}
        for number, token in enumerate(TOKENS)
    ]
    return raw(way, response_json(item), [*deltas, ended(item)])


def gemini_result(*places: int) -> Dict[str, Any]:
    def candidate(word: str, value: float) -> Dict[str, Any]:
        return {"token": word, "tokenId": 7, "logProbability": value}

    chosen = [candidate(TOKENS[place], LIKELY[place][TOKENS[place]]) for place in places]
    tops = [{"candidates": [candidate(*item) for item in LIKELY[place].items()]} for place in places]
    return {"logprobsResult": {"chosenCandidates": chosen, "topCandidates": tops}, "avgLogprobs": -0.2}


def gemini_reply(way: str) -> Reply:
    def candidate(text: str, *places: int, **fields: Any) -> Dict[str, Any]:
        content = {"parts": [{"text": text}], "role": "model"}
        return {"candidates": [{"content": content, **gemini_result(*places), **fields}]}

    events = [candidate("Hel", 0), candidate("lo €", 1, 2, finishReason="STOP")]
    return raw(way, candidate("".join(TOKENS), 0, 1, 2, finishReason="STOP"), events)


REPLIES = {"chat": chat_reply, "responses": responses_reply, "gemini": gemini_reply}


def without_bytes(logprob: TokenLogprob) -> TokenLogprob:
    return TokenLogprob(logprob.token, logprob.logprob, None, tuple(map(without_bytes, logprob.top_logprobs)))


@having
def test_x10_each_token_has_its_probability_and_the_turn_goes_back(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(REPLIES[dialect.name](way), answer(dialect, way))
    orchestrator = orchestrate()

    response = ask(orchestrator, way, logprobs=2)
    question = {"role": "user", "content": "Hi"}
    ask(orchestrator, way, [question, response.message, question])

    expected = READ if dialect.name != "gemini" else tuple(map(without_bytes, READ))
    assert response.logprobs == expected
    assert "".join(each.token for each in response.logprobs) == response.content
    assert response.to_dict()["logprobs"][0]["top_logprobs"][1]["token"] == "By"
    sent = server.requests[0].body
    assert {key: sent[key] for key in ASKED[dialect.name][0]} == ASKED[dialect.name][0]
    assert response.warnings == () and "Hello €" in str(server.requests[1].body)


@having
def test_x10_a_program_written_for_openai_s_client_has_them_in_its_form(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(REPLIES[dialect.name](way), answer(dialect, way))
    orchestrator = orchestrate()

    told = create(orchestrator, way, logprobs=True, top_logprobs=2)
    assert [token["token"] for token in told.logprobs] == list(TOKENS)
    assert [
        {each["token"]: each["logprob"] for each in token["top_logprobs"]} for token in told.logprobs
    ] == LIKELY
    if dialect.name != "gemini":  # which tells no bytes
        assert [bytes(token["bytes"]).decode() for token in told.logprobs] == list(TOKENS)
    sent = server.requests[0].body
    assert {key: sent[key] for key in ASKED[dialect.name][0]} == ASKED[dialect.name][0]

    assert create(orchestrator, way, logprobs=False).logprobs == []


@having
def test_x10_without_a_number_only_the_own_tokens_are_asked_for(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(REPLIES[dialect.name](way), answer(dialect, way), answer(dialect, way))
    orchestrator = orchestrate(options={"logprobs": True})
    ask(orchestrator, way)
    sent = server.requests[0].body
    assert {key: sent[key] for key in ASKED[dialect.name][1]} == ASKED[dialect.name][1]

    plain = orchestrate()
    assert ask(plain, way, logprobs=False).logprobs == ask(plain, way).logprobs == ()
    assert "logprobs" not in str(server.requests[1].body).lower()


@anthropic
def test_x10_where_there_are_none_nothing_is_sent(
    orchestrate: Orchestrate, server: ScriptedServer, way: str
) -> None:
    with pytest.raises(UnsupportedParameterError, match=r"does not take logprobs\. Leave it out") as raised:
        ask(orchestrate(), way, logprobs=True)
    assert raised.value.parameter == "logprobs" and server.requests == []


@having
def test_x10_a_host_that_gives_none_is_told_of(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    server.script(answer(dialect, way))
    response = ask(orchestrate(), way, logprobs=True)
    assert response.logprobs == ()
    assert [warning for warning in response.warnings if warning.startswith("logprobs was sent, but")]


@having
def test_x10_a_model_that_refuses_them_is_one_error(
    orchestrate: Orchestrate, server: ScriptedServer, dialect: Dialect, way: str
) -> None:
    words = "Unsupported parameter: 'top_logprobs' is not supported with this model."
    server.script(dialect.error(400, "unsupported_parameter", words))
    with pytest.raises(UnsupportedParameterError) as raised:
        ask(orchestrate(), way, logprobs=2)
    assert raised.value.parameter == "logprobs" and len(server.requests) == 1


@responses
@pytest.mark.parametrize("way", ["streamed", "async streamed"], indirect=True)
def test_x10_a_host_may_tell_them_only_beside_the_pieces(
    orchestrate: Orchestrate, server: ScriptedServer, way: str
) -> None:
    place = {"type": "response.output_text.delta", "output_index": 0, "logprobs": entries()}
    server.script(raw(way, {}, [{**place, "delta": "Hello €"}, ended()]))
    assert ask(orchestrate(), way, logprobs=2).logprobs == READ


@chat
def test_x10_the_form_before_chat_is_read(orchestrate: Orchestrate, server: ScriptedServer, way: str) -> None:
    def columns(*places: int) -> Dict[str, Any]:
        return {
            "tokens": [TOKENS[place] for place in places],
            "token_logprobs": [LIKELY[place][TOKENS[place]] for place in places],
            "top_logprobs": [LIKELY[place] for place in places],
        }

    chunks = [chunk({"content": token}, logprobs=columns(place)) for place, token in enumerate(TOKENS)]
    whole = completion(choice(message(content="Hello €"), logprobs=columns(0, 1, 2)))
    server.script(raw(way, whole, [*chunks, chunk({}, "stop")], "[DONE]"))
    response = ask(orchestrate(), way, logprobs=2)
    assert response.logprobs == tuple(map(without_bytes, READ))
    assert response.finish_reason is FinishReason.STOP


HOSTILE = (None, True, -1, 10**400, 1.5, "", "x", [], [[]], [None], {}, {"token": 3}, [{"token": []}], [{}])


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: type(value).__name__)
def test_x10_whatever_stands_where_they_should_is_no_error(value: Any) -> None:
    entry = {"token": value, "logprob": value, "bytes": value, "top_logprobs": value}
    columns = {"tokens": ["a", value], "token_logprobs": value, "top_logprobs": value}
    found = [
        *logprobs_of_choice(value),
        *logprobs_of_choice({"content": value}),
        *logprobs_of_choice({"content": [entry]}),
        *logprobs_of_choice(columns),
        *logprobs_of_parts([{"logprobs": value}]),
        *logprobs_of_candidate({"logprobsResult": value}),
        *logprobs_of_candidate({"logprobsResult": {"chosenCandidates": value, "topCandidates": value}}),
        *logprobs_of_candidate(
            {"logprobsResult": {"chosenCandidates": [{}], "topCandidates": [{"candidates": value}]}}
        ),
        *logprobs_of_candidate({"logprobsResult": joined_results(value, {"chosenCandidates": value})}),
    ]
    assert all(isinstance(each.token, str) for each in found)
