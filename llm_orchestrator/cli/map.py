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
from typing import Annotated, Any, Dict, Iterator, List, Optional

import typer

from llm_orchestrator.bulk import BulkEstimate, BulkResult, BulkRun, BulkSummary
from llm_orchestrator.bulk.rows import Rows
from llm_orchestrator.cli.columns import Columns
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


def map_rows(
    rows: Annotated[
        Path,
        typer.Argument(metavar="IN", help="The rows: a .jsonl, .csv or .parquet file.", show_default=False),
    ],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="Where the answers go: a file of these kinds.", show_default=False
        ),
    ],
    prompt: Annotated[
        str,
        typer.Option(
            "--prompt",
            metavar="TEMPLATE",
            help="The question, with fields: 'Classify: {text}'.",
            show_default=False,
        ),
    ],
    config: ConfigOption = None,
    model: ModelOption = None,
    provider: ProviderOption = None,
    system: SystemOption = None,
    key: Annotated[
        Optional[str],
        typer.Option(
            "--key",
            metavar="FIELD",
            help="The field that tells rows apart; default: their position.",
            show_default=False,
        ),
    ] = None,
    schema: Annotated[
        Optional[Path],
        typer.Option("--schema", metavar="FILE", help="The JSON schema of each answer.", show_default=False),
    ] = None,
    columns: Annotated[
        Optional[str],
        typer.Option(
            "--columns",
            metavar="NAMES",
            help="The columns of OUT: id,answer or mood=answer.label. Default: all fields, answer, error.",
            show_default=False,
        ),
    ] = None,
    errors: Annotated[
        Optional[Path],
        typer.Option(
            "--errors",
            metavar="FILE",
            help="Write rows that failed here, as .jsonl, instead of into OUT.",
            show_default=False,
        ),
    ] = None,
    journal: Annotated[
        Optional[Path],
        typer.Option(
            "--journal",
            metavar="FILE",
            help="Where answers are kept; default: OUT.journal.",
            show_default=False,
        ),
    ] = None,
    mode: Annotated[
        str, typer.Option("--mode", metavar="MODE", help="When to ask: now, or batch for half the price.")
    ] = "now",
    concurrency: Annotated[
        int, typer.Option("--concurrency", metavar="N", min=1, help="Most requests under way at once.")
    ] = 64,
    max_cost: Annotated[
        Optional[float],
        typer.Option(
            "--max-cost",
            metavar="DOLLARS",
            min=0,
            help="End before this would be passed.",
            show_default=False,
        ),
    ] = None,
    max_tokens: Annotated[
        Optional[int], typer.Option("--max-tokens", metavar="N", min=1, help="Most tokens of an answer.")
    ] = None,
    temperature: Annotated[
        Optional[float], typer.Option("--temperature", metavar="T", min=0, help="Sampling temperature.")
    ] = None,
    limit: Annotated[
        Optional[int],
        typer.Option("--limit", metavar="N", min=1, help="Only the first N rows.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask nothing; tell rows, tokens and cost, estimated.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an OUT that is not of this journal.")
    ] = False,
) -> None:
    """Ask for an answer to each row of a file. Stopped by Ctrl-C, the same command goes on where it was.

    Example: llm-orchestrator map in.csv out.csv --prompt "Classify: {text}" --key id
    """
    kept = journal or out.with_name(out.name + ".journal")
    _check_files(rows, out, kept, errors, force=force or dry_run)
    form, fields = _schema(schema) if schema else (None, None)
    chosen = [name for name in (columns or "").split(",") if name]
    is_flat = out.suffix.lower() != ".jsonl"
    shown = Columns(chosen, fields, is_flat=is_flat, with_error=errors is None)
    shows_bar = not dry_run and sys.stderr is not None and sys.stderr.isatty()
    with open_orchestrator(config, provider, model, needs_key=not dry_run) as orchestrator:
        need_model(orchestrator)
        _quieten_refusals()
        run = orchestrator.map(
            Rows(rows, limit=limit, counts=shows_bar),
            messages=_messages(prompt, system),
            key=key,
            journal=kept,
            concurrency=concurrency,
            mode=mode,
            order="input",
            max_cost=max_cost,
            progress=shows_bar,
            max_tokens=max_tokens,
            temperature=temperature,
            response_format=form,
        )
        if dry_run:
            _show_estimate(run.estimate(), max_tokens)
            return
        _carry_out(run, out, errors, shown, kept)
    _report(run.summary, out, errors)


def _check_files(rows: Path, out: Path, kept: Path, errors: Optional[Path], *, force: bool) -> None:
    places = [path.resolve() for path in (rows, out, kept, errors) if path is not None]
    if len(set(places)) < len(places):
        raise ConfigurationError("Two of IN, OUT, the journal and the errors are one file. Name another one.")
    if out.exists() and not kept.exists() and not force:
        raise ConfigurationError(
            f"{out} exists, and does not come from a journal {kept}. Name another file, or pass --force."
        )
    if errors is not None and errors.suffix.lower() != ".jsonl":
        raise ConfigurationError(f"{errors} cannot hold the errors. Name a .jsonl file.")


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


def _show_estimate(estimate: BulkEstimate, max_tokens: Optional[int]) -> None:
    say(f"Rows: {estimate.rows:,}, of which {estimate.kept:,} are answered and {estimate.wrong:,} are wrong.")
    answers = f"at most {estimate.completion_tokens:,}" if max_tokens else "unknown without --max-tokens"
    say(f"Tokens: about {estimate.prompt_tokens:,} of prompts; of answers {answers}.")
    unpriced = "unknown: the model has no price" if estimate.cost is None else format_cost(estimate.cost)
    say(f"Cost: {unpriced}{'' if max_tokens or estimate.cost is None else ', without the answers'}.")


def _carry_out(run: BulkRun, out: Path, errors: Optional[Path], columns: Columns, kept: Path) -> None:
    tables: List[Table] = [open_table(out)]
    if errors is not None:
        tables.append(open_table(errors))
    try:
        with _stoppable(), run:
            for result in run:
                _write(result, tables, columns)
    except KeyboardInterrupt:
        note(f"{run.summary.answered:,} answers are in {kept}. The same command goes on.")
        raise
    finally:
        for table in tables:
            table.close()


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


def _report(summary: BulkSummary, out: Path, errors: Optional[Path]) -> None:
    note(f"{out}: {summary}.")
    if summary.stopped:
        fail("--max-cost is reached. Raise it, and the same command goes on.", FAILED)
    if summary.failed:
        where = f"in {errors}" if errors else "in the column error"
        fail(f"{summary.failed:,} rows failed; why stands {where}. The same command asks them again.", FAILED)
    if errors is not None:
        with suppress(OSError):
            os.remove(errors)  # an empty one
