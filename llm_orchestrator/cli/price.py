"""The command ``price``: what a model costs, by the price table and the configured overrides."""

# No postponed annotations: on Python 3.9 typer finds no options in them.
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, List, Optional, Tuple

import typer

from llm_orchestrator.calls.tracker import configured_tracker
from llm_orchestrator.cli.settings import ConfigOption, config_path, load_without_keys, models_of
from llm_orchestrator.cli.terminal import FAILED, fail, note, say, show_table
from llm_orchestrator.config.manager import OrchestratorConfig
from llm_orchestrator.cost_tracker import format_cost
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.pricing import PriceTable, PricingQuery
from llm_orchestrator.pricing.book import STANDARD, ModelPrices
from llm_orchestrator.types import TokenUsage
from llm_orchestrator.utils.suggestions import closest

__all__ = ["price"]


def price(
    model: Annotated[str, typer.Argument(help="The model's name, or provider/model.")],
    config: ConfigOption = None,
    prompt: Annotated[
        Optional[int],
        typer.Option(
            "--input", "-i", metavar="TOKENS", min=0, help="Show the cost of a prompt of this length."
        ),
    ] = None,
    completion: Annotated[
        Optional[int],
        typer.Option(
            "--output", "-o", metavar="TOKENS", min=0, help="Show the cost of an answer of this length."
        ),
    ] = None,
) -> None:
    """Show what a model costs, in US dollars per million tokens. Needs no network and no key."""
    configured = _configured(config)
    table = configured_tracker(configured.cost_tracking).price_table if configured else PriceTable()
    today = datetime.now(timezone.utc).date()
    found = _find(table, model, today.isoformat())
    for provider, name, prices in found:
        say(f"{provider}/{prices.name}", style="bold")
        _show_rates(prices, today.isoformat())
        if prompt is not None or completion is not None:
            usage = TokenUsage(prompt or 0, completion or 0, (prompt or 0) + (completion or 0))
            details = table.price(PricingQuery(provider, name, usage, at=today))
            say(f"{prompt or 0:,} tokens in, {completion or 0:,} out: {format_cost(details.total)}")
        source = "your price_overrides" if prices.source == "user" else f"the price table {table.version}"
        note(f"From {source}." + (f" {prices.note}" if prices.note else ""))
    free = _free_owner(table, configured, model)
    if free:
        say(f"{free}/{model.removeprefix(free + '/')}", style="bold")
        say("free")
    elif not found:
        fail(_unknown(table, model), FAILED)


def _free_owner(table: PriceTable, config: Optional[OrchestratorConfig], model: str) -> Optional[str]:
    """The provider of the model, if it is free."""
    owner, slash, _ = model.partition("/")
    if not slash:
        owner = ""
    if owner in table.providers and table.is_free(owner):
        return owner
    if config is None:
        return None
    free = [name for name, entry in config.providers.items() if table.is_free(entry.adapter or name)]
    return next((name for name in free if owner == name or model in models_of(config, name)), None)


def _unknown(table: PriceTable, model: str) -> str:
    names = [name for provider in table.providers for name in table.names(provider)]
    known = closest(model, names)
    hint = f" Did you mean {known!r}?" if known else ""
    return f"The price of {model} is not known.{hint} Set it in cost_tracking.price_overrides."


def _configured(config: Optional[Path]) -> Optional[OrchestratorConfig]:
    """The configuration, or None where there is none and the shipped prices are used."""
    try:
        path = config_path(config)
    except ConfigurationError:
        if config is not None:
            raise
        return None
    return load_without_keys(Path(path))


def _find(table: PriceTable, model: str, day: str) -> List[Tuple[str, str, ModelPrices]]:
    owner, separator, name = model.partition("/")
    if separator and owner in table.providers:
        candidates = [(owner, name)]
    else:
        candidates = [(provider, model) for provider in table.providers]
    found = ((provider, name, table.find(provider, name, day)) for provider, name in candidates)
    return [(provider, name, match.prices) for provider, name, match in found if match]


def _show_rates(prices: ModelPrices, day: str) -> None:
    rows = []
    for tier in (STANDARD, *prices.tiers(day)):
        over = prices.long_prompt(day, tier)
        for label, size in ((tier, 0), *(((f"{tier}, over {over:,} tokens", over + 1),) if over else ())):
            rates = prices.rates(day, tier, size)
            lines = rates.lines if rates else {}
            rows.append(
                (label, *(_dollars(lines, name) for name in ("in", "cache_read", "cache_write", "out")))
            )
    columns = ("tier", "input", "cache read", "cache write", "output")
    show_table(columns, rows, numbers=columns[1:])


def _dollars(lines: object, name: str) -> str:
    line = lines.get(name) if isinstance(lines, dict) else None
    return f"${line.per_million:f}" if line else ""
