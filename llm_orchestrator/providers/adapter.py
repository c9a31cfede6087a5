"""What the author of a provider writes: pure translation, and one method, in two forms, that talks.

Translation turns our request into the provider's JSON and its JSON into our values, without a socket. Talking
opens one HTTP call through the vendor's SDK. ``base`` makes calls out of these.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import abc
from typing import TYPE_CHECKING, Any, ClassVar, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from llm_orchestrator.exceptions import (
    ConfigurationError,
    InvalidRequestError,
    InvalidResponseError,
    NotSupportedError,
    ProviderError,
)
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.failures import Failure, error_of_failure, field_at_fault, words_of
from llm_orchestrator.providers.http.exceptions import error_of_transport
from llm_orchestrator.providers.http.headers import fault_of_headers, is_header_text
from llm_orchestrator.providers.http.reader import read_document
from llm_orchestrator.providers.http.redaction import Redactor, secret_headers, secrets_beside
from llm_orchestrator.providers.wire import Limits, RawReply, StreamState, WireRequest
from llm_orchestrator.types import (
    JSON,
    MODEL_PARAMETERS,
    EmbeddingRequest,
    LLMRequest,
    LLMResponse,
    ModelInfo,
    StreamEvent,
    TokenUsage,
)
from llm_orchestrator.utils.hidden import hidden
from llm_orchestrator.utils.lazy import LazyModule
from llm_orchestrator.utils.text import one_line
from llm_orchestrator.utils.urls import host_in

if TYPE_CHECKING:
    from llm_orchestrator.providers import batch_values, embedding
else:
    batch_values = LazyModule("llm_orchestrator.providers.batch_values")
    embedding = LazyModule("llm_orchestrator.providers.embedding")

__all__ = ["Adapter"]

DEFAULT_TIMEOUT = 300.0
DEFAULT_CONNECT_TIMEOUT = 10.0


class Adapter(ABC):
    """One configured provider: translates, and talks through the vendor's SDK client.

    An adapter serves many threads and event loops at once and keeps no state of a call.

    Args:
        name: Name of the provider entry, as errors and the ledger show it.
        api_key: The key; adapters that need one raise ConfigurationError at first use without it.
        base_url: Where the API is, when not at the vendor's own address.
        timeout: Seconds to the first byte, and of silence between events.
        options: Default request options, merged into every JSON body.
        connect_timeout: Seconds to establish a connection; never more than ``timeout``.
        headers: HTTP headers sent with every request.
        allow_missing_finish_reason: Accept a stream that ends cleanly without saying that it is complete.
        **settings: Settings of the entry that only some adapters know; kept in ``settings``.

    Raises:
        ConfigurationError: The key or a header holds characters that HTTP cannot carry.
    """

    #: Whose JSON the adapter speaks; prices and the kinds of models are found by it.
    protocol: ClassVar[str] = ""
    #: Who answers, in the words of OpenTelemetry's ``gen_ai.provider.name``; empty: the name of the entry.
    service: ClassVar[str] = ""
    #: Whether the adapter knows the settings below ``compat`` of an entry.
    takes_compat: ClassVar[bool] = False
    #: How many requests the provider works on at once while others wait; None where it refuses others.
    parallel_requests: ClassVar[Optional[int]] = None
    #: Most texts in one request of ``embed``; None where no limit is known.
    embedding_texts: ClassVar[Optional[int]] = None
    #: Most tokens of all texts in one request of ``embed``; None where no limit is known.
    embedding_tokens: ClassVar[Optional[int]] = None
    #: Most tokens of an answer where a call sets no ``max_tokens``; None where the provider decides.
    default_max_tokens: ClassVar[Optional[int]] = None
    #: Reply headers that may hold the provider's id of the request.
    request_id_headers: ClassVar[Tuple[str, ...]] = ("x-request-id", "request-id")
    #: The field of a reply that has the provider's id of the answer.
    response_id_field: ClassVar[str] = "id"
    #: Reply headers that decide a price, in lower case.
    price_headers: ClassVar[Tuple[str, ...]] = ()
    #: The translation of its batch API, a ``batches`` module of a protocol; None where it has none.
    batch_api: ClassVar[Optional[batch_values.BatchTranslation]] = None
    #: Types of the events that only say that the connection is alive; they do not end a silence.
    keep_alive_events: ClassVar[Tuple[str, ...]] = ("ping", "keepalive")

    def __init__(
        self,
        name: str,
        *,
        api_key: Optional[str] = None,
        base_url: Optional[str] = None,
        timeout: float = DEFAULT_TIMEOUT,
        options: Optional[JSON] = None,
        connect_timeout: float = DEFAULT_CONNECT_TIMEOUT,
        headers: Optional[Mapping[str, str]] = None,
        allow_missing_finish_reason: bool = False,
        **settings: Any,
    ) -> None:
        if api_key is not None and (" " in api_key or not is_header_text(api_key)):
            raise ConfigurationError(
                f"The api_key of provider {name!r} holds characters that no HTTP header can carry. "
                "Check it for blanks, line ends and quotes."
            )
        fault = fault_of_headers(headers or {})
        if fault:
            raise ConfigurationError(f"headers of provider {name!r}: {fault}")
        self.name = name
        self.base_url = base_url
        self.timeout = timeout
        self.connect_timeout = min(connect_timeout, timeout)
        self.options: Dict[str, Any] = dict(options or {})
        self.headers: Dict[str, str] = hidden(headers or {})
        self.allow_missing_finish_reason = allow_missing_finish_reason
        self.settings = settings
        self._api_key = api_key
        public = (name, self.protocol, host_in(base_url))
        self.redactor = Redactor(secrets_beside(public, [api_key, *secret_headers(self.headers)]))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, base_url={self.base_url!r})"

    def redactor_for(self, request: Optional[LLMRequest]) -> Redactor:
        """Find what keeps the credentials of a call secret: the entry's own, and those in its extra headers.

        Args:
            request: The call; None when there is none.

        Returns:
            The entry's ``redactor``, or one that knows more.
        """
        secrets = secret_headers(request.extra_headers) if request and request.extra_headers else ()
        return self.redactor.including(secrets) if secrets else self.redactor

    def asks_for(self, request: LLMRequest, parameter: str) -> bool:
        """Tell whether a call sets a parameter, by itself or by the entry's default options.

        Args:
            request: The call.
            parameter: A parameter's name; one that is not a field of the request counts as set.

        Returns:
            Whether it is set.
        """
        return getattr(request, parameter, True) not in (None, ()) or parameter in self.options

    def names_set(self, request: LLMRequest, *, stream: bool) -> FrozenSet[str]:
        """Name everything that a call sets, by itself or by the entry's default options.

        Args:
            request: The call.
            stream: Whether the answer is streamed, which counts as ``stream``.

        Returns:
            Names of parameters, and of fields of the provider's body.
        """
        parameters = (name for name in MODEL_PARAMETERS if getattr(request, name) not in (None, ()))
        streamed = ("stream",) if stream else ()
        return frozenset((*parameters, *request.provider_options, *self.options, *streamed))

    def form_sent(self, request: LLMRequest, parameter: str) -> Optional[str]:
        """Name the form in which a parameter was sent, where the provider knows another one.

        It is asked when the model rejected the parameter and ``WireRequest.forms`` names no form. The next
        request is then built without that form first: it is in ``AttemptContext.without``.

        Args:
            request: The call, with the entry's default options.
            parameter: The parameter that was rejected.

        Returns:
            The form's name; None where there is no other.
        """
        return None

    def has_other_key(self, raised: BaseException, error: ProviderError) -> bool:
        """Tell whether a failed request may be sent again at once, with another key.

        Args:
            raised: The exception as it was raised.
            error: What it was translated into.

        Returns:
            Whether there is another key, or the same one was asked for anew.
        """
        return False

    @property
    def is_direct(self) -> bool:
        """Whether it talks without an SDK, over replies that keep the limits of a call themselves."""
        return False

    @property
    def price_provider(self) -> str:
        """Whose price list holds: the vendor's, unless another host speaks its protocol."""
        return self.protocol if self.base_url is None or self.name == self.protocol else self.name

    def price_provider_of(self, model: str) -> str:
        """Whose price list holds for one model; ``price_provider`` unless an adapter knows better.

        Args:
            model: The model as it is asked for.

        Returns:
            Name of the price list.
        """
        return self.price_provider

    @property
    def batch_headers(self) -> Mapping[str, str]:
        """Headers, beside those of entry and credential, of everything that is asked about batches."""
        return {}

    @property
    def model_kinds(self) -> str:
        """Which list of model kinds tells chat models from others in this provider's listing."""
        return self.protocol

    # ---------------------------------------------------------- pure translation, for subclasses to write

    @abstractmethod
    def build_request(self, request: LLMRequest, *, stream: bool) -> WireRequest:
        """Translate a request into the provider's JSON.

        Args:
            request: The call.
            stream: Whether the answer is to be streamed.

        Returns:
            Path, body and headers.

        Raises:
            InvalidMessagesError: The provider would reject the messages.
            InvalidRequestError: The protocol cannot express the request.
        """

    def build_attempt(self, request: LLMRequest, context: AttemptContext, *, stream: bool) -> WireRequest:
        """Translate a request with what the call knows beside it; for adapters that make use of it.

        Args:
            request: The call.
            context: What is known of the model, and which parameters and forms of them it rejects.
            stream: Whether the answer is to be streamed.

        Returns:
            Path, body and headers; what ``build_request`` gives unless the adapter overrides this.
        """
        return self.build_request(request, stream=stream)

    @abstractmethod
    def parse_reply(self, body: JSON, headers: Mapping[str, str]) -> LLMResponse:
        """Translate the provider's whole answer.

        Args:
            body: The provider's JSON.
            headers: Headers of the reply, names in lower case.

        Returns:
            The answer.

        Raises:
            ProviderError: The provider reports a failure in the body.
        """

    @abstractmethod
    def parse_event(self, event: JSON, state: StreamState) -> Sequence[StreamEvent]:
        """Translate one event of a stream and remember what it adds to the reply.

        Args:
            event: The event's JSON.
            state: The memory of this stream; ``complete`` is set once the provider says the answer is whole.

        Returns:
            The pieces the event carries, often none.

        Raises:
            ProviderError: The event reports a failure.
        """

    def usage_in(self, body: JSON) -> Optional[TokenUsage]:
        """Read the usage alone, of a reply that is a failure or cannot be read.

        Args:
            body: The provider's JSON.

        Returns:
            The usage that it tells; None where it tells none.
        """
        return None

    def assemble_reply(self, state: StreamState) -> JSON:
        """Put together the document that ``parse_reply`` would have been given for an unstreamed answer.

        Args:
            state: The memory of the stream.

        Returns:
            The provider's JSON as far as it came.
        """
        return state.reply

    def continuation(self, request: LLMRequest, response: LLMResponse) -> Optional[LLMRequest]:
        """Build the request that goes on with an answer that its provider paused.

        Args:
            request: The call that was answered.
            response: Its answer, with the provider's JSON in ``raw_response``.

        Returns:
            The next request; None when the answer is the provider's last word, as most are.
        """
        return None

    def is_unfinished(self, response: LLMResponse) -> bool:
        """Tell whether the provider left an answer unfinished that cannot be asked to go on.

        Args:
            response: The answer, with the provider's JSON in ``raw_response``.

        Returns:
            Whether more should have come.
        """
        return False

    def join_replies(self, earlier: JSON, later: JSON) -> JSON:
        """Put the JSON of a paused answer and of what continues it together, as one reply.

        Args:
            earlier: The provider's JSON so far.
            later: That of the reply that continued it.

        Returns:
            The JSON of one whole reply, for ``parse_reply``.
        """
        return later

    def background_options(self, request: LLMRequest, window: str) -> Mapping[str, Any]:
        """Name the provider options for an answer in the background, cheaper the longer it may take.

        Args:
            request: What will be asked.
            window: The longest that it may take: ``2h``, ``8h``.

        Returns:
            Options to send with the request.

        Raises:
            InvalidRequestError: The provider has no such windows.
        """
        raise InvalidRequestError(f'{self.name!r} has no background windows. Use mode="now" or mode="batch".')

    def poll_request(self, body: JSON) -> Optional[WireRequest]:
        """Build the request that asks how far an answer is that the provider works on in the background.

        Args:
            body: The provider's JSON.

        Returns:
            A GET request, answered in the form of the first reply; None when the answer is there.
        """
        return None

    def check_polled(self, body: JSON, headers: Mapping[str, str]) -> None:
        """Look at the reply to a ``poll_request``, which may be no answer although its status is 200.

        Args:
            body: The provider's JSON.
            headers: Headers of the reply.

        Raises:
            ProviderError: The reply is a failure, or of another form; the provider may still be at work.
        """
        return None

    def parse_failure(self, body: JSON, status_code: Optional[int], headers: Mapping[str, str]) -> Failure:
        """Read the provider's description of a failure.

        Args:
            body: The provider's JSON.
            status_code: HTTP status; None for an event of a stream.
            headers: Headers of the reply.

        Returns:
            What the provider said.
        """
        error = body.get("error")
        detail = error if isinstance(error, abc.Mapping) else {}
        codes = tuple(str(detail[key]) for key in ("code", "type", "status") if detail.get(key))
        parameter = detail.get("param")
        named = parameter if isinstance(parameter, str) else field_at_fault(body)
        return Failure(words_of(body), status_code, codes, named, headers)

    def list_request(self, cursor: Optional[str]) -> WireRequest:
        """Build the request for one page of the provider's models.

        Args:
            cursor: Where the page begins, from ``parse_models``; None for the first.

        Returns:
            A GET request.

        Raises:
            NotSupportedError: The provider cannot list its models; it is a ConfigurationError.
        """
        raise NotSupportedError(
            f"Provider {self.name!r} cannot list its models. Take their names from its documentation."
        )

    def model_request(self, model: str) -> WireRequest:
        """Build the request that asks for one model.

        Args:
            model: The model's name.

        Returns:
            A GET request that fails with 404 for a model that does not exist.

        Raises:
            NotSupportedError: The provider cannot say; it is a ConfigurationError.
        """
        raise NotSupportedError(f"Provider {self.name!r} cannot validate models. Call the model to find out.")

    def offers(self, model: str, body: JSON) -> bool:
        """Read the reply to ``model_request``.

        Args:
            model: The model asked for.
            body: The provider's JSON.

        Returns:
            Whether the provider offers the model; it usually says so by not answering 404.
        """
        return True

    def parse_models(self, body: JSON) -> Tuple[List[ModelInfo], Optional[str]]:
        """Translate one page of the listing.

        Args:
            body: The provider's JSON.

        Returns:
            The models, those that cannot chat marked by ``exclusion``, and the next page's cursor or None.
        """
        return [], None

    def count_request(self, request: LLMRequest, wire: WireRequest) -> WireRequest:
        """Turn the request that would ask for an answer into the one that counts its tokens.

        Args:
            request: The call.
            wire: What would be sent for an answer, options and headers included.

        Returns:
            A POST request.

        Raises:
            InvalidRequestError: The provider cannot count tokens; ``cannot_count`` makes the error.
        """
        raise self.cannot_count()

    def parse_count(self, body: JSON) -> Optional[int]:
        """Read the reply to ``count_request``.

        Args:
            body: The provider's JSON.

        Returns:
            The tokens of the input; None where the reply holds no count.

        Raises:
            ProviderError: The provider reports a failure in the body.
        """
        return None

    def cannot_count(
        self, reason: str = "its host has no endpoint for it", remedy: str = ""
    ) -> ProviderError:
        """Make the error for a provider that cannot count tokens.

        Args:
            reason: Why not, as a part of a sentence.
            remedy: What to do about it, as a sentence; empty for what helps everywhere.

        Returns:
            The InvalidRequestError.
        """
        remedy = remedy or "Send the request and read response.usage, or count with another provider."
        error = InvalidRequestError(f"Provider {self.name!r} cannot count tokens: {reason}. {remedy}")
        error.sent = False
        return error

    def embedding_request(self, request: EmbeddingRequest) -> WireRequest:
        """Translate a request for vectors.

        Args:
            request: One batch of texts; its provider options are fields of the body.

        Returns:
            A POST request.

        Raises:
            InvalidRequestError: The provider has no embedding models.
        """
        error = InvalidRequestError(
            f"Provider {self.name!r} cannot embed texts: its API has no embedding models. Embed with another "
            "provider: for_provider(...) gives an orchestrator for it."
        )
        error.sent = False
        raise error

    def parse_embeddings(self, body: JSON) -> embedding.EmbeddingReply:
        """Read the reply to ``embedding_request``.

        Args:
            body: The provider's JSON.

        Returns:
            What stands where the vectors belong, in the order of the texts, and the usage.

        Raises:
            ProviderError: The provider reports a failure in the body.
        """
        return embedding.EmbeddingReply(())

    def translate_error(self, error: Exception) -> Optional[ProviderError]:
        """Turn an exception of the SDK or its HTTP library into one of ours.

        Args:
            error: The exception as it was raised.

        Returns:
            The error of ours; None when the exception is not the provider's doing.
        """
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        if response is None or not isinstance(status, int):
            return error_of_transport(error)
        failure = self.parse_failure(_error_body(response), status, response.headers)
        translated = error_of_failure(failure)
        translated.request_id = self.request_id_of(response.headers)
        return translated

    def request_id_of(self, headers: Mapping[str, str]) -> Optional[str]:
        """Find the provider's id of the request.

        Args:
            headers: Headers of the reply.

        Returns:
            The id, or None.
        """
        for name in self.request_id_headers:
            found = headers.get(name)
            if found:
                return one_line(found)
        return None

    def response_id_of(self, body: JSON) -> Optional[str]:
        """Find the provider's id of the answer.

        Args:
            body: The provider's JSON.

        Returns:
            The id, or None.
        """
        found = body.get(self.response_id_field)
        return one_line(found) if isinstance(found, str) and found else None

    def translate_options(self, options: JSON) -> JSON:
        """Translate provider options that have a name of our own.

        Args:
            options: The options of the entry and the call.

        Returns:
            What is merged into the provider's JSON body.
        """
        return options

    # ---------------------------------------------------------- talk, for subclasses to write

    @abstractmethod
    def open_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request and wait for the head of the reply; the SDK's one call.

        Args:
            wire: What to send.
            limits: How long to wait.

        Returns:
            The open reply.
        """

    @abstractmethod
    async def aopen_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request and wait for the head of the reply; the SDK's one call, async.

        Args:
            wire: What to send.
            limits: How long to wait.

        Returns:
            The open reply.
        """

    async def aget_ready(self) -> None:  # noqa: B027 (an adapter without a client needs nothing)
        """Make what calls on the running loop need, such as the SDK's client, before their time runs."""

    def close(self) -> None:  # noqa: B027 (an adapter without connections has nothing to close)
        """Close the connections of sync callers."""

    async def aclose(self) -> None:
        """Close the connections of the running loop, and those of sync callers."""
        self.close()


def _error_body(response: Any) -> JSON:
    """The JSON of an error reply; what is not JSON becomes the message of an error of the same form."""
    content = response.content
    try:
        body = read_document(content)
    except InvalidResponseError:
        text = content[:500].decode("utf-8", "replace").strip()
        return {"error": {"message": f"status {response.status_code}: {text}"}} if text else {}
    return body
