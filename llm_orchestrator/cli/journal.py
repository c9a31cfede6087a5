"""The commands ``journal show``, ``export`` and ``forget``: what a run of ``map`` has kept."""

# No postponed annotations: on Python 3.9 typer finds no options in them.
import json
from contextlib import closing
from pathlib import Path
from typing import Annotated, Optional

import typer

from llm_orchestrator.bulk.journals import AnyJournal, open_journal
from llm_orchestrator.cli.tables import open_table
from llm_orchestrator.cli.terminal import say
from llm_orchestrator.utils.money import format_sum

__all__ = ["journal"]

journal = typer.Typer(
    no_args_is_help=True, help="Look at the answers that map has kept, copy them, or forget them."
)

JournalArgument = Annotated[
    str,
    typer.Argument(metavar="JOURNAL", help="The file, or the URL of a database.", show_default=False),
]


@journal.command()
def show(place: JournalArgument) -> None:
    """Tell how many answers a journal holds, from when they are, and what they cost."""
    with closing(_opened(place)) as opened:
        sums = opened.sums()
    say(
        f"Answers: {sums['answers']:,}, to {sums['rows']:,} rows, with {sums['prompts']:,} different prompts."
    )
    if sums["answers"]:
        say(f"From {sums['first']} to {sums['last']}.")
    say(f"Cost: {format_sum(sums['cost'], sums['unpriced'])}.")


@journal.command()
def export(
    place: JournalArgument,
    out: Annotated[
        Optional[Path],
        typer.Argument(
            metavar="OUT",
            help="A .jsonl, .csv or .parquet file; default: JSON lines here.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Copy all answers, with their keys, tokens and costs."""
    with closing(_opened(place)) as opened:
        if out is None:
            for row in opened.answers():
                print(json.dumps(row, ensure_ascii=False))
            return
        with closing(open_table(out)) as table:
            for row in opened.answers():
                table.write(row)
    say(f"Wrote {out}.")


@journal.command()
def forget(
    place: JournalArgument,
    key: Annotated[
        Optional[str],
        typer.Option("--key", metavar="KEY", help="Forget the answers to this row.", show_default=False),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Forget all answers.")] = False,
) -> None:
    """Remove answers, whose rows are then asked again; their texts leave the file, too."""
    if everything == (key is not None):
        raise typer.BadParameter("pass either --key KEY or --all")
    with closing(_opened(place)) as opened:
        if key is None:
            removed = opened.forget()
        else:  # as a text, and as the number or list that it may be
            removed = sum(opened.forget(text) for text in {json.dumps(key, ensure_ascii=False), key})
    say(f"Forgot {removed:,} answers.")


def _opened(place: str) -> AnyJournal:
    return open_journal(place, must_exist=True)
