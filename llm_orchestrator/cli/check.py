"""The command ``check``: is the configuration valid, are the providers reachable, do they offer the models?

It only requests lists of models, which costs nothing, and shows each result as soon as it is known.
"""

# No postponed annotations: on Python 3.9 typer finds no options in them.
import os
from typing import Annotated, Iterator, List, NamedTuple

import typer

from llm_orchestrator.cli.settings import ConfigOption, ProviderOption, config_path, load, models_of
from llm_orchestrator.cli.terminal import FAILED, clean, output, waiting
from llm_orchestrator.config.frozen import FrozenDict
from llm_orchestrator.config.manager import KEY_VARIABLES, ConfigManager, OrchestratorConfig
from llm_orchestrator.config.reader import read_yaml
from llm_orchestrator.config.substitution import Substitution
from llm_orchestrator.exceptions import (
    AuthenticationError,
    ConfigurationError,
    NotSupportedError,
    PermissionDeniedError,
    ProviderError,
)
from llm_orchestrator.orchestrator import LLMOrchestrator
from llm_orchestrator.utils.plural import number_of
from llm_orchestrator.utils.suggestions import did_you_mean

__all__ = ["check"]


class Finding(NamedTuple):
    """One line of the result.

    Attributes:
        level: ``ok``, ``warning`` or ``failed``.
        text: What was checked and the result, with what to do where something is wrong.
    """

    level: str
    text: str


#: Statuses of a host that has no listing of models.
NO_LISTING = (404, 405, 501)
STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}


def check(
    config: ConfigOption = None,
    provider: ProviderOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Check all providers of the configuration, not only the active one.")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="How long to wait for a provider.")
    ] = 10.0,
) -> None:
    """Check the configuration and the keys, and whether providers answer and offer the models.

    Exit codes: 0 for success, 1 if a provider or a model fails, 2 if the configuration is wrong.
    """
    path = config_path(config)
    checked = ConfigManager.load(path, needed=()) if everything else load(config, provider)
    _show(Finding("ok", f"configuration {path}"))
    failed = 0
    for name in checked.providers if everything else [provider or checked.active_provider]:
        for finding in _examine(checked, path, name, timeout):
            _show(finding)
            failed += finding.level == "failed"
    if failed:
        raise typer.Exit(FAILED)


def _show(finding: Finding) -> None:
    from rich.text import Text

    level = Text(f"{finding.level:<8}", style=STYLES[finding.level])
    output().print(level.append(clean(finding.text), style="default"), soft_wrap=False)


def _examine(config: OrchestratorConfig, path: str, name: str, timeout: float) -> Iterator[Finding]:
    entry = config.providers[name]
    if entry.unavailable:
        level = "failed" if name == config.active_provider else "warning"
        yield Finding(level, f"{name}: cannot be used. {entry.unavailable}")
        return
    if entry.api_key and _is_set(path, name):
        yield Finding("ok", f"{name}: key is set")
    with LLMOrchestrator(_activated(config, name, timeout)) as orchestrator:
        yield from _ask(orchestrator, name, models_of(config, name))


def _is_set(path: str, name: str) -> bool:
    """Whether a key is set, and is not only the default of its variable, which may be a placeholder."""
    written = read_yaml(path).values["providers"][name].get("api_key")
    key, default = Substitution(written, os.environ).tree, Substitution(written, {}).tree
    return bool(key != default or key == written)


def _activated(config: OrchestratorConfig, name: str, seconds: float) -> OrchestratorConfig:
    """The configuration with one provider active, and its timeouts lowered."""
    entry = config.providers[name]
    limits = {
        "timeout": min(seconds, entry.timeout),
        "connect_timeout": min(seconds, entry.connect_timeout),
    }
    entries = FrozenDict({**config.providers, name: entry.model_copy(update=limits)})
    return config.model_copy(update={"active_provider": name, "providers": entries})


def _ask(orchestrator: LLMOrchestrator, name: str, models: List[str]) -> Iterator[Finding]:
    try:
        with waiting(f"Asking {name} ..."):
            orchestrator.refresh_models(name)
        offered = number_of(len(orchestrator.get_available_models(name)), "chat model")
        yield Finding("ok", f"{name}: answers, {offered}")
    except NotSupportedError:
        were = "were" if len(models) > 1 else "was"
        unchecked = f", so {' and '.join(models)} {were} not checked" if models else ""
        yield Finding("warning", f"{name}: cannot list its models{unchecked}")
        return
    except (ProviderError, ConfigurationError) as error:
        if getattr(error, "status_code", None) in NO_LISTING:
            yield Finding("warning", f"{name}: answers, but does not list its models")
        else:
            yield Finding("failed", f"{name}: {error} {_remedy(error, orchestrator, name)}".rstrip())
        return
    for model in models:
        yield _examine_model(orchestrator, name, model)


def _remedy(error: Exception, orchestrator: LLMOrchestrator, name: str) -> str:
    entry = orchestrator.config.providers[name]
    if isinstance(error, (AuthenticationError, PermissionDeniedError)):
        variable = KEY_VARIABLES.get(entry.adapter or name)
        if entry.api_key_file is not None:
            return f"Check the file of providers.{name}.api_key_file."
        return f"Check providers.{name}.api_key" + (f" and the variable {variable}." if variable else ".")
    return ""


def _examine_model(orchestrator: LLMOrchestrator, name: str, model: str) -> Finding:
    registry = orchestrator.registry
    try:
        known = registry.known(name, model)
        is_offered = bool(known and known.last_seen) or orchestrator.validate_model(model, name)
    except NotSupportedError as error:
        return Finding("warning", f"{name}/{model}: not listed. {error}")
    except ProviderError as error:
        return Finding("failed", f"{name}/{model}: {error}")
    if not is_offered:
        names = orchestrator.get_available_models(name)
        return Finding(
            "failed",
            f"{name}/{model}: the provider does not offer this model. {did_you_mean(model, names[:50])}",
        )
    if registry.is_model_deprecated(name, model):
        return Finding("warning", registry.explain(name, model))
    if known and known.exclusion:
        return Finding("warning", registry.explain(name, model))
    return Finding("ok", f"{name}/{model}: offered")
