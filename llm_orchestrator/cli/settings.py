"""What the commands share: their common options, and how they get at a configuration."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Iterator, List, Optional

import typer

from llm_orchestrator.config.manager import (
    CONFIG_VARIABLE,
    DEFAULT_PATH,
    ConfigManager,
    OrchestratorConfig,
)
from llm_orchestrator.config.reader import read_yaml
from llm_orchestrator.exceptions import ConfigurationError, OrchestratorError
from llm_orchestrator.orchestrator import LLMOrchestrator

__all__ = [
    "ConfigOption",
    "ModelOption",
    "ProviderOption",
    "SystemOption",
    "config_path",
    "load_without_keys",
    "open_orchestrator",
]


def config_path(given: Optional[Path]) -> str:
    """Find the configuration file.

    Args:
        given: The path on the command line; None is the file that the environment names, then
            ``./config.yaml``.

    Returns:
        The path of a file that is there.

    Raises:
        ConfigurationError: It is not.
    """
    path = str(given) if given else os.environ.get(CONFIG_VARIABLE) or DEFAULT_PATH
    if not os.path.exists(path):
        raise ConfigurationError(
            f"There is no configuration {path}. Write one with `llm-orchestrator init`, "
            "or name another file with --config."
        )
    return path


@contextmanager
def open_orchestrator(
    config: Optional[Path], provider: Optional[str] = None, model: Optional[str] = None
) -> Iterator[LLMOrchestrator]:
    """Make the orchestrator that a command talks through, and close it in the end.

    Args:
        config: The path on the command line.
        provider: Name of a provider entry; None is the active one.
        model: The model to ask; None is the active one.

    Yields:
        The orchestrator.

    Raises:
        ConfigurationError: Something is wrong with the configuration.
    """
    with LLMOrchestrator(config_path(config)) as orchestrator:
        if provider is None and model is None:
            yield orchestrator
        else:
            yield orchestrator.for_provider(provider or orchestrator.active_provider, model)


def load_without_keys(config: Optional[Path]) -> OrchestratorConfig:
    """Load a configuration for a command that asks no provider, and therefore needs no key.

    Args:
        config: The path on the command line.

    Returns:
        The configuration.

    Raises:
        ConfigurationError: Something else is wrong with it.
    """
    path = config_path(config)
    entries = read_yaml(path).get("providers")
    return ConfigManager.load(path, given_providers=list(entries) if isinstance(entries, dict) else [])


def _complete_provider(context: typer.Context, incomplete: str) -> List[str]:
    try:
        entries = load_without_keys(context.params.get("config")).providers
    except OrchestratorError:  # completion has nowhere to say so
        return []
    return [name for name in entries if name.startswith(incomplete)]


def _complete_model(context: typer.Context, incomplete: str) -> List[str]:
    try:
        with open_orchestrator(context.params.get("config"), context.params.get("provider")) as orchestrator:
            models = orchestrator.get_available_models()
    except OrchestratorError:  # completion has nowhere to say so
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
