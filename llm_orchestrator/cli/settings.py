"""What the commands share: their common options, and loading the configuration."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Iterator, List, Optional

import typer
from pydantic import SecretStr

from llm_orchestrator.cli.env_file import use_env_file
from llm_orchestrator.config.frozen import FrozenDict
from llm_orchestrator.config.manager import (
    CONFIG_VARIABLE,
    DEFAULT_PATH,
    ConfigManager,
    OrchestratorConfig,
)
from llm_orchestrator.config.reader import read_yaml
from llm_orchestrator.exceptions import ConfigurationError, OrchestratorError
from llm_orchestrator.orchestrator import LLMOrchestrator
from llm_orchestrator.utils.suggestions import did_you_mean

__all__ = [
    "ConfigOption",
    "ModelOption",
    "ProviderOption",
    "SystemOption",
    "config_path",
    "load",
    "load_without_keys",
    "models_of",
    "need_model",
    "open_orchestrator",
]


def config_path(given: Optional[Path]) -> str:
    """Find the configuration file, and set what it needs of the ``.env`` beside it."""
    path = str(given) if given else os.environ.get(CONFIG_VARIABLE) or DEFAULT_PATH
    if not os.path.exists(path):
        raise ConfigurationError(
            f"There is no configuration {path}. Write one with `llm-orchestrator init`, "
            "or pass another file with --config."
        )
    use_env_file(path)
    return path


def load(config: Optional[Path], provider: Optional[str]) -> OrchestratorConfig:
    """Load a configuration in which only the entry to be used must be complete."""
    path = config_path(config)
    if provider is None:
        return ConfigManager.load(path)
    _check_provider(provider, read_yaml(path).values.get("providers"))
    return ConfigManager.load(path, needed=[provider])


def _check_provider(name: Optional[str], entries: Any) -> None:
    if name is not None and isinstance(entries, dict) and name not in entries:
        hint = did_you_mean(name, map(str, entries))
        raise ConfigurationError(f"There is no provider named {name!r}. {hint}")


@contextmanager
def open_orchestrator(
    config: Optional[Path],
    provider: Optional[str] = None,
    model: Optional[str] = None,
    *,
    needs_key: bool = True,
) -> Iterator[LLMOrchestrator]:
    """Make the orchestrator of a command, and close it at the end."""
    loaded = load(config, provider) if needs_key else _with_any_key(load_without_keys(config, provider))
    name = provider or loaded.active_provider
    with LLMOrchestrator(loaded.model_copy(update={"active_provider": name})) as orchestrator:
        orchestrator.active_model = model or (loaded.active_model if name == loaded.active_provider else None)
        yield orchestrator


def _with_any_key(config: OrchestratorConfig) -> OrchestratorConfig:
    """Give each entry without a key a word in its place: nothing will be sent."""
    entries = {
        name: entry if entry.api_key else entry.model_copy(update={"api_key": SecretStr("not-sent")})
        for name, entry in config.providers.items()
    }
    return config.model_copy(update={"providers": FrozenDict(entries)})


def models_of(config: OrchestratorConfig, provider: str) -> List[str]:
    """The models that a configuration uses of a provider."""
    active = [config.active_model] if provider == config.active_provider else []
    return [*active, *config.providers[provider].fallback_models]


def need_model(orchestrator: LLMOrchestrator) -> None:
    """Require a model for a provider other than the active one."""
    if orchestrator.active_model is None:
        raise ConfigurationError(
            f"No model is set for {orchestrator.active_provider!r}: active_model belongs to the active "
            "provider. Pass one with --model."
        )


def load_without_keys(config: Optional[Path], provider: Optional[str] = None) -> OrchestratorConfig:
    """Load a configuration for a command that sends nothing, and therefore needs no key."""
    path = config_path(config)
    entries = read_yaml(path).values.get("providers")
    _check_provider(provider, entries)
    return ConfigManager.load(path, given_providers=list(entries) if isinstance(entries, dict) else [])


def _complete_provider(context: typer.Context, incomplete: str) -> List[str]:
    try:
        entries = load_without_keys(context.params.get("config")).providers
    except OrchestratorError:  # completion cannot show an error
        return []
    return [name for name in entries if name.startswith(incomplete)]


def _complete_model(context: typer.Context, incomplete: str) -> List[str]:
    try:
        place = context.params.get("config"), context.params.get("provider")
        with open_orchestrator(*place, needs_key=False) as orchestrator:
            models = orchestrator.get_available_models()
    except OrchestratorError:  # completion cannot show an error
        return []
    return [name for name in models if name.startswith(incomplete)]


ConfigOption = Annotated[
    Optional[Path],
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help=f"The configuration. Default: ${CONFIG_VARIABLE}, then {DEFAULT_PATH}.",
        show_default=False,
    ),
]
ProviderOption = Annotated[
    Optional[str],
    typer.Option(
        "--provider",
        "-p",
        metavar="NAME",
        help="An entry of the configuration. Default: the active one.",
        show_default=False,
        autocompletion=_complete_provider,
    ),
]
ModelOption = Annotated[
    Optional[str],
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="The model to ask. Default: the active one.",
        show_default=False,
        autocompletion=_complete_model,
    ),
]
SystemOption = Annotated[
    Optional[str], typer.Option("--system", "-s", metavar="TEXT", help="The system message.")
]
