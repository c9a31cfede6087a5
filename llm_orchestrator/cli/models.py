"""The command ``models``: the models of the providers, as of the last refresh."""

# No postponed annotations: on Python 3.9 typer finds no options in them.
import json
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Annotated, Dict, List, Optional, Tuple

import typer

from llm_orchestrator.cli.settings import ConfigOption, ProviderOption, open_orchestrator
from llm_orchestrator.cli.terminal import FAILED, fail, note, show_table, waiting
from llm_orchestrator.exceptions import (
    ConfigurationError,
    NotSupportedError,
    OrchestratorError,
    ProviderError,
)
from llm_orchestrator.orchestrator import LLMOrchestrator
from llm_orchestrator.pricing.book import STANDARD, Match
from llm_orchestrator.types import ModelInfo

__all__ = ["models"]

COLUMNS = ("name", "provider", "window", "input $/M", "output $/M", "since", "deprecated", "retires")


def models(
    config: ConfigOption = None,
    provider: ProviderOption = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", "-r", help="Request the lists from the providers now.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="All providers of the configuration, and deprecated models too.")
    ] = False,
    kind: Annotated[
        str, typer.Option("--kind", "-k", help="chat, or embedding for models that make vectors.")
    ] = "chat",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models: context window, prices, since when, deprecated, when they retire.

    What is known of earlier refreshes needs no key and no network.
    """
    with open_orchestrator(config, provider, needs_key=refresh) as orchestrator:
        names = _names(orchestrator, everything and provider is None)
        error = _refresh(orchestrator, names) if refresh else None
        registry = orchestrator.registry
        found = [model for name in names for model in registry.get_available_models(name, everything, kind)]
        rows = [_row(model, _prices(orchestrator, model)) for model in found]
        stale = _stale(orchestrator, found)
    if as_json:
        print(json.dumps([asdict(model) for model in found], indent=2))
    elif found:
        show_table(COLUMNS, rows, numbers=COLUMNS[2:5])
        for why, names in stale.items():
            note(
                f"Prices that may be out of date: {', '.join(names)}. {why} "
                "Update the library, or set them in cost_tracking.price_overrides.",
                style="yellow",
            )
    if error:
        fail(f"{error} The earlier list is kept.", FAILED)
    if not found:
        of_kind = "" if kind == "chat" else f" of the kind {kind}"
        note(f"No models{of_kind} are known yet. Run: llm-orchestrator models --refresh")


def _names(orchestrator: LLMOrchestrator, everything: bool) -> List[str]:
    if not everything:
        return [orchestrator.active_provider]
    entries = orchestrator.config.providers
    for name, entry in entries.items():
        if entry.unavailable:
            note(f"{name} is skipped. {entry.unavailable}")
    return [name for name, entry in entries.items() if not entry.unavailable]


def _refresh(orchestrator: LLMOrchestrator, names: List[str]) -> Optional[OrchestratorError]:
    """Refresh the lists; returns the first error, so that what is known can still be shown."""
    first = None
    for name in names:
        try:
            with waiting(f"Asking {name} ..."):
                orchestrator.refresh_models(name)
        except NotSupportedError:
            if len(names) == 1:
                raise
            note(f"{name}: cannot list its models.")
        except (ProviderError, ConfigurationError) as error:
            note(f"{name}: {error}", style="yellow")
            first = first or error
    return first


def _prices(orchestrator: LLMOrchestrator, model: ModelInfo) -> List[str]:
    """What a million tokens of input and output cost at the standard tier; empty where it is not known."""
    if _is_free(orchestrator, model):
        return ["free", "free"]
    match, day = _match(orchestrator, model)
    rates = match.prices.rates(day, STANDARD, 0) if match else None
    lines = rates.lines if rates else {}
    return [f"{lines[name].per_million:f}" if name in lines else "" for name in ("in", "out")]


def _stale(orchestrator: LLMOrchestrator, models: List[ModelInfo]) -> Dict[str, List[str]]:
    """The models whose price may be out of date, by the reason."""
    found: Dict[str, List[str]] = {}
    for model in models:
        match, day = _match(orchestrator, model)
        why = orchestrator.cost_tracker.price_table.staleness(match, day) if match else None
        if why and not _is_free(orchestrator, model):
            found.setdefault(why, []).append(model.name)
    return found


def _is_free(orchestrator: LLMOrchestrator, model: ModelInfo) -> bool:
    entry = orchestrator.config.providers[model.provider]
    return orchestrator.cost_tracker.price_table.is_free(entry.adapter or model.provider)


def _match(orchestrator: LLMOrchestrator, model: ModelInfo) -> Tuple[Optional[Match], str]:
    """What the price table says of a model today."""
    entry = orchestrator.config.providers[model.provider]
    owner = entry.adapter or model.provider if entry.base_url is None else model.provider
    day = datetime.now(timezone.utc).date().isoformat()
    return orchestrator.cost_tracker.price_table.find(owner, model.name, day), day


def _row(model: ModelInfo, prices: List[str]) -> List[str]:
    return [
        model.name,
        model.provider,
        "" if model.context_window is None else f"{model.context_window:,}",
        *prices,
        _day(model.created_at or model.first_seen),
        "yes" if model.deprecated else "",
        _day(model.retires_at),
    ]


def _day(moment: Optional[str]) -> str:
    return (moment or "")[:10]
