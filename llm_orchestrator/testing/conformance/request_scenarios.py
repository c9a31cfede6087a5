"""What a provider sends: the whole request, except parameters that it reports as unsupported."""

from __future__ import annotations

import asyncio
import copy
import json
import traceback
from typing import Any, Dict, Mapping

import pytest

from llm_orchestrator.calls.providers import settings_of
from llm_orchestrator.config.manager import ProviderConfig
from llm_orchestrator.exceptions import ConfigurationError, ProviderError
from llm_orchestrator.testing.conformance.answer import KEY, Answer
from llm_orchestrator.testing.conformance.bench import MODEL, Bench, Scenarios
from llm_orchestrator.types import LLMRequest, Message
from llm_orchestrator.utils.values import evolve

__all__ = ["RequestScenarios"]

HI = LLMRequest(MODEL, (Message("user", "Hi"),))
TOOL = {"type": "function", "function": {"name": "clock", "description": "The time.", "parameters": {}}}
SCHEMA = {"name": "clock", "schema": {"type": "object", "properties": {"hour": {"type": "integer"}}}}
#: A value for each parameter of a call that a protocol may have a field for.
PARAMETERS: Mapping[str, Any] = {
    "temperature": 0.25,
    "max_tokens": 77,
    "top_p": 0.5,
    "top_k": 3,
    "stop": ("END",),
    "seed": 7,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.25,
    "tools": (TOOL,),
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "response_format": {"type": "json_schema", "json_schema": SCHEMA},
    "reasoning_effort": "low",
    "logprobs": 2,
}
CONVERSATION = [
    {"role": "system", "content": "instruction"},
    {"role": "user", "content": "question-one"},
    {"role": "assistant", "content": "answer-one"},
    {"role": "user", "content": "question-two"},
]


class RequestScenarios(Scenarios):
    """How a request is built, and that it is sent."""

    def test_an_entry_of_the_configuration_makes_it(self, bench: Bench) -> None:
        """Every setting of an entry is passed to the constructor, which must accept unknown ones."""
        given = bench.provider()
        entry = ProviderConfig(base_url=bench.server.url, headers={"x-team": "blue"}, timeout=7)
        made = type(given)("entry", **settings_of(entry))
        assert (made.name, made.base_url, made.timeout) == ("entry", bench.server.url, 7)
        assert made.headers == {"x-team": "blue"}, "the base class must be given the settings of the entry"

    def test_making_one_talks_to_nobody(self, bench: Bench) -> None:
        """A provider connects at its first call, so that a program can start without the server."""
        bench.orchestrator()
        assert bench.server.requests == []

    def test_closing_it_twice_is_fine(self, bench: Bench) -> None:
        """A provider can be closed twice, unused and used, sync and async."""
        unused, used = bench.provider(), bench.provider()
        bench.answers("whole", Answer())
        used.send_request(HI)
        for provider in (unused, used):
            provider.close()
            provider.close()
            asyncio.run(provider.aclose())

    def test_building_a_request_changes_nothing(self, bench: Bench) -> None:
        """The same request gives the same JSON every time, and is not changed."""
        request = evolve(HI, temperature=0.25, max_tokens=77, provider_options={"nested": {"a": [1]}})
        before = copy.deepcopy(request)
        provider = bench.provider()
        for stream in (False, True):
            first = provider.build_request(request, stream=stream)
            second = provider.build_request(request, stream=stream)
            assert (first.path, first.body) == (second.path, second.body), "it must depend on nothing else"
            json.dumps(first.body)
        assert request == before, "build_request must not change the request"

    def test_every_message_is_sent_in_order(self, bench: Bench, way: str) -> None:
        """The whole conversation is sent, with the system message and earlier turns."""
        bench.answers(way, Answer())
        bench.ask(way, messages=CONVERSATION)
        body = bench.server.requests[0].body.decode()
        missing = [message["content"] for message in CONVERSATION if message["content"] not in body]
        assert not missing, f"not sent: {missing}"
        turns = [body.index(message["content"]) for message in CONVERSATION[1:]]
        assert turns == sorted(turns), "the turns must be sent in their order"

    @pytest.mark.parametrize("parameter", PARAMETERS)
    def test_a_parameter_is_sent_or_named(self, bench: Bench, parameter: str) -> None:
        """A parameter changes the request or is reported as unsupported; it is never silently dropped."""
        needs_tools = parameter in ("tool_choice", "parallel_tool_calls")
        without = evolve(HI, tools=(TOOL,)) if needs_tools else HI
        set_to: Dict[str, Any] = {parameter: PARAMETERS[parameter]}
        provider = bench.provider()
        try:
            plain = provider.build_request(without, stream=False)
            wire = provider.build_request(evolve(without, **set_to), stream=False)
        except ProviderError:
            return  # refused with an error that names it, or because of the tools it needs
        sent = (wire.path, wire.body, wire.headers) != (plain.path, plain.body, plain.headers)
        named = parameter in wire.unsupported or (needs_tools and "tools" in wire.unsupported)
        assert sent or named, f"{parameter} is neither sent nor in WireRequest.unsupported"
        assert not (sent and named), f"{parameter} is sent and yet in WireRequest.unsupported"

    def test_options_and_headers_reach_the_server(self, bench: Bench, way: str) -> None:
        """``open_call`` sends the body and headers it is passed, with those of the entry and the call."""
        bench.answers(way, Answer())
        asked = bench.orchestrator(options={"entry_option": 7}, headers={"x-entry": "1"})
        bench.ask(way, orchestrator=asked, call_option="eight", extra_headers={"x-call": "2"})
        (request,) = bench.server.requests
        assert b"entry_option" in request.body and b"call_option" in request.body
        assert (request.headers.get("x-entry"), request.headers.get("x-call")) == ("1", "2")

    def test_the_key_stays_secret(self, bench: Bench, way: str, caplog: pytest.LogCaptureFixture) -> None:
        """The key is not in an address, log, repr or error, not even when the server repeats it."""
        caplog.set_level("DEBUG")
        bench.fails(401, f"The key {KEY} is wrong.")
        asked = bench.orchestrator()
        with pytest.raises(ProviderError) as caught:
            bench.ask(way, orchestrator=asked)
        error = caught.value
        shown = [str(error), repr(error), repr(bench.provider()), caplog.text]
        shown += traceback.format_exception(type(error), error, None)
        assert not [text for text in shown if KEY in text], "the key is shown"
        assert KEY not in bench.server.requests[0].path, "the key must not be part of an address"

    def test_models_are_listed_or_said_not_to_be(self, bench: Bench) -> None:
        """A provider lists its models or says that it cannot; it does not return an empty list instead."""
        provider = bench.provider()
        for listed in (provider.get_available_models, lambda: asyncio.run(provider.aget_available_models())):
            listing = self.listing(["chat-one", "chat-two"])
            if listing is None:
                with pytest.raises(ConfigurationError):
                    listed()
                continue
            bench.answers_with(listing)
            assert [model.name for model in listed()] == ["chat-one", "chat-two"]
            assert bench.server.requests[-1].method == "GET"
        provider.close()

    def test_a_model_is_validated_or_said_not_to_be(self, bench: Bench) -> None:
        """A provider validates its models, or says that it cannot."""
        provider = bench.provider()
        model = self.model("chat-one")
        if model is None:
            with pytest.raises(ConfigurationError):
                provider.validate_model("chat-one")
            return
        bench.answers_with(model)
        assert provider.validate_model("chat-one") is True
        bench.fails(404)
        assert provider.validate_model("missing") is False
        provider.close()
