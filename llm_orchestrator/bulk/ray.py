"""Many calls on Ray: a data set in, the same with the answers out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, AsyncIterator

from llm_orchestrator.bulk.worker import COLUMNS, Worker, columns_of, rows_of
from llm_orchestrator.exceptions import ConfigurationError

if TYPE_CHECKING:
    import pyarrow
    from ray.data import Dataset

__all__ = ["map"]


def map(
    dataset: Dataset, worker: Worker, *, actors: int = 1, cpus: float = 0.25, block_rows: int = 200
) -> Dataset:
    """Ask all rows of a data set, lazily as all of Ray's operations.

    Args:
        dataset: The rows.
        worker: What asks them. Give it a ``key`` and a ``journal``: Ray runs a block again when its actor
            dies, and the journal has the answers that were paid.
        actors: Processes that ask; each has ``worker.concurrency`` requests under way.
        cpus: Share of a CPU that Ray reserves for an actor, which waits for answers most of the time.
        block_rows: Rows of a block, which is what is run again, and what is written at once.

    Returns:
        The data set with the columns ``answer``, ``parsed``, ``cost`` and ``error`` beside its own.

    Raises:
        ConfigurationError: Ray is not installed.
    """
    try:
        from ray.data import ActorPoolStrategy
    except ImportError as error:
        raise ConfigurationError('Ray is not installed. Run: pip install "llm-orchestrator[ray]".') from error
    return dataset.repartition(target_num_rows_per_block=block_rows).map_batches(
        _Actor,
        fn_constructor_args=(worker,),
        batch_size=max(
            1, block_rows // 4
        ),  # batches of a block overlap, so that no place waits for the last row
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=actors),
        num_cpus=cpus,
    )


class _Actor:
    """The class of the actors; its batches overlap on one event loop."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def __call__(self, table: pyarrow.Table) -> AsyncIterator[Any]:
        rows = rows_of(table)
        yield as_table(table, columns_of(rows, await self._worker.ask_all(rows)))


def as_table(table: pyarrow.Table, columns: Any) -> pyarrow.Table:
    """The table with the new columns, whose types do not depend on what is in them."""
    import pyarrow

    for name in COLUMNS:
        kind = pyarrow.float64() if name == "cost" else pyarrow.string()
        table = table.append_column(name, pyarrow.array(columns[name], kind))
    return table
