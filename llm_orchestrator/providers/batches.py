"""A provider's batch API as a run of many calls uses it: submit, find again, ask how far, read the results.

What is sent, and how replies are read, is the translation's in the protocol's ``batches`` module; this waits.
Batches are submitted and collected on a loop only, so there is no sync twin.
"""

from __future__ import annotations

import logging
from typing import (
    Callable,
    Collection,
    Generator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from llm_orchestrator.exceptions import (
    ConfigurationError,
    InvalidRequestError,
    InvalidResponseError,
    ProviderError,
)
from llm_orchestrator.providers.base import BaseLLMProvider
from llm_orchestrator.providers.batch_values import (
    BatchItem,
    BatchLimits,
    BatchResult,
    BatchSearch,
    BatchStatus,
    BatchTranslation,
    Submission,
    encoded,
    moment_of,
)
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.failures import error_of_failure
from llm_orchestrator.providers.http.reader import MAX_EVENT_BYTES, next_chunk, read_document
from llm_orchestrator.providers.sending import aopen_reply
from llm_orchestrator.providers.wire import WireRequest, abody_of, close_reply
from llm_orchestrator.types import JSON, LLMRequest, LLMResponse
from llm_orchestrator.utils.values import evolve

__all__ = ["BatchClient", "Wanted", "answer_of", "error_of_batch"]

logger = logging.getLogger(__name__)

#: Bytes of a file of results; whole replies may have fewer, but these are read line by line.
MAX_RESULT_BYTES = 4 * 1024**3
#: Seconds by which the provider's clock may be behind ours.
CLOCK_SKEW = 3600.0
#: Pages of a listing that are looked through for one batch.
MAX_PAGES = 100
#: Statuses of hosts that speak a provider's protocol without its batches.
NOT_SERVED = (404, 405, 501)


class Wanted(NamedTuple):
    """A batch that may have been submitted.

    Attributes:
        mark: What it was, or would have been, submitted with.
        since: Unix seconds before which it cannot have been made.
        requests: How many requests it has.
        others: Ids of batches that are known to be others.
    """

    mark: str
    since: float
    requests: int
    others: Collection[str]


class BatchClient:
    """Talks to the batch API of one provider entry.

    Args:
        provider: The entry's adapter.
        template: A request of the run, whose extra headers go with everything that is asked.
    """

    def __init__(self, provider: BaseLLMProvider, template: LLMRequest) -> None:
        api = provider.batch_api
        if api is None:
            raise InvalidRequestError(
                f'Provider {provider.name!r} has no batch API. Use mode="now".', provider=provider.name
            )
        self._provider = provider
        self._api: BatchTranslation = api
        self._template = template

    @property
    def limits(self) -> BatchLimits:
        """What one batch may hold."""
        return self._api.LIMITS

    def item(self, request: LLMRequest, context: AttemptContext) -> BatchItem:
        """Make one request of a batch; nothing is sent."""
        with self._provider.errors(request) as errors:
            request, errors.wire = wire = self._provider.prepare(request, context, stream=False)
            size = len(encoded(errors.wire.body))
        return BatchItem(request, wire[1], self._api.group(wire[1]), size)

    async def submit(self, items: Sequence[Tuple[str, BatchItem]], mark: str) -> BatchStatus:
        """Submit a batch; of an error that was sent nobody knows whether the batch was made."""
        steps = self._api.submission(items, mark)
        wire, status = next(steps), None
        while status is None:
            wire, status = await self._submit_step(steps, wire)
        return status

    async def _submit_step(
        self, steps: Submission, wire: WireRequest
    ) -> Tuple[WireRequest, Optional[BatchStatus]]:
        try:
            body, headers = await self._exchange(wire)
        except (ProviderError, ConfigurationError) as error:
            if error.status_code in NOT_SERVED and self._provider.base_url is not None:
                raise self._not_served(error) from error
            raise
        with self._provider.errors(wire=wire):
            return _next_step(steps, wire, (body, headers))

    def _not_served(self, error: Union[ProviderError, ConfigurationError]) -> ConfigurationError:
        return ConfigurationError(
            f"The host of provider {self._provider.name!r} took no batch (status {error.status_code}): "
            'it may have no batch API. Use mode="now", or check base_url and the model.'
        )

    async def status(self, identifier: str) -> BatchStatus:
        """Ask how far a batch is."""
        return await self._asked_status(self._api.status_request(identifier))

    async def cancel(self, identifier: str) -> None:
        """Ask for a batch to be cancelled; it takes a while, and what is answered by then is kept."""
        await self._exchange(self._api.cancel_request(identifier))

    async def find(self, wanted: Wanted) -> BatchSearch:
        """Search for a batch of which it is not known whether it was submitted."""
        undecided, cursor = False, None
        for _ in range(MAX_PAGES):
            batches, cursor = await self._page(cursor)
            for status in batches:
                created = moment_of(status.created_at)
                if created is not None and created < wanted.since - CLOCK_SKEW:
                    return BatchSearch(None, undecided)
                search = await self._judged(status, wanted)
                if search.found is not None:
                    return search
                undecided = undecided or search.is_undecided
            if cursor is None:
                break
        return BatchSearch(None, undecided)

    async def _judged(self, status: BatchStatus, wanted: Wanted) -> BatchSearch:
        """Tell whether a batch is the one; where no mark is kept, the ids of its requests begin with it."""
        if self._api.KEEPS_MARKS:
            return BatchSearch(status if status.mark == wanted.mark else None)
        if status.id in wanted.others or status.total not in (None, wanted.requests):
            return BatchSearch()
        if not status.is_final:
            return BatchSearch(is_undecided=True)
        first = await self._first_id(status)
        return BatchSearch(status if first is not None and first.startswith(f"{wanted.mark}-") else None)

    async def _first_id(self, status: BatchStatus) -> Optional[str]:
        found: List[str] = []

        def take(result: BatchResult) -> bool:
            found.append(result.custom_id)
            return True

        if status.results:
            await self._read_file(status.results[0], take)
        return found[0] if found else None

    async def read_results(self, status: BatchStatus, take: Callable[[BatchResult], None]) -> bool:
        """Hand over what came of each request; returns whether every line could be read."""

        def taken(result: BatchResult) -> bool:
            take(result)
            return False

        for line in status.inline:
            result = self._api.parse_result(line)
            if result is not None:
                take(result)
        is_whole = True
        for wire in status.results:
            is_whole = await self._read_file(wire, taken) and is_whole
        return is_whole

    async def _read_file(self, wire: WireRequest, take: Callable[[BatchResult], bool]) -> bool:
        """Read a file line by line until there is enough of it; returns whether all lines could be read."""
        lines = _Lines()

        def feed(piece: Optional[bytes]) -> bool:
            for line in lines.feed(piece):
                result = self._api.parse_result(line)
                if result is not None and take(result):
                    return True
            return False

        await self._read(wire, feed, MAX_RESULT_BYTES)
        if lines.unreadable:
            logger.warning(
                "%s: %d lines of a batch's results could not be read.", self._provider.name, lines.unreadable
            )
        return not lines.unreadable

    async def _page(self, cursor: Optional[str]) -> Tuple[List[BatchStatus], Optional[str]]:
        wire = self._api.list_request(cursor)
        body, _ = await self._exchange(wire)
        with self._provider.errors(wire=wire):
            return self._api.parse_list(body)

    async def _asked_status(self, wire: WireRequest) -> BatchStatus:
        body, _ = await self._exchange(wire)
        with self._provider.errors(wire=wire):
            return self._api.parse_status(body)

    async def _exchange(self, wire: WireRequest) -> Tuple[JSON, Mapping[str, str]]:
        """Send a request and read its reply, which may be empty."""
        content: List[bytes] = []

        def collect(piece: Optional[bytes]) -> bool:
            content.append(piece or b"")
            return False

        headers = await self._read(wire, collect)
        body = b"".join(content)
        with self._provider.errors(wire=wire):
            return (read_document(body) if body.strip() else {}), headers

    async def _read(
        self,
        wire: WireRequest,
        feed: Callable[[Optional[bytes]], bool],
        most_bytes: Optional[int] = None,
    ) -> Mapping[str, str]:
        """Send a request and feed the pieces of its body, None at the end, until there are enough."""
        provider = self._provider
        wire = evolve(wire, headers={**provider.batch_headers, **wire.headers})
        limits = provider.limits()._replace(most_bytes=most_bytes)
        with provider.errors(wire=wire):
            reply, watch = await aopen_reply(provider, provider.with_headers(wire, self._template), limits)
        chunks = abody_of(reply)
        try:
            has_enough = False
            while not has_enough:
                with provider.errors(wire=wire), watch:
                    piece = await next_chunk(chunks)
                has_enough = feed(piece) or piece is None
            return {name.lower(): value for name, value in reply.headers.items()}
        finally:
            watch.stop()
            await close_reply(reply, chunks)


class _Lines:
    """Cuts a file into the JSON objects of its lines, and counts those that are none."""

    def __init__(self) -> None:
        self.unreadable = 0
        self._rest = b""

    def feed(self, piece: Optional[bytes]) -> Generator[JSON, None, None]:
        """Take the next bytes; None is the end, where the last line may lack its line end."""
        *whole, self._rest = (self._rest + (b"\n" if piece is None else piece)).split(b"\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            raise InvalidResponseError(
                f"A line of a batch's results has more than {MAX_EVENT_BYTES} bytes. Ask for shorter answers."
            )
        for line in whole:
            if line.strip():
                value = self._read(line)
                if value is not None:
                    yield value

    def _read(self, line: bytes) -> Optional[JSON]:
        try:
            return read_document(line)
        except InvalidResponseError:
            self.unreadable += 1
            return None


def _next_step(
    steps: Submission, wire: WireRequest, reply: Tuple[JSON, Mapping[str, str]]
) -> Tuple[WireRequest, Optional[BatchStatus]]:
    try:
        return steps.send(reply), None
    except StopIteration as end:
        return wire, end.value


def answer_of(
    provider: BaseLLMProvider, result: BatchResult, item: BatchItem, context: AttemptContext
) -> LLMResponse:
    """Make the answer to one request of a batch, or raise its error, as if it had been asked alone."""
    with provider.errors(item.request, item.wire):
        if result.body is None:
            raise error_of_batch(provider, result.error or {}, result.status_code)
        return provider.response_of(result.body, {}, item.request, item.wire, context)


def error_of_batch(provider: BaseLLMProvider, body: JSON, status_code: Optional[int] = None) -> ProviderError:
    """Make the error of a request, or of a whole batch; providers bill what they answer only."""
    error = error_of_failure(provider.parse_failure(body, status_code, {}))
    error.provider = provider.name
    error.may_be_billed = False
    return error
