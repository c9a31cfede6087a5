"""Makes vectors of rows: what ``bulk`` is given to call with ``embed=True``.

Rows ask one by one. Those that come together go in one request, as many as the provider takes.
"""

from __future__ import annotations

import asyncio
from decimal import ROUND_DOWN, Context, Decimal
from typing import TYPE_CHECKING, Any, List, Mapping, NamedTuple, Optional, Sequence

from llm_orchestrator.calls.embedding import Room
from llm_orchestrator.calls.expected_cost import estimated_cost
from llm_orchestrator.calls.factory import CallFactory
from llm_orchestrator.calls.pace import limits_of_rows
from llm_orchestrator.calls.shared import SharedState
from llm_orchestrator.exceptions import (
    ContextLengthError,
    InvalidRequestError,
    ProviderError,
    UnsupportedParameterError,
)
from llm_orchestrator.request.embedding import embedding_arguments, read_text
from llm_orchestrator.types import (
    MISSING_USAGE,
    EmbeddingRequest,
    EmbeddingResponse,
    LLMRequest,
    LLMResponse,
)
from llm_orchestrator.utils.floats import packed_floats, unpacked_floats
from llm_orchestrator.utils.money import subtract_money
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from llm_orchestrator.calls.batches import BatchCaller
    from llm_orchestrator.calls.pace import Pace
    from llm_orchestrator.config.manager import ProviderConfig
    from llm_orchestrator.providers.base import BaseLLMProvider

__all__ = ["VectorCaller"]

#: Seconds for which a request that is not full waits for other rows.
PATIENCE = 0.05
#: Most texts in one request where neither the provider nor the call sets a limit.
MOST_TEXTS = 100
#: How exact the cost of a row is told; the rows of a request cost together what it costs.
_DIGITS, _CONTEXT = Decimal("1e-12"), Context(prec=60)


class _Asked(NamedTuple):
    """A row that waits for its vector."""

    request: LLMRequest
    size: int
    pace: Pace
    answer: asyncio.Future[LLMResponse]


class _Pack:
    """The rows of one request."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.rows: List[_Asked] = []
        self.sending: Optional[asyncio.Task[None]] = None
        self.timer: Optional[asyncio.TimerHandle] = None


class VectorCaller:
    """Asks one provider entry for the vectors of rows; used on one loop."""

    gives_vectors = True
    has_batches = False

    def __init__(
        self,
        factory: CallFactory,
        shared: SharedState,
        *,
        provider: BaseLLMProvider,
        entry: ProviderConfig,
        arguments: Mapping[str, Any],
    ) -> None:
        shared.check_open()
        self._factory = factory
        self._shared = shared
        self._provider = provider
        self._template = embedding_arguments("A row.", **arguments)
        assert isinstance(self._template.request, EmbeddingRequest), "as it is made there"
        self._request = self._template.request
        self._model = self._request.model or factory.embedding_model(provider.name)
        provider.embedding_request(evolve(self._request, model=self._model))  # says now that it has none
        self.limits = limits_of_rows(entry, provider)
        #: What, beside the text, decides a vector.
        self.identity: Mapping[str, Any] = {
            "provider": provider.name,
            "model": self._model,
            "api": "embeddings",
        }
        #: How many rows may go in one request.
        self.together = self._new_room().texts or MOST_TEXTS
        self._open: Optional[_Pack] = None
        self._length: Optional[int] = None

    @property
    def is_closed(self) -> bool:
        """Whether the orchestrator was closed, so that no row can be asked any more."""
        return self._shared.is_closed

    def request_of(self, messages: Any) -> LLMRequest:
        """Make the request of one row, or say what is wrong with its text."""
        return evolve(self._request, messages=(read_text(messages, "The text of the row"),))

    def parsed(self, content: str) -> List[float]:
        """Read a vector that was kept."""
        vector = unpacked_floats(content)
        self._length = self._length or len(vector)
        return vector

    def batches(self) -> BatchCaller:
        """There is no batch API for vectors."""
        raise InvalidRequestError('Vectors are made at once. Leave mode="batch" out.')

    def estimated_cost(
        self, request: LLMRequest, completion: int, *, batch: bool = False, now: bool = False
    ) -> Optional[Decimal]:
        """What a row would cost; None where its price is not known."""
        named = evolve(request, model=self._model)
        return estimated_cost(self._shared.tracker, self._provider, named, completion, batch=batch)

    # ---------------------------------------------------------------- rows become requests

    async def ask(self, request: LLMRequest, pace: Pace) -> LLMResponse:
        """Get the vector of one row: ``parsed``, and packed as ``content``."""
        loop = asyncio.get_running_loop()
        row = _Asked(request, len(request.messages[0].text.encode()), pace, loop.create_future())
        pack = self._pack_for(row)
        try:
            return await row.answer
        except asyncio.CancelledError:
            await self._leave(pack)
            raise

    def _pack_for(self, row: _Asked) -> _Pack:
        pack = self._open
        if pack is None or not pack.room.takes(row.size):
            if pack is not None:
                self._send(pack)
            pack = self._open = _Pack(self._new_room())
            pack.room.takes(row.size)
            pack.timer = asyncio.get_running_loop().call_later(PATIENCE, self._send, pack)
        pack.rows.append(row)
        if len(pack.rows) == self.together:
            self._send(pack)
        return pack

    def _new_room(self) -> Room:
        return Room(self._provider, self._request.batch_size)

    def _send(self, pack: _Pack) -> None:
        self._close(pack)
        pack.sending = asyncio.get_running_loop().create_task(self._answer(pack.rows))

    def _close(self, pack: _Pack) -> None:
        """Let no further row in."""
        if self._open is pack:
            self._open = None
        if pack.timer is not None:
            pack.timer.cancel()

    async def _leave(self, pack: _Pack) -> None:
        """Cancel a request that no row waits for any more; it is recorded before the last one goes."""
        if not all(row.answer.done() for row in pack.rows):
            return
        if pack.sending is None:
            self._close(pack)
        else:
            pack.sending.cancel()
            await asyncio.wait([pack.sending])

    # ---------------------------------------------------------------- requests become vectors

    async def _answer(self, rows: Sequence[_Asked]) -> None:
        """Get the vectors of some rows, and hand each what becomes of it."""
        try:
            response = await self._vectors(rows)
        except ProviderError as error:
            if len(rows) > 1 and _may_be_of_one(error):
                middle = len(rows) // 2
                await asyncio.gather(self._answer(rows[:middle]), self._answer(rows[middle:]))
            else:
                _fail(rows, error)
        except BaseException as error:  # whatever it is, no row may wait forever
            _fail(rows, error)
            if not isinstance(error, Exception):
                raise
        else:
            for row, answer in zip(rows, _answers(rows, response)):
                if not row.answer.done():
                    row.answer.set_result(answer)

    async def _vectors(self, rows: Sequence[_Asked]) -> EmbeddingResponse:
        request = evolve(self._request, messages=tuple(row.request.messages[0] for row in rows))
        arguments = self._template._replace(request=request)
        call = self._factory.make(
            arguments, self._provider.name, self._model, streamed=False, pace=rows[0].pace
        )
        response = await call.aembed(self._length)
        self._length = len(response.vectors[0])
        return response


def _may_be_of_one(error: ProviderError) -> bool:
    """Whether one text may be at fault, or their number, so that fewer could be taken."""
    if isinstance(error, UnsupportedParameterError) or error.status_code is None:
        return False
    return isinstance(error, (ContextLengthError, InvalidRequestError))


def _fail(rows: Sequence[_Asked], error: BaseException) -> None:
    for row in rows:
        if not row.answer.done():
            if isinstance(error, asyncio.CancelledError):
                row.answer.cancel()
            else:
                row.answer.set_exception(error)


def _answers(rows: Sequence[_Asked], response: EmbeddingResponse) -> List[LLMResponse]:
    """The vectors as answers of one row each, which can be kept."""
    usage = response.usage if len(rows) == 1 else MISSING_USAGE  # that of one among others is not told
    costs = _shares([row.size for row in rows], response.cost)
    return [
        LLMResponse(
            packed_floats(vector),
            response.model,
            response.provider,
            response.requested_model,
            parsed=vector,
            cost=cost,
            session_id=response.session_id,
            usage=usage,
        )
        for vector, cost in zip(response.vectors, costs)
    ]


def _shares(sizes: Sequence[int], cost: Optional[Decimal]) -> List[Optional[Decimal]]:
    """Divide the cost of a request among its texts by their sizes; the sum is exact."""
    if cost is None:
        return [None] * len(sizes)
    whole, left, shares = sum(sizes), cost, list[Optional[Decimal]]()
    for size in sizes[:-1]:
        exact = _CONTEXT.divide(_CONTEXT.multiply(cost, Decimal(size)), Decimal(whole))
        share = exact.quantize(_DIGITS, ROUND_DOWN, _CONTEXT)
        left = subtract_money(left, share)
        shares.append(share)
    return [*shares, left]
