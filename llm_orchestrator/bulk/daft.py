"""Many calls on Daft: a data frame in, the same with the answers out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

from llm_orchestrator.bulk.worker import COLUMNS, Worker, cells_of
from llm_orchestrator.exceptions import ConfigurationError, InvalidRequestError

if TYPE_CHECKING:
    from daft import DataFrame

__all__ = ["map"]


def map(frame: DataFrame, worker: Worker, *, workers: int = 1) -> DataFrame:
    """Ask all rows of a data frame, lazily as all of Daft's operations.

    Args:
        frame: The rows.
        worker: What asks them. Give it a ``key`` and a ``journal``: when the program dies, the journal has
            the answers that were paid.
        workers: How many workers ask; each has ``worker.concurrency`` requests under way.

    Returns:
        The frame with the columns ``answer``, ``parsed``, ``cost`` and ``error`` beside its own.

    Raises:
        ConfigurationError: Daft is not installed.
        InvalidRequestError: The frame has one of these columns already.
    """
    try:
        import daft
    except ImportError as error:
        raise ConfigurationError(
            'Daft is not installed. Run: pip install "llm-orchestrator[daft]".'
        ) from error
    names = frame.column_names
    taken = [name for name in COLUMNS if name in names]
    if taken:
        raise InvalidRequestError(
            f"The rows have a column {taken[0]!r}, which is the name of one that is added. Rename yours."
        )
    text, money = daft.DataType.string(), daft.DataType.float64()
    result = daft.DataType.struct({name: money if name == "cost" else text for name in COLUMNS})

    class Asker:
        def __init__(self, asks: Worker) -> None:
            self._worker = asks

        async def _ask(self, row: Dict[str, Any]) -> Dict[str, Any]:
            return dict(zip(COLUMNS, cells_of(await self._worker.ask(row))))

        ask: Any = daft.method(return_dtype=result)(_ask)

    asker = daft.cls(Asker, max_concurrency=workers)(worker)
    row = daft.functions.to_struct(*(daft.col(name) for name in names))
    answered = frame.with_column("_result", asker.ask(row))
    return answered.select(*names, *(daft.col("_result")[name].alias(name) for name in COLUMNS))
