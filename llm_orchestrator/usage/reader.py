"""The reader takes records out of their store again: as a report, as rows for other programs, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Union

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.usage.ledger_csv import Row
from llm_orchestrator.usage.selection import Selection
from llm_orchestrator.usage.store import RecordStore
from llm_orchestrator.utils.lazy import LazyModule

if TYPE_CHECKING:
    from llm_orchestrator.usage import export, report
else:  # imported with the first export and report
    export = LazyModule("llm_orchestrator.usage.export")
    report = LazyModule("llm_orchestrator.usage.report")

__all__ = ["RecordReader"]


class RecordReader:
    """Reads the records of a selection from a store."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    def report(self, selection: Selection) -> report.UsageReport:
        """Sum them up."""
        return report.UsageReport.of(self._store, selection)

    def to_dicts(self, selection: Selection) -> List[Dict[str, Any]]:
        """List them as dicts with numbers in them."""
        return [export.typed(row) for row in self._store.rows(selection)]

    def to_arrow(self, selection: Selection) -> Any:
        """Make an Arrow table of them."""
        return export.to_table(self._store.rows(selection))

    def to_csv(self, path: Union[str, Path], selection: Selection) -> int:
        """Write them to a CSV file of their own."""
        return self._write(path, export.write_csv, selection)

    def to_jsonl(self, path: Union[str, Path], selection: Selection) -> int:
        """Write them to a file of JSON lines."""
        return self._write(path, export.write_jsonl, selection)

    def to_parquet(self, path: Union[str, Path], selection: Selection) -> int:
        """Write them to a Parquet file."""
        return self._write(path, export.write_parquet, selection)

    def _write(
        self, path: Union[str, Path], write: Callable[[Path, Iterable[Row]], int], selection: Selection
    ) -> int:
        target = Path(path).expanduser()
        ledger = self._store.ledger
        if ledger and ledger.would_read(target):
            raise ConfigurationError(
                f"{target} is the ledger itself, or would be read as one of its rotated files. "
                "Export to a file with another name."
            )
        try:
            return write(target, self._store.rows(selection))
        except OSError as error:
            raise ConfigurationError(
                f"The export {target} cannot be written: {error.strerror}. Choose another path."
            ) from error
