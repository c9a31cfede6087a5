"""The command ``check``: is the configuration right, are providers reachable, do they offer its models?

It asks for listings only, which cost nothing. What it finds is told as it is found, each problem with what to
do.
"""

# No postponed annotations: on Python 3.9 typer finds no options in them.
from typing import Annotated, Iterator, List, NamedTuple

import typer

from llm_orchestrator.cli.settings import ConfigOption, config_path
from llm_orchestrator.cli.terminal import FAILED, clean, output, waiting
from llm_orchestrator.config.frozen import FrozenDict
from llm_orchestrator.config.manager import KEY_VARIABLES, ConfigManager, OrchestratorConfig
from llm_orchestrator.exceptions import (
    AuthenticationError,
    ConfigurationError,
    ModelNotFoundError,
    PermissionDeniedError,
    ProviderError,
)
from llm_orchestrator.orchestrator import LLMOrchestrator
from llm_orchestrator.suggestions import did_you_mean

__all__ = ["check"]


class Finding(NamedTuple):
    """What was found at one place.

    Attributes:
        level: ``ok``, ``warning`` or ``failed``.
        text: What was looked at and how it is, with what to do where something is wrong.
    """

    level: str
    text: str


STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}


def check(
    config: ConfigOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Ask every provider of the configuration, not the active one only.")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="How long to wait for a provider.")
    ] = 10.0,
) -> None:
    """Check the configuration, the keys, that providers answer and that they offer the models.

    The exit code is 0 when all is well, 1 when a provider or a model fails, 2 when the configuration is
    wrong.
    """
    path = config_path(config)
    checked = ConfigManager.load(path)
    _show(Finding("ok", f"configuration {path}"))
    failed = 0
    with LLMOrchestrator(_with_timeout(checked, timeout)) as orchestrator:
        for name in checked.providers if everything else [checked.active_provider]:
            for finding in _examine(orchestrator, name):
                _show(finding)
                failed += finding.level == "failed"
    if failed:
        raise typer.Exit(FAILED)


def _show(finding: Finding) -> None:
    from rich.text import Text

    level = Text(f"{finding.level:<8}", style=STYLES[finding.level])
    output().print(level.append(clean(finding.text), style="default"), soft_wrap=False)


def _with_timeout(config: OrchestratorConfig, seconds: float) -> OrchestratorConfig:
    entries = {
        name: entry.model_copy(
            update={
                "timeout": min(seconds, entry.timeout),
                "connect_timeout": min(seconds, entry.connect_timeout),
            }
        )
        for name, entry in config.providers.items()
    }
    return config.model_copy(update={"providers": FrozenDict(entries)})


def _examine(orchestrator: LLMOrchestrator, name: str) -> Iterator[Finding]:
    entry = orchestrator.config.providers[name]
    if entry.unavailable:
        yield Finding("warning", f"{name}: cannot be used. {entry.unavailable}")
        return
    if entry.api_key:
        yield Finding("ok", f"{name}: key is set")
    try:
        with waiting(f"Asking {name} ..."):
            orchestrator.refresh_models(name)
        yield Finding("ok", f"{name}: answers, {len(orchestrator.get_available_models(name))} chat models")
    except ModelNotFoundError:
        yield Finding("warning", f"{name}: answers, but has no list of models")
        return
    except (ProviderError, ConfigurationError) as error:
        yield Finding("failed", f"{name}: {error} {_remedy(error, orchestrator, name)}".rstrip())
        return
    for model in _models(orchestrator, name):
        yield _examine_model(orchestrator, name, model)


def _remedy(error: Exception, orchestrator: LLMOrchestrator, name: str) -> str:
    entry = orchestrator.config.providers[name]
    if isinstance(error, (AuthenticationError, PermissionDeniedError)):
        variable = KEY_VARIABLES.get(entry.adapter or name)
        return f"Check providers.{name}.api_key" + (f" and the variable {variable}." if variable else ".")
    return ""


def _models(orchestrator: LLMOrchestrator, name: str) -> List[str]:
    active = [orchestrator.config.active_model] if name == orchestrator.config.active_provider else []
    return [*active, *orchestrator.config.providers[name].fallback_models]


def _examine_model(orchestrator: LLMOrchestrator, name: str, model: str) -> Finding:
    registry = orchestrator.registry
    try:
        known = registry.known(name, model)
        is_offered = bool(known and known.last_seen) or orchestrator.validate_model(model, name)
    except ProviderError as error:
        return Finding("failed", f"{name}/{model}: {error}")
    if not is_offered:
        names = orchestrator.get_available_models(name)
        return Finding(
            "failed", f"{name}/{model}: the provider has no such model. {did_you_mean(model, names[:50])}"
        )
    if registry.is_model_deprecated(name, model):
        return Finding("warning", registry.explain(name, model))
    if known and known.exclusion:
        return Finding("warning", registry.explain(name, model))
    return Finding("ok", f"{name}/{model}: offered")
