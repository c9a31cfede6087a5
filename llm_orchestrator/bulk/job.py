"""What a run is asked to do: the arguments of ``map``, checked."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from inspect import signature
from typing import Any, Callable, Mapping, Optional, Union

from llm_orchestrator.bulk.journals import is_url
from llm_orchestrator.bulk.messages import Field
from llm_orchestrator.bulk.results import BulkProgress
from llm_orchestrator.exceptions import InvalidRequestError
from llm_orchestrator.types import PARAMETERS
from llm_orchestrator.utils.suggestions import closest
from llm_orchestrator.utils.values import Value

__all__ = ["BulkJob", "bulk_job"]

NOW, BATCH = "now", "batch"
_IN_BACKGROUND = "background:"
MODES = (NOW, BATCH, f"{_IN_BACKGROUND}2h", f"{_IN_BACKGROUND}8h")


@dataclass(frozen=True, eq=False, repr=False)
class BulkJob(Value):
    """The arguments of ``map``, checked; ``LLMOrchestrator.map`` documents them."""

    rows: Any
    messages: Optional[Field]
    key: Optional[Field]
    journal: Optional[str] = field(repr=False)  # a URL may have a password
    concurrency: int
    uses_batches: bool
    waits: bool
    stops_at_error: bool
    keeps_order: bool
    max_cost: Optional[Decimal]
    progress: Union[bool, Callable[[BulkProgress], None], None]
    #: How long an answer may take in the background; None where it is not made there.
    window: Optional[str]
    makes_vectors: bool
    #: Those of ``send_request``, or of ``embed``.
    arguments: Mapping[str, Any] = field(repr=False)


def bulk_job(
    rows: Any,
    *,
    messages: Optional[Field] = None,
    key: Optional[Field] = None,
    journal: Union[str, os.PathLike[str], None] = None,
    concurrency: int = 64,
    mode: str = "now",
    wait: bool = True,
    on_error: str = "keep",
    order: str = "completion",
    max_cost: Union[float, Decimal, None] = None,
    progress: Union[bool, Callable[[BulkProgress], None], None] = None,
    embed: bool = False,
    **arguments: Any,
) -> BulkJob:
    """Check the arguments of ``map``; the others are those of ``send_request``, or of ``embed``."""
    _refuse_mistyped(arguments)
    if type(concurrency) is not int or concurrency < 1:
        raise InvalidRequestError(f"concurrency is {concurrency!r}. Pass a whole number above 0.")
    if progress is not None and not isinstance(progress, bool) and not callable(progress):
        raise InvalidRequestError(f"progress is {progress!r}. Pass True, or a function.")
    if key is not None and not isinstance(key, str) and not callable(key):
        raise InvalidRequestError(f"key is {key!r}. Pass the name of a field, or a function of a row.")
    _check_mode(mode, embed=embed, wait=wait, journal=journal)
    return BulkJob(
        rows,
        messages,
        key,
        None if journal is None else os.fspath(journal),
        concurrency,
        mode == BATCH,
        wait,
        _chosen("on_error", on_error, "keep", "raise"),
        _chosen("order", order, "completion", "input"),
        None if max_cost is None else _dollars(max_cost),
        progress,
        mode[len(_IN_BACKGROUND) :] if mode.startswith(_IN_BACKGROUND) else None,
        bool(embed),
        arguments,
    )


def _check_mode(mode: str, *, embed: bool, wait: bool, journal: Union[str, os.PathLike[str], None]) -> None:
    """Refuse a mode that is none, and what does not go with it."""
    if mode not in MODES:
        raise InvalidRequestError(f"mode is {mode!r}. Use {' or '.join(map(repr, MODES))}.")
    if embed and mode != NOW:
        raise InvalidRequestError(f"mode is {mode!r}, which is for answers. Leave it out with embed=True.")
    if not wait and (mode != BATCH or journal is None):
        raise InvalidRequestError(
            'wait=False needs mode="batch" and a journal, from which a later run collects the answers.'
        )
    if mode == BATCH and journal is not None and is_url(os.fspath(journal)):
        raise InvalidRequestError(
            'mode="batch" has one run alone submit and collect, so its journal is a file and no database. '
            "Name a file as journal, on a disk that every machine which may go on with the run can see."
        )


def _refuse_mistyped(arguments: Mapping[str, Any]) -> None:
    """A mistyped ``max_cost`` would be an option for the provider, and the run would have no bound."""
    for name in arguments:
        meant = None if name in PARAMETERS else closest(name, OWN_ARGUMENTS)
        if meant is not None:
            raise InvalidRequestError(
                f"{name} is not an argument of map. Did you mean {meant}? "
                "A field of the provider's body that has this name goes into the options of its entry."
            )


def _chosen(name: str, value: str, usual: str, other: str) -> bool:
    """Whether the other of two words was chosen."""
    if value not in (usual, other):
        raise InvalidRequestError(f"{name} is {value!r}. Use {usual!r} or {other!r}.")
    return value == other


def _dollars(value: Any) -> Decimal:
    try:
        dollars = Decimal(str(value))
    except InvalidOperation:
        dollars = Decimal("nan")
    if isinstance(value, bool) or not dollars.is_finite() or dollars < 0:
        raise InvalidRequestError(f"max_cost is {value!r}. Pass US dollars, 0 or more.")
    return dollars


#: Arguments of ``map`` alone.
OWN_ARGUMENTS = frozenset(signature(bulk_job).parameters) - {"arguments"}
