"""The calls every provider can make, written once over what its adapter translates and opens.

Merging options and completing answers happen here and nowhere else. Sync and async differ only in the lines
that wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Mapping, Optional, Tuple

from llm_orchestrator.exceptions import (
    InvalidRequestError,
    ProviderError,
    UnsupportedParameterError,
)
from llm_orchestrator.providers.adapter import Adapter
from llm_orchestrator.providers.answers import warnings_of_answer
from llm_orchestrator.providers.calls import with_ids_across_turns
from llm_orchestrator.providers.context import AttemptContext, SentRequest
from llm_orchestrator.providers.error_translation import ErrorTranslation
from llm_orchestrator.providers.halves import without_halves
from llm_orchestrator.providers.http.headers import fault_of_headers, joined_headers, reported_headers
from llm_orchestrator.providers.sending import WholeReply, aexchange, aopen_reply, exchange, open_reply
from llm_orchestrator.providers.stream import AsyncProviderStream, ProviderStream
from llm_orchestrator.providers.wire import Limits, WireRequest
from llm_orchestrator.request.options import check_options, misnamed, near_misses, with_defaults
from llm_orchestrator.request.tools import only_with_tools
from llm_orchestrator.types import (
    ADDED_FIELDS,
    DROPPABLE_PARAMETERS,
    JSON,
    EmbeddingRequest,
    Exchange,
    LLMRequest,
    LLMResponse,
    ModelInfo,
)
from llm_orchestrator.utils.hidden import hidden
from llm_orchestrator.utils.json import overridden
from llm_orchestrator.utils.lazy import LazyModule
from llm_orchestrator.utils.steps import arun, run
from llm_orchestrator.utils.text import one_line
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from llm_orchestrator.providers import background, embedding, questions
else:  # a program that asks for answers needs none of them
    background = LazyModule("llm_orchestrator.providers.background")
    embedding = LazyModule("llm_orchestrator.providers.embedding")
    questions = LazyModule("llm_orchestrator.providers.questions")

__all__ = ["BaseLLMProvider", "LLMResponse"]


class BaseLLMProvider(Adapter):
    """One configured provider: an adapter with the calls made out of its translations.

    Derive a provider from this class and write what ``Adapter`` leaves open. It serves many threads and event
    loops at once and keeps no state of a call. The constructor's arguments are those of ``Adapter``.
    """

    def send_request(self, request: LLMRequest, context: Optional[AttemptContext] = None) -> LLMResponse:
        """Ask for a whole answer.

        Args:
            request: The call.
            context: What the call knows beside the request; left out by whoever calls a provider alone.

        Returns:
            The answer.

        Raises:
            ProviderError: The provider refused, failed or could not be reached.
        """
        context = context or AttemptContext()
        with self.errors(request) as errors:
            request, errors.wire = self.prepare(request, context, stream=False)
            reply = exchange(self, errors.wire, self.limits(request, context))
            if self.poll_request(reply.body) is not None:
                waits = background.Waits(background.sleep, exchange)
                reply = run(background.finishing(self, reply, request, context, waits))
            return self._answer_in(reply, request, errors.wire, context)

    async def asend_request(
        self, request: LLMRequest, context: Optional[AttemptContext] = None
    ) -> LLMResponse:
        """Ask for a whole answer, async; see ``send_request``.

        Args:
            request: The call.
            context: What the call knows beside the request; left out by whoever calls a provider alone.

        Returns:
            The answer.

        Raises:
            ProviderError: The provider refused, failed or could not be reached.
        """
        context = context or AttemptContext()
        with self.errors(request) as errors:
            request, errors.wire = self.prepare(request, context, stream=False)
            reply = await aexchange(self, errors.wire, self.limits(request, context))
            if self.poll_request(reply.body) is not None:
                waits = background.Waits(background.asleep, aexchange)
                reply = await arun(background.finishing(self, reply, request, context, waits))
            return self._answer_in(reply, request, errors.wire, context)

    def send_streaming_request(
        self, request: LLMRequest, context: Optional[AttemptContext] = None
    ) -> ProviderStream:
        """Ask for a streamed answer and read its first piece, so that a refusal to start shows here.

        Args:
            request: The call.
            context: As for ``send_request``.

        Returns:
            The open stream.

        Raises:
            ProviderError: The provider refused, failed or could not be reached before the first piece.
        """
        context = context or AttemptContext()
        with self.errors(request) as errors:
            request, errors.wire = self.prepare(request, context, stream=True)
            reply, watch = open_reply(self, errors.wire, self.limits(request, context))
            sent = SentRequest(request, errors.wire, context)
            stream = ProviderStream(self, sent, reply, watch)
            stream.read_first()
            return stream

    async def asend_streaming_request(
        self, request: LLMRequest, context: Optional[AttemptContext] = None
    ) -> AsyncProviderStream:
        """Ask for a streamed answer and read its first piece, async; see ``send_streaming_request``.

        Args:
            request: The call.
            context: As for ``send_request``.

        Returns:
            The open stream.

        Raises:
            ProviderError: The provider refused, failed or could not be reached before the first piece.
        """
        context = context or AttemptContext()
        with self.errors(request) as errors:
            request, errors.wire = self.prepare(request, context, stream=True)
            reply, watch = await aopen_reply(self, errors.wire, self.limits(request, context))
            sent = SentRequest(request, errors.wire, context)
            stream = AsyncProviderStream(self, sent, reply, watch)
            await stream.read_first()
            return stream

    def get_available_models(self) -> List[ModelInfo]:
        """Ask the provider for its models.

        Returns:
            Everything it lists; models that cannot chat carry an ``exclusion``.

        Raises:
            ProviderError: The provider refused, failed or could not be reached.
        """
        return questions.ask(self, questions.listing(self))

    async def aget_available_models(self) -> List[ModelInfo]:
        """Ask the provider for its models, async; see ``get_available_models``.

        Returns:
            Everything it lists; models that cannot chat carry an ``exclusion``.

        Raises:
            ProviderError: The provider refused, failed or could not be reached.
        """
        return await questions.aask(self, questions.listing(self))

    def validate_model(self, model: str) -> bool:
        """Ask the provider whether it offers a model.

        Args:
            model: The model's name.

        Returns:
            Whether it does.

        Raises:
            ProviderError: The provider refused, failed or could not be reached.
        """
        return questions.ask(self, questions.validation(self, model))

    async def avalidate_model(self, model: str) -> bool:
        """Ask the provider whether it offers a model, async; see ``validate_model``.

        Args:
            model: The model's name.

        Returns:
            Whether it does.

        Raises:
            ProviderError: The provider refused, failed or could not be reached.
        """
        return await questions.aask(self, questions.validation(self, model))

    def count_tokens(self, request: LLMRequest, context: Optional[AttemptContext] = None) -> int:
        """Ask the provider how many tokens a request has.

        Args:
            request: The call.
            context: As for ``send_request``.

        Returns:
            The tokens of its input.

        Raises:
            ProviderError: The provider refused, failed, could not be reached or cannot count.
        """
        context = context or AttemptContext()
        return questions.ask(self, questions.counting(self, request, context), request, context)

    async def acount_tokens(self, request: LLMRequest, context: Optional[AttemptContext] = None) -> int:
        """Ask the provider how many tokens a request has, async; see ``count_tokens``.

        Args:
            request: The call.
            context: As for ``send_request``.

        Returns:
            The tokens of its input.

        Raises:
            ProviderError: The provider refused, failed, could not be reached or cannot count.
        """
        context = context or AttemptContext()
        return await questions.aask(self, questions.counting(self, request, context), request, context)

    def embed(
        self, request: EmbeddingRequest, context: Optional[AttemptContext] = None
    ) -> embedding.Embedded:
        """Ask for the vectors of one batch of texts.

        Args:
            request: The texts, no more than the provider takes at once.
            context: As for ``send_request``.

        Returns:
            The vectors, and what else is known of the reply, as of an answer without text.

        Raises:
            ProviderError: The provider refused, failed, could not be reached or has no embedding models.
        """
        context = context or AttemptContext()
        with self.errors(request) as errors:
            errors.wire = embedding.prepare(self, request)
            reply = exchange(self, errors.wire, self.limits(request, context))
            return embedding.embedded(self, reply, request, errors.wire, context)

    async def aembed(
        self, request: EmbeddingRequest, context: Optional[AttemptContext] = None
    ) -> embedding.Embedded:
        """Ask for the vectors of one batch of texts, async; see ``embed``.

        Args:
            request: The texts, no more than the provider takes at once.
            context: As for ``send_request``.

        Returns:
            The vectors, and what else is known of the reply, as of an answer without text.

        Raises:
            ProviderError: The provider refused, failed, could not be reached or has no embedding models.
        """
        context = context or AttemptContext()
        with self.errors(request) as errors:
            errors.wire = embedding.prepare(self, request)
            reply = await aexchange(self, errors.wire, self.limits(request, context))
            return embedding.embedded(self, reply, request, errors.wire, context)

    def warm_up(self, model: str) -> None:
        """Get ready for calls: import the SDK and open a connection, by asking for a model.

        Args:
            model: The model's name; the provider's answer does not matter.

        Raises:
            ProviderError: The provider could not be reached, or does not accept the key.
        """
        questions.ask(self, questions.greeting(self, model))

    async def awarm_up(self, model: str) -> None:
        """Get ready for async calls on the running loop; see ``warm_up``.

        Args:
            model: The model's name; the provider's answer does not matter.

        Raises:
            ProviderError: The provider could not be reached, or does not accept the key.
        """
        await questions.aask(self, questions.greeting(self, model))

    # ---------------------------------------------------------------- parts shared by the calls

    def prepare(
        self, request: LLMRequest, context: Optional[AttemptContext] = None, *, stream: bool
    ) -> Tuple[LLMRequest, WireRequest]:
        """Build what is sent: the entry's default options below the call's own, provider options on top.

        Args:
            request: The call.
            context: As for ``send_request``.
            stream: Whether the answer is to be streamed.

        Returns:
            The call with its defaults, and the request in the provider's form.

        Raises:
            InvalidRequestError: A provider option would replace what only the library may set, or HTTP cannot
                carry a header.
            UnsupportedParameterError: The protocol has no field for a parameter that may not be left out.
            ProviderError: The adapter found another fault in the request.
        """
        context = context or AttemptContext()
        try:
            asked = request
            request = with_defaults(asked, self.options, context.without)
            request, without_tools = only_with_tools(request, asked)
            messages = with_ids_across_turns(request.messages)
            request = request if messages is request.messages else evolve(request, messages=messages)
            wire = self.build_attempt(request, context, stream=stream)
            check_options(request.provider_options, request.messages)
            self._check_unsupported(wire, strict=context.strict)
            if request.extra_headers:
                self.check_headers(request.extra_headers)
        except ProviderError as error:
            error.sent = False
            raise
        wire = self._with_options(wire, request, context)
        unsent = [f"{name} was not sent: {self.name} does not take it." for name in wire.unsupported]
        warnings = (*unsent, *without_tools, *misnamed(request.provider_options), *near_misses(request))
        if warnings:
            wire = evolve(wire, warnings=wire.warnings + warnings)
        return request, self.with_headers(wire, request)

    def _with_options(self, wire: WireRequest, request: LLMRequest, context: AttemptContext) -> WireRequest:
        """Put the provider options on top; fields of ours that the model refused are taken away."""
        refused = context.without.intersection(ADDED_FIELDS) if context.without else ()
        if not (request.provider_options or refused):
            return wire
        options = self.translate_options(request.provider_options)
        return evolve(wire, body=overridden(wire.body or {}, {**dict.fromkeys(refused), **options}))

    def limits(
        self, request: Optional[LLMRequest] = None, context: Optional[AttemptContext] = None
    ) -> Limits:
        """How long one attempt may take.

        Args:
            request: The call, whose own limits count before the provider's.
            context: Its deadline counts, too.

        Returns:
            The limits.

        Raises:
            ProviderTimeoutError: The time of the whole call is over already; nothing was sent.
        """
        silence = request.timeout if request is not None and request.timeout is not None else self.timeout
        context = context or AttemptContext()
        context.check_time()
        return Limits(min(self.connect_timeout, silence), silence, context.deadline)

    def errors(
        self, request: Optional[LLMRequest] = None, wire: Optional[WireRequest] = None
    ) -> ErrorTranslation:
        """A context in which every error of SDK, HTTP library and JSON becomes one of ours.

        Args:
            request: The call, to name its model.
            wire: The request as it was sent, where it is known already.

        Returns:
            The context manager.
        """
        return ErrorTranslation(self, request, wire)

    def _check_unsupported(self, wire: WireRequest, *, strict: bool) -> None:
        for parameter in wire.unsupported:
            if strict or parameter not in DROPPABLE_PARAMETERS:
                droppable = parameter in DROPPABLE_PARAMETERS
                remedy = (
                    "Leave it out, or set on_unsupported_parameter: drop." if droppable else "Leave it out."
                )
                raise UnsupportedParameterError(
                    f"{self.name} does not take {parameter}. {remedy}", parameter=parameter
                )

    def check_headers(self, headers: Mapping[str, str]) -> None:
        """Refuse headers of a call that HTTP cannot carry.

        Args:
            headers: Values by name.

        Raises:
            InvalidRequestError: One of them is not printable ASCII, or there twice.
        """
        fault = fault_of_headers(headers)
        if fault:
            raise InvalidRequestError(f"extra_headers: {fault}")

    def _answer_in(
        self, reply: WholeReply, request: LLMRequest, wire: WireRequest, context: AttemptContext
    ) -> LLMResponse:
        halves = reply.may_hold_halves
        return self.response_of(reply.body, reply.headers, request, wire, context, may_hold_halves=halves)

    def response_of(
        self,
        body: JSON,
        headers: Mapping[str, str],
        request: LLMRequest,
        wire: WireRequest,
        context: Optional[AttemptContext] = None,
        *,
        may_hold_halves: bool = True,
    ) -> LLMResponse:
        """Make the response of a whole reply, or of one assembled from a stream.

        Args:
            body: The provider's JSON.
            headers: Headers of the reply.
            request: The call.
            wire: The request as it was sent.
            context: Is given what decides the price beside the usage.
            may_hold_halves: Whether characters of the body may be cut in two; its reader knows.

        Returns:
            The response, with what only the call knows filled in.

        Raises:
            ProviderError: The reply is a failure or cannot be read; ``usage`` is what it tells all the same.
        """
        body, halves = without_halves(body) if may_hold_halves else (body, ())
        if context is not None:
            price_headers = {name: headers[name] for name in self.price_headers if name in headers}
            context.exchange = Exchange(wire.api, wire.body or {}, price_headers, context.batch)
        try:
            response = self.parse_reply(body, headers)
        except ProviderError as error:
            error.usage = self.usage_in(body)  # a failure inside an answer is paid for, too
            raise
        redact = self.redactor_for(request).redact  # both go to log and ledger, and a server may repeat a key
        return evolve(
            response,
            model=one_line(redact(response.model or request.model)),
            requested_model=request.model,
            request_id=one_line(redact(response.request_id or self.request_id_of(headers) or "")) or None,
            warnings=response.warnings + wire.warnings + warnings_of_answer(response, request, wire) + halves,
            raw_response=body,
            headers=reported_headers(headers, redact),
        )

    def with_headers(self, wire: WireRequest, request: Optional[LLMRequest] = None) -> WireRequest:
        """Add the headers of the entry, and those of a call.

        Args:
            wire: A request as the adapter built it.
            request: The call it belongs to; None for none.

        Returns:
            The request with all its headers.
        """
        own = request.extra_headers if request is not None else {}
        if not (self.headers or own):
            return wire
        return evolve(wire, headers=hidden(joined_headers(self.headers, wire.headers, own)))
