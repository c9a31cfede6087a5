"""The provider of the page docs/adding-a-provider.md, broken in one way for each scenario of the suite.

``test_broken_providers.py`` copies this file beside the page's own files and has pytest run it there.
"""

import asyncio
import time
from typing import ClassVar

import pytest
from parrot_provider import ENDS, Parrot, httpx
from test_parrot_provider import TestParrot as GoodParrot

from llm_orchestrator import FinishReason, TextDelta, TokenUsage
from llm_orchestrator.providers.failures import Failure
from llm_orchestrator.providers.wire import BufferedReply, WireRequest
from llm_orchestrator.testing.conformance import stream_scenarios
from llm_orchestrator.utils.values import evolve

stream_scenarios.SOON = 0.3


class Wrapped:
    """A reply that hides what is wrong with it."""

    def __init__(self, reply):
        self.reply = reply
        self.status_code, self.headers = reply.status_code, reply.headers

    def iter_bytes(self):
        try:
            yield from self.reply.iter_bytes()
        except httpx.HTTPError:
            return

    async def aiter_bytes(self):
        try:
            async for chunk in self.reply.aiter_bytes():
                yield chunk
        except (httpx.HTTPError, asyncio.CancelledError):
            return

    def close(self):
        pass

    async def aclose(self):
        pass


class KnowsItsSettings(Parrot):
    def __init__(self, name, api_key=None, base_url=None, timeout=300.0):
        super().__init__(name, api_key=api_key, base_url=base_url, timeout=timeout)


class ConnectsAtOnce(Parrot):
    def __init__(self, name, **settings):
        super().__init__(name, **settings)
        httpx.get(self.base_url, trust_env=False)


class ClosesOnce(Parrot):
    def close(self):
        clients, self._clients = self._clients, None
        clients.close()


class CountsItsRequests(Parrot):
    requests = 0

    def build_request(self, request, *, stream):
        self.requests += 1
        wire = super().build_request(request, stream=stream)
        return evolve(wire, body={**wire.body, "number": self.requests})


class SendsTheLastTurnOnly(Parrot):
    def build_request(self, request, *, stream):
        return super().build_request(evolve(request, messages=request.messages[-1:]), stream=stream)


class DropsParameters(Parrot):
    def build_request(self, request, *, stream):
        return evolve(super().build_request(request, stream=stream), unsupported=())


class ForgetsHeaders(Parrot):
    def _request(self, client, wire, limits):
        return super()._request(client, evolve(wire, headers={}), limits)


class ShowsItsKey(Parrot):
    def __repr__(self):
        return f"Parrot({self._api_key})"


class MakesUpAListing(Parrot):
    def list_request(self, cursor):
        return WireRequest("/models")

    def model_request(self, model):
        return WireRequest("/models")


class TrimsPieces(Parrot):
    def parse_event(self, event, state):
        return [TextDelta(piece.text.strip()) for piece in super().parse_event(event, state)]


class ChangesReplies(Parrot):
    """Changes every response that it reads; its subclasses say how."""

    def parse_reply(self, body, headers):
        response = super().parse_reply(body, headers)
        return evolve(response, **self.changes(response, body))


class NeedsText(ChangesReplies):
    def changes(self, response, body):
        return {"content": response.content[0] + response.content[1:]}


class GivesNoMessage(ChangesReplies):
    def changes(self, response, body):
        return {"message": None}


class CountsNoTotal(ChangesReplies):
    def changes(self, response, body):
        return {"usage": TokenUsage(response.usage.prompt_tokens, response.usage.completion_tokens)}


class CountsZero(ChangesReplies):
    def changes(self, response, body):
        read, written = body["read"] or 0, body["written"] or 0
        return {"usage": TokenUsage(read, written, read + written)}


class AlwaysStops(ChangesReplies):
    def changes(self, response, body):
        return {"finish_reason": FinishReason.STOP}


class StopsWhenInDoubt(ChangesReplies):
    def changes(self, response, body):
        return {"finish_reason": ENDS.get(body["end"], FinishReason.STOP)}


class KnowsAllFields(ChangesReplies):
    def changes(self, response, body):
        assert set(body) == {"model", "text", "end", "read", "written"}
        return {}


class TakesRepliesApart(ChangesReplies):
    def changes(self, response, body):
        body.pop("model")
        return {}


class ReadsAtOnce(Parrot):
    def open_call(self, wire, limits):
        reply = super().open_call(wire, limits)
        return BufferedReply([reply.read()])

    async def aopen_call(self, wire, limits):
        reply = await super().aopen_call(wire, limits)
        return BufferedReply([await reply.aread()])


class CallsAPartWhole(Parrot):
    def parse_event(self, event, state):
        pieces = super().parse_event(event, state)
        state.complete = True
        state.reply = {"model": "m", "end": "done", "read": None, "written": None, "text": "", **state.reply}
        return pieces


class HidesFaults(Parrot):
    def open_call(self, wire, limits):
        return Wrapped(super().open_call(wire, limits))

    async def aopen_call(self, wire, limits):
        return Wrapped(await super().aopen_call(wire, limits))


class Kept(Wrapped):
    """A reply that nobody lets go of, not even the garbage collector."""

    def iter_bytes(self):
        self.chunks = super().iter_bytes()
        return self.chunks

    def aiter_bytes(self):
        self.chunks = super().aiter_bytes()
        return self

    async def __anext__(self):
        return await self.chunks.__anext__()


class KeepsConnections(Parrot):
    kept: ClassVar = []

    def open_call(self, wire, limits):
        self.kept.append(Kept(super().open_call(wire, limits)))
        return self.kept[-1]

    async def aopen_call(self, wire, limits):
        self.kept.append(Kept(await super().aopen_call(wire, limits)))
        return self.kept[-1]


class KeepsTheTextItself(Parrot):
    text = ""

    def parse_event(self, event, state):
        self.text += event.get("text", "")
        return super().parse_event(event, state)

    def assemble_reply(self, state):
        text, self.text = self.text, ""
        return {**state.reply, "text": text}


class LooksAtNoStatus(Parrot):
    def open_call(self, wire, limits):
        client = self._clients.for_threads()
        return client.send(self._request(client, wire, limits), stream=True)

    async def aopen_call(self, wire, limits):
        client = await self._clients.for_loop()
        return await client.send(self._request(client, wire, limits), stream=True)


class ReadsNoHeaders(Parrot):
    def parse_failure(self, body, status_code, headers):
        return Failure("Failed.", status_code)


class TrustsErrorPages(Parrot):
    def translate_error(self, error):
        error.response.json()
        return super().translate_error(error)


class TakesAnythingForAnAnswer(Parrot):
    def parse_reply(self, body, headers):
        usual = {"model": "m", "text": "", "end": "done", "read": None, "written": None}
        return super().parse_reply({**usual, **body}, headers)


class MakesUpAnAnswer(Parrot):
    MADE_UP = b'{"model": "m", "text": "Sorry.", "end": "done", "read": null, "written": null}'

    def open_call(self, wire, limits):
        try:
            return BufferedReply([super().open_call(wire, limits).read()])
        except httpx.HTTPError:
            return BufferedReply([self.MADE_UP])

    async def aopen_call(self, wire, limits):
        try:
            reply = await super().aopen_call(wire, limits)
            return BufferedReply([await reply.aread()])
        except httpx.HTTPError:
            return BufferedReply([self.MADE_UP])


class KeepsTheReplyItself(Parrot):
    def open_call(self, wire, limits):
        self.reply = super().open_call(wire, limits)
        time.sleep(0.02)
        return self.reply

    async def aopen_call(self, wire, limits):
        self.reply = await super().aopen_call(wire, limits)
        await asyncio.sleep(0.02)
        return self.reply


class SharesItsLoop(Parrot):
    loop = None

    async def aopen_call(self, wire, limits):
        self.loop = self.loop or asyncio.get_running_loop()
        await asyncio.sleep(0.02)
        if asyncio.get_running_loop() is not self.loop:
            raise RuntimeError("a client of another event loop")
        return await super().aopen_call(wire, limits)


#: Which provider breaks a scenario.
BROKEN = {
    "test_an_entry_of_the_configuration_makes_it": KnowsItsSettings,
    "test_making_one_talks_to_nobody": ConnectsAtOnce,
    "test_closing_it_twice_is_fine": ClosesOnce,
    "test_building_a_request_changes_nothing": CountsItsRequests,
    "test_every_message_is_sent_in_order": SendsTheLastTurnOnly,
    "test_a_parameter_is_sent_or_named": DropsParameters,
    "test_options_and_headers_reach_the_server": ForgetsHeaders,
    "test_the_key_stays_secret": ShowsItsKey,
    "test_models_are_listed_or_said_not_to_be": MakesUpAListing,
    "test_a_model_is_validated_or_said_not_to_be": MakesUpAListing,
    "test_the_text_is_the_same_whole_and_streamed": TrimsPieces,
    "test_an_answer_may_have_no_text": NeedsText,
    "test_an_answer_says_who_gave_it": GivesNoMessage,
    "test_usage_is_what_the_server_told": CountsNoTotal,
    "test_usage_that_was_not_told_is_none": CountsZero,
    "test_why_an_answer_ended": AlwaysStops,
    "test_an_end_nobody_knows_is_other": StopsWhenInDoubt,
    "test_tool_calls": Parrot,
    "test_fields_nobody_knows_do_no_harm": KnowsAllFields,
    "test_reading_a_reply_changes_nothing": TakesRepliesApart,
    "test_a_piece_comes_when_it_was_sent": ReadsAtOnce,
    "test_a_cut_stream_is_no_answer": CallsAPartWhole,
    "test_silence_in_a_stream_ends_it": HidesFaults,
    "test_leaving_early_releases_the_connection": KeepsConnections,
    "test_two_streams_do_not_mix": KeepsTheTextItself,
    "test_a_failure_is_an_error_of_ours": LooksAtNoStatus,
    "test_how_long_to_wait_is_told": ReadsNoHeaders,
    "test_a_failure_without_words_of_the_provider": TrustsErrorPages,
    "test_what_cannot_be_read_is_no_answer": TakesAnythingForAnAnswer,
    "test_a_whole_answer_that_breaks_off_is_no_answer": MakesUpAnAnswer,
    "test_nobody_listens": MakesUpAnAnswer,
    "test_silence_is_a_timeout": MakesUpAnAnswer,
    "test_many_callers_at_once": KeepsTheReplyItself,
    "test_another_event_loop": SharesItsLoop,
    "test_event_loops_beside_each_other": SharesItsLoop,
}


class TestMisspelt(GoodParrot):
    """A scenario that does not exist cannot be left out: a slip would leave out nothing, silently."""

    not_applicable: ClassVar = {"test_tool_cals": "Parrots call no tools."}


class TestBroken(GoodParrot):
    """Every scenario, each against the provider that breaks it."""

    not_applicable: ClassVar = {}
    failed_before: ClassVar = {}

    @pytest.fixture(autouse=True)
    def _choose(self, request):
        scenario, failed = request.node.originalname, request.session.testsfailed
        if failed > self.failed_before.setdefault(scenario, failed):
            pytest.skip("one way of it has failed already, which is enough")
        self.broken = BROKEN[scenario]

    def provider(self, url, **settings):
        settings["timeout"] = min(settings["timeout"], 1.0)
        return self.broken("parrot", base_url=url, **settings)
