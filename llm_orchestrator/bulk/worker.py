"""``Worker``: what an engine such as Ray, Daft or Spark ships to its processes to ask rows there.

The gate and the journal belong to the worker, not to a batch: engines run several batches of a worker at
once, and run a whole block again when a process dies in the middle of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union
from weakref import WeakKeyDictionary

from llm_orchestrator.bulk.asking import Caller, RowAsker
from llm_orchestrator.bulk.job import BulkJob, bulk_job
from llm_orchestrator.bulk.journals import pinned_journal
from llm_orchestrator.bulk.loops import PrivateLoop, private_loop
from llm_orchestrator.bulk.messages import Field, messages_function
from llm_orchestrator.bulk.results import BulkResult
from llm_orchestrator.config.manager import OrchestratorConfig
from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.orchestrator import LLMOrchestrator
from llm_orchestrator.request.arguments import hide_headers

__all__ = ["COLUMNS", "Worker", "columns_of", "rows_of"]

#: The columns that a worker adds.
COLUMNS = ("answer", "parsed", "cost", "error")


class Worker:
    """Asks rows in the processes of an engine.

    It can be pickled: only its arguments travel. Its orchestrator is made in the process that asks the first
    row, so keys come from that machine's environment. What holds for all rows, such as a wrong key, is
    raised and ends the engine's job; every other error stands in its row.

    Args:
        config: Path of the configuration, which every machine must have, or a configuration.
        messages: A template, or a function of a row, as in ``map``.
        key: The name of a field, or a function of a row, whose value is each row's own. A journal needs it:
            an engine's rows have no positions.
        journal: A file in which the answers are kept, as in ``map``; the workers of one machine may share it.
            Workers of several machines share the URL of a database.
        concurrency: Most requests under way at once in each process.
        provider: Provider entry; None: the active one.
        model: Model; None: the active one.
        **arguments: Arguments of ``send_request``, for all rows.

    Raises:
        InvalidRequestError: An argument is wrong.
    """

    def __init__(
        self,
        config: Union[str, os.PathLike[str], OrchestratorConfig],
        *,
        messages: Optional[Field] = None,
        key: Optional[Field] = None,
        journal: Union[str, os.PathLike[str], None] = None,
        concurrency: int = 64,
        provider: Optional[str] = None,
        model: Optional[str] = None,
        **arguments: Any,
    ) -> None:
        if "embed" in arguments:
            raise InvalidRequestError("A worker asks for answers. Use map(..., embed=True) for vectors.")
        messages_function(messages)  # says now that it is wrong, not in another process
        file = None if journal is None else pinned_journal(os.fspath(journal))
        self._job = bulk_job((), messages=messages, key=key, journal=file, concurrency=concurrency)
        if journal is not None and key is None:
            raise InvalidRequestError("A journal needs to know the rows again. Pass key= as well.")
        # Processes of an engine may stand in other folders.
        self._config = config if isinstance(config, OrchestratorConfig) else os.path.abspath(config)
        self._chosen = (provider, model)
        self._arguments = arguments
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._orchestrator: Optional[LLMOrchestrator] = None
        self._loop: Optional[PrivateLoop] = None
        self._askers: WeakKeyDictionary[asyncio.AbstractEventLoop, _Asker] = WeakKeyDictionary()

    def __getstate__(self) -> Tuple[Any, ...]:
        return self._config, self._job, self._chosen, self._arguments

    def __setstate__(self, state: Tuple[Any, ...]) -> None:
        self._config, self._job, self._chosen, self._arguments = state
        self._begin()

    def __call__(self, batch: Any) -> Dict[str, List[Any]]:
        """Ask all rows of a batch.

        Args:
            batch: Columns by name: a mapping, a pandas ``DataFrame`` or an Arrow table.

        Returns:
            The same columns as lists, and those of ``COLUMNS``: ``answer``, the text; ``parsed``, with
            ``response_format``, as JSON; ``cost`` in US dollars; ``error``. Each is None where there is none.

        Raises:
            InvalidRequestError: The batch has one of these columns already, or columns of unlike length.
            OrchestratorError: What holds for all rows.
        """
        rows = rows_of(batch)
        with self._lock:
            if self._loop is None:
                self._loop = private_loop()
            results = self._loop.run(self.ask_all(rows))
        return columns_of(rows, results)

    async def ask(self, row: Mapping[str, Any]) -> BulkResult:
        """Ask one row; all rows asked on one event loop share the limits.

        Args:
            row: Its fields by name.

        Returns:
            What became of it; without a ``key`` its key is 0.

        Raises:
            OrchestratorError: What holds for all rows.
        """
        return await self._asker().ask(0, row)

    async def ask_all(self, rows: Sequence[Mapping[str, Any]]) -> List[BulkResult]:
        """Ask the rows of a batch; see ``ask``.

        Args:
            rows: The rows.

        Returns:
            Their results, in the same order.

        Raises:
            OrchestratorError: What holds for all rows; those under way are answered and kept before.
        """
        asker, waiting, results = self._asker(), iter(enumerate(rows)), dict[int, BulkResult]()

        async def work() -> None:
            for index, row in waiting:
                results[index] = await asker.ask(index, row)

        tasks = [work() for _ in range(min(self._job.concurrency, len(rows)))]
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error
        return [results[index] for index in range(len(rows))]

    def close(self) -> None:
        """Close the connections and files of this process; a later batch opens them again."""
        with self._lock:
            loop, orchestrator, askers = self._loop, self._orchestrator, list(self._askers.values())
            self._loop = self._orchestrator = None
            self._askers.clear()
        for asker in askers:
            asker.close()
        if loop is not None:
            loop.close()
        if orchestrator is not None:
            orchestrator.close()

    def _asker(self) -> _Asker:
        loop = asyncio.get_running_loop()
        asker = self._askers.get(loop)
        if asker is None:
            caller = self._made()._row_caller(hide_headers(dict(self._arguments)))
            asker = self._askers[loop] = _Asker(self._job, caller)
        return asker

    def _made(self) -> LLMOrchestrator:
        if self._orchestrator is None:
            made, (provider, model) = LLMOrchestrator(self._config), self._chosen
            if provider or model:
                made = made.for_provider(provider or made.active_provider, model)
            self._orchestrator = made
        return self._orchestrator


class _Asker:
    """What asks the rows of one event loop.

    A row has its place until its answer is in the journal: the gate's own is free when the answer has come.
    """

    def __init__(self, job: BulkJob, caller: Caller) -> None:
        self._places = asyncio.Semaphore(job.concurrency)
        self._rows = RowAsker(job, caller, may_repeat=True)
        self.close = self._rows.close

    async def ask(self, index: int, row: Any) -> BulkResult:
        found: List[BulkResult] = []
        async with self._places:
            await self._rows.ask(index, row, found.append)
        return found[0]


def rows_of(batch: Any) -> List[Dict[str, Any]]:
    """The rows of a batch of columns."""
    names = list(getattr(batch, "column_names", batch))
    taken = [name for name in COLUMNS if name in names]
    if taken:
        raise InvalidRequestError(
            f"The rows have a column {taken[0]!r}, which is the name of one that is added. Rename yours."
        )
    columns = [_as_list(batch[name]) for name in names]
    if len({len(column) for column in columns}) > 1:
        raise InvalidRequestError("The columns of the batch are not equally long. Pass whole columns.")
    return [dict(zip(names, cells)) for cells in zip(*columns)]


def _as_list(column: Any) -> List[Any]:
    """The cells of a column as Python's own values: of Arrow, of NumPy and pandas, or of a sequence."""
    for method in ("to_pylist", "tolist"):
        if hasattr(column, method):
            cells: List[Any] = getattr(column, method)()
            return cells
    return list(column)


def columns_of(rows: Sequence[Mapping[str, Any]], results: Sequence[BulkResult]) -> Dict[str, List[Any]]:
    """A batch of columns again, with the results beside the rows."""
    names = list(rows[0]) if rows else []
    columns: Dict[str, List[Any]] = {name: [row[name] for row in rows] for name in names}
    added = zip(*map(cells_of, results)) if results else iter([()] * len(COLUMNS))
    return {**columns, **{name: list(cells) for name, cells in zip(COLUMNS, added)}}


def cells_of(result: BulkResult) -> Tuple[Optional[str], Optional[str], Optional[float], Optional[str]]:
    """The cells of ``COLUMNS`` for one row."""
    return (
        result.content,
        None if result.parsed is None else _as_json(result.parsed),
        None if result.cost is None else float(result.cost),
        None if result.error is None else f"{type(result.error).__name__}: {result.error}",
    )


def _as_json(parsed: Any) -> str:
    if hasattr(parsed, "model_dump_json"):
        return str(parsed.model_dump_json())
    return json.dumps(parsed, ensure_ascii=False, default=str)
