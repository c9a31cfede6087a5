"""The command ``map``: an answer to each row of a file; stopped, it goes on where it was."""

# No postponed annotations: on Python 3.9 typer finds no options in them.
import json
import logging
import os
import re
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

from llm_orchestrator.bulk import BulkEstimate, BulkResult, BulkRun, BulkSummary
from llm_orchestrator.bulk.claim import Claim
from llm_orchestrator.bulk.journals import is_begun, is_url, shown_journal
from llm_orchestrator.bulk.rows import Rows
from llm_orchestrator.cli.columns import Columns
from llm_orchestrator.cli.map_options import (
    ColumnsOption,
    ConcurrencyOption,
    DimensionsOption,
    DryRunOption,
    EmbedOption,
    ErrorsOption,
    ForceOption,
    JournalOption,
    KeyOption,
    LimitOption,
    MaxCostOption,
    MaxTokensOption,
    ModeOption,
    OutArgument,
    PromptOption,
    RowsArgument,
    SchemaOption,
    TemperatureOption,
)
from llm_orchestrator.cli.settings import (
    ConfigOption,
    ModelOption,
    ProviderOption,
    SystemOption,
    need_model,
    open_orchestrator,
)
from llm_orchestrator.cli.tables import Table, open_table
from llm_orchestrator.cli.terminal import FAILED, fail, note, say
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.money import format_cost

__all__ = ["map_rows"]


class _Files(NamedTuple):
    """The files of a run."""

    rows: Path
    out: Path
    journal: str
    errors: Optional[Path]

    @property
    def is_flat(self) -> bool:
        """Whether OUT has cells, not objects."""
        return self.out.suffix.lower() != ".jsonl"

    @property
    def shown_journal(self) -> str:
        """The journal, without a password."""
        return shown_journal(self.journal)

    def check(self, *, may_replace: bool) -> None:
        """Refuse files that would harm each other."""
        places = [path.resolve() for path in (self.rows, self.out, self.errors) if path is not None]
        if not is_url(self.journal):
            places.append(Path(self.journal).resolve())
        if len(set(places)) < len(places):
            raise ConfigurationError(
                "Two of IN, OUT, the journal and the errors are one file. Name another one."
            )
        if self.out.exists() and not may_replace and not is_begun(self.journal):
            raise ConfigurationError(
                f"{self.out} exists, and does not come from a journal {self.shown_journal}. Name another "
                "file, or pass --force."
            )
        if self.errors is not None and self.errors.suffix.lower() != ".jsonl":
            raise ConfigurationError(f"{self.errors} cannot hold the errors. Name a .jsonl file.")

    def claim(self) -> Claim:
        """Keep other runs from writing OUT."""
        try:
            return Claim(
                str(self.out),
                f"{self.out} is written by another run. Wait for its end, or name another file.",
            )
        except OSError as error:
            raise ConfigurationError(
                f"{self.out} cannot be written: {error.strerror}. Name another file."
            ) from error


def map_rows(
    rows: RowsArgument,
    out: OutArgument,
    prompt: PromptOption,
    config: ConfigOption = None,
    model: ModelOption = None,
    provider: ProviderOption = None,
    system: SystemOption = None,
    key: KeyOption = None,
    schema: SchemaOption = None,
    columns: ColumnsOption = None,
    errors: ErrorsOption = None,
    journal: JournalOption = None,
    mode: ModeOption = "now",
    concurrency: ConcurrencyOption = 64,
    max_cost: MaxCostOption = None,
    max_tokens: MaxTokensOption = None,
    temperature: TemperatureOption = None,
    embed: EmbedOption = False,
    dimensions: DimensionsOption = None,
    limit: LimitOption = None,
    dry_run: DryRunOption = False,
    force: ForceOption = False,
) -> None:
    """Ask for an answer to each row of a file. Stopped by Ctrl-C, the same command goes on where it was.

    Example: llm-orchestrator map in.csv out.csv --prompt "Classify: {text}" --key id
    """
    files = _Files(rows, out, journal or f"{out}.journal", errors)
    files.check(may_replace=force or dry_run)
    form, fields = _schema(schema) if schema else (None, None)
    of_answers = {"max_tokens": max_tokens, "temperature": temperature, "response_format": form}
    of_vectors = {"embed": True, "model": model, "dimensions": dimensions}
    _check_kind(embed, {**of_answers, "system": system}, dimensions)
    shown = Columns(
        _names(columns), fields, is_flat=files.is_flat, with_error=errors is None, with_vectors=embed
    )
    shows_bar = not dry_run and sys.stderr is not None and sys.stderr.isatty()
    with open_orchestrator(config, provider, model, needs_key=not dry_run) as orchestrator:
        if not embed:
            need_model(orchestrator)
        _quieten_refusals()
        run = orchestrator.map(
            Rows(rows, limit=limit, counts=shows_bar),
            messages=_messages(prompt, system),
            key=key,
            journal=files.journal,
            concurrency=concurrency,
            mode=mode,
            order="input",
            max_cost=max_cost,
            progress=shows_bar,
            **(of_vectors if embed else of_answers),
        )
        if dry_run:
            _show_estimate(run.estimate(), mode, 0 if embed else max_tokens)
            return
        _carry_out(run, files, shown)
    _report(run.summary, files)


def _check_kind(embed: bool, of_answers: Dict[str, Any], dimensions: Optional[int]) -> None:
    """Refuse options of answers for vectors, and the other way round."""
    wrong = [name.replace("_", "-") for name, value in of_answers.items() if value is not None]
    if embed and wrong:
        option = "schema" if wrong[0] == "response-format" else wrong[0]
        raise ConfigurationError(f"--{option} is for answers, and --embed makes vectors. Leave one out.")
    if dimensions is not None and not embed:
        raise ConfigurationError("--dimensions is the length of vectors. Add --embed, or leave it out.")


def _names(columns: Optional[str]) -> List[str]:
    return [name for name in (columns or "").split(",") if name]


def _messages(prompt: str, system: Optional[str]) -> Any:
    if system is None:
        return prompt
    from llm_orchestrator.bulk.messages import messages_function

    fill = messages_function(prompt)
    return lambda row: [{"role": "system", "content": system}, {"role": "user", "content": fill(row)}]


def _schema(path: Path) -> Any:
    """The ``response_format`` of a file, and the names of the fields it describes."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"The schema {path} cannot be read: {error}. Pass a JSON schema.") from error
    if not isinstance(written, dict) or written.get("type") != "object":
        raise ConfigurationError(f'The schema {path} is not of an object. Give it "type": "object".')
    described: Dict[str, Any] = {
        "name": re.sub(r"\W+", "_", path.stem) or "answer",
        "schema": written,
        "strict": written.get("additionalProperties") is False,
    }
    return {"type": "json_schema", "json_schema": described}, list(written.get("properties") or {})


def _quieten_refusals() -> None:
    """One line for each refusal would drown the bar; ``--verbose`` shows them."""
    if logging.getLogger("llm_orchestrator").level > logging.DEBUG:
        logging.getLogger("llm_orchestrator.calls.reporter").setLevel(logging.ERROR)


def _show_estimate(estimate: BulkEstimate, mode: str, max_tokens: Optional[int]) -> None:
    say(f"Rows: {estimate.rows:,}, of which {estimate.kept:,} are answered and {estimate.wrong:,} are wrong.")
    is_bounded = max_tokens is not None  # 0: vectors have none
    answers = f"at most {estimate.completion_tokens:,}" if is_bounded else "unknown without --max-tokens"
    say(f"Tokens: about {estimate.prompt_tokens:,} of prompts; of answers {answers}.")
    costs = {mode: estimate.cost, "now": estimate.now_cost, "batch": estimate.batch_cost}
    known = [f"{format_cost(cost)} with --mode {name}" for name, cost in costs.items() if cost is not None]
    shown = ", ".join(known) or "unknown: the model has no price"
    say(f"Cost: {shown}{'' if is_bounded or not known else ', without the answers'}.")


def _carry_out(run: BulkRun, files: _Files, columns: Columns) -> None:
    try:
        with _stoppable(), run, _output(files, columns) as write:
            for result in run:
                write(result)
    except KeyboardInterrupt:
        note(f"{run.summary.answered:,} answers are in {files.shown_journal}. The same command goes on.")
        raise


@contextmanager
def _output(files: _Files, columns: Columns) -> Iterator[Callable[[BulkResult], None]]:
    """What writes results into files that are this run's alone; without a row the old ones stay."""
    claim = files.claim()
    tables: List[Table] = []
    has_rows = False

    def write(result: BulkResult) -> None:
        nonlocal has_rows
        has_rows = True
        _write(result, tables, columns)

    try:
        tables += [open_table(path) for path in (files.out, files.errors) if path is not None]
        yield write
        has_rows = True  # the input had none
    finally:
        for table in tables:
            table.close() if has_rows else table.discard()
        claim.release()


def _write(result: BulkResult, tables: List[Table], columns: Columns) -> None:
    if result.error is None or len(tables) == 1:
        tables[0].write(columns.of(result))
    else:
        name, message = type(result.error).__name__, str(result.error)
        failed = {"key": result.key, "index": result.index, "error": name, "message": message}
        tables[1].write({**failed, "row": result.row})


@contextmanager
def _stoppable() -> Iterator[None]:
    """End the run in order on SIGTERM, too, as on Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may have handlers
        return

    def stop(number: int, frame: Any) -> None:
        signal.raise_signal(signal.SIGINT)  # which the run takes without harm to its rows

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _report(summary: BulkSummary, files: _Files) -> None:
    errors = files.errors
    note(f"{files.out}: {summary}.")
    if summary.stopped:
        fail("--max-cost is reached. Raise it, and the same command goes on.", FAILED)
    if summary.failed:
        where = f"in {errors}" if errors else "in the column error"
        fail(f"{summary.failed:,} rows failed; why stands {where}. The same command asks them again.", FAILED)
    if errors is not None:
        with suppress(OSError):
            os.remove(errors)  # an empty one
