"""The arguments and options of the command ``map``."""

from pathlib import Path
from typing import Annotated, Optional

import typer

__all__ = [
    "ColumnsOption",
    "ConcurrencyOption",
    "DimensionsOption",
    "DryRunOption",
    "EmbedOption",
    "ErrorsOption",
    "ForceOption",
    "JournalOption",
    "KeyOption",
    "LimitOption",
    "MaxCostOption",
    "MaxTokensOption",
    "ModeOption",
    "OutArgument",
    "PromptOption",
    "RowsArgument",
    "SchemaOption",
    "TemperatureOption",
]

RowsArgument = Annotated[
    Path,
    typer.Argument(metavar="IN", help="The rows: a .jsonl, .csv or .parquet file.", show_default=False),
]
OutArgument = Annotated[
    Path,
    typer.Argument(metavar="OUT", help="Where the answers go: a file of these kinds.", show_default=False),
]
PromptOption = Annotated[
    str,
    typer.Option(
        "--prompt",
        metavar="TEMPLATE",
        help="The question, with fields: 'Classify: {text}'.",
        show_default=False,
    ),
]
KeyOption = Annotated[
    Optional[str],
    typer.Option(
        "--key",
        metavar="FIELD",
        help="The field that tells rows apart; default: their position.",
        show_default=False,
    ),
]
SchemaOption = Annotated[
    Optional[Path],
    typer.Option("--schema", metavar="FILE", help="The JSON schema of each answer.", show_default=False),
]
ColumnsOption = Annotated[
    Optional[str],
    typer.Option(
        "--columns",
        metavar="NAMES",
        help="The columns of OUT: id,answer or mood=answer.label. Default: all fields, answer, error.",
        show_default=False,
    ),
]
ErrorsOption = Annotated[
    Optional[Path],
    typer.Option(
        "--errors",
        metavar="FILE",
        help="Write rows that failed here, as .jsonl, instead of into OUT.",
        show_default=False,
    ),
]
JournalOption = Annotated[
    Optional[str],
    typer.Option(
        "--journal",
        metavar="JOURNAL",
        help="Where answers are kept, a file or the URL of a database; default: OUT.journal.",
        show_default=False,
    ),
]
ModeOption = Annotated[
    str, typer.Option("--mode", metavar="MODE", help="When to ask: now, or batch for half the price.")
]
ConcurrencyOption = Annotated[
    int, typer.Option("--concurrency", metavar="N", min=1, help="Most requests under way at once.")
]
MaxCostOption = Annotated[
    Optional[float],
    typer.Option(
        "--max-cost",
        metavar="DOLLARS",
        min=0,
        help="End before this would be passed.",
        show_default=False,
    ),
]
MaxTokensOption = Annotated[
    Optional[int], typer.Option("--max-tokens", metavar="N", min=1, help="Most tokens of an answer.")
]
EmbedOption = Annotated[
    bool,
    typer.Option("--embed", help="Make a vector of each row instead; --prompt is the text: '{title}'."),
]
DimensionsOption = Annotated[
    Optional[int],
    typer.Option("--dimensions", metavar="N", min=1, help="With --embed: the length of the vectors."),
]
TemperatureOption = Annotated[
    Optional[float], typer.Option("--temperature", metavar="T", min=0, help="Sampling temperature.")
]
LimitOption = Annotated[
    Optional[int],
    typer.Option("--limit", metavar="N", min=1, help="Only the first N rows.", show_default=False),
]
DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", help="Ask nothing; tell rows, tokens and the cost of both modes, estimated."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace an OUT that is not of this journal.")]
