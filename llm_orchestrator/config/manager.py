"""Loads the configuration: finds it, replaces the variables, checks it and reports all problems at once.

Only the active provider must be complete, or the entries that the caller needs. Another entry whose variable
or key is missing is marked with the reason, so that one file can serve machines with different keys.
"""

from __future__ import annotations

import logging
import os
from collections import abc
from typing import Any, Collection, Dict, List, Mapping, Optional, Sequence, Union

from pydantic import ValidationError

from llm_orchestrator.config.cost_tracking import BudgetConfig, CostTrackingConfig, PriceOverride
from llm_orchestrator.config.entry import ProviderConfig
from llm_orchestrator.config.frozen import FrozenDict
from llm_orchestrator.config.problems import MOST_SHOWN, Problem, configuration_error, schema_problems
from llm_orchestrator.config.reader import YamlFile, read_yaml
from llm_orchestrator.config.schema import SECTIONS, ModelRegistryConfig, OrchestratorConfig
from llm_orchestrator.config.substitution import Substitution
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.files import pinned
from llm_orchestrator.utils.suggestions import closest

__all__ = [
    "BudgetConfig",
    "ConfigManager",
    "CostTrackingConfig",
    "ModelRegistryConfig",
    "OrchestratorConfig",
    "PriceOverride",
    "ProviderConfig",
]

logger = logging.getLogger(__name__)

#: The environment variable with the path of the file, for applications that do not pass one.
CONFIG_VARIABLE = "LLM_ORCHESTRATOR_CONFIG"
DEFAULT_PATH = "./config.yaml"

#: The adapters that need a key at the vendor's own address, and the variable it is usually in.
KEY_VARIABLES = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "gemini-legacy": "GEMINI_API_KEY",
}

#: How alike two names are of which one is a typing error.
_CLOSE = 0.82

Source = Union[str, "os.PathLike[str]", Mapping[str, Any], OrchestratorConfig, None]


class ConfigManager:
    """Loads configurations; its methods work on the class and on an instance alike."""

    @staticmethod
    def load_config(path: Union[str, os.PathLike[str]]) -> OrchestratorConfig:
        """Load a YAML file.

        Args:
            path: The file.

        Returns:
            The checked configuration.

        Raises:
            ConfigurationError: The text lists all problems.
        """
        return ConfigManager.load(path)

    @staticmethod
    def load(
        source: Source = None,
        *,
        given_providers: Collection[str] = (),
        needed: Optional[Collection[str]] = None,
    ) -> OrchestratorConfig:
        """Load a configuration from a file or from values.

        Args:
            source: A path, a mapping with the keys of the YAML file, or a configuration; None is the path in
                ``$LLM_ORCHESTRATOR_CONFIG``, then ``./config.yaml``.
            given_providers: Names of the providers that the application passes as objects; they need neither
                a key nor an entry in the file.
            needed: Names of the entries that must be complete; None is the active one alone.

        Returns:
            The checked configuration, with an entry for each given provider.

        Raises:
            ConfigurationError: The text lists all problems.
        """
        if isinstance(source, OrchestratorConfig):
            return _Check("the configuration", given_providers, needed).complete(source)
        if isinstance(source, abc.Mapping):
            return _Check("the configuration", given_providers, needed).run(source)
        if source is None:
            source = os.environ.get(CONFIG_VARIABLE) or DEFAULT_PATH
        if not isinstance(source, (str, os.PathLike)):
            raise ConfigurationError(
                f"The configuration is a {type(source).__name__}. "
                "Pass a path, a mapping or an OrchestratorConfig."
            )
        path = pinned(source)
        file = read_yaml(path)
        return _Check(path, given_providers, needed, file).run(file.values)


class _Check:
    """Checks one configuration; the arguments are those of ``ConfigManager.load``."""

    def __init__(
        self,
        source: str,
        given: Collection[str],
        needed: Optional[Collection[str]],
        file: Optional[YamlFile] = None,
    ) -> None:
        self._source = source
        self._file = file
        self._given = given
        self._needed = needed

    def run(self, raw: Mapping[str, Any]) -> OrchestratorConfig:
        """Replace the variables and check the result."""
        substituted = Substitution(raw, os.environ)
        missing = [problem for problem in substituted.problems if not self._is_key_of_given(problem)]
        tree = self._with_given(substituted.tree)
        try:
            config = OrchestratorConfig.model_validate(tree)
        except ValidationError as error:
            found = schema_problems(error, SECTIONS)
        else:
            return self.complete(config, missing)
        # A key whose variable is not set is left out: report the variable, not the missing key as well.
        needed = [None, *self._needed_of(tree.get("active_provider"))]  # a list: it may be unhashable
        unset = [problem for problem in missing if _entry_of(problem) in needed]
        reported = {problem.path for problem in unset}
        raise self._error(unset + [problem for problem in found if problem.path not in reported])

    def complete(self, config: OrchestratorConfig, missing: Sequence[Problem] = ()) -> OrchestratorConfig:
        """Refuse a needed entry that is incomplete, and mark other incomplete entries."""
        entries = dict(config.providers)
        for name in self._given:
            entries.setdefault(name, ProviderConfig(adapter=name))
        blocking = [problem for problem in missing if _entry_of(problem) is None]
        needed = self._needed_of(config.active_provider)
        for name, entry in entries.items():
            if (
                entry.unavailable and name not in self._given
            ):  # the unset variable cannot be seen a second time
                if name in needed:
                    raise ConfigurationError(entry.unavailable)
                continue
            problems = self._problems_of(name, entry, missing)
            if name in needed:
                blocking += problems
            entries[name] = entry.marked(str(self._error(problems)) if problems else None)
        blocking += unused_prices(config.cost_tracking.price_overrides, entries)
        if blocking:
            raise self._error(blocking)
        return config.model_copy(update={"providers": FrozenDict(entries)})

    def _needed_of(self, active: Optional[str]) -> Collection[Optional[str]]:
        return (active,) if self._needed is None else self._needed

    def _problems_of(self, name: str, entry: ProviderConfig, missing: Sequence[Problem]) -> List[Problem]:
        unset = [problem for problem in missing if _entry_of(problem) == name]
        if unset or name in self._given or entry.api_key or entry.api_key_file or entry.base_url:
            return unset
        variable = KEY_VARIABLES.get(entry.adapter or name)
        if variable is None:
            return []
        text = f"missing or empty. Write `api_key: ${{{variable}}}` and set that variable."
        return [Problem(("providers", name, "api_key"), text)]

    def _with_given(self, tree: Dict[str, Any]) -> Dict[str, Any]:
        entries = tree.get("providers") or {}
        if not self._given or not isinstance(entries, dict):
            return tree
        return {**tree, "providers": {**dict.fromkeys(self._given), **entries}}

    def _is_key_of_given(self, problem: Problem) -> bool:
        return _entry_of(problem) in self._given and problem.path[2:3] == ("api_key",)

    def _error(self, problems: Sequence[Problem]) -> ConfigurationError:
        if self._file is not None:
            shown, others = problems[:MOST_SHOWN], problems[MOST_SHOWN:]
            lines = self._file.lines_of([problem.path for problem in shown])
            problems = [*(problem._replace(line=line) for problem, line in zip(shown, lines)), *others]
        return configuration_error(self._source, problems)


def unused_prices(overrides: Sequence[PriceOverride], entries: Collection[str]) -> List[Problem]:
    """Refuse a price whose provider is a typing error; another unknown name may be a provider's own list."""
    problems = []
    for number, override in enumerate(overrides):
        name = override.provider
        if name in entries or name in KEY_VARIABLES:
            continue
        from llm_orchestrator.providers import adapter_names  # few files need it

        known = {*entries, *adapter_names()}
        close = None if name in known else closest(name, known, _CLOSE)
        if close is not None:
            path = ("cost_tracking", "price_overrides", number, "provider")
            problems.append(Problem(path, f"no entry is called {name!r}. Did you mean {close!r}?"))
        elif name not in known:
            logger.warning(
                "price_overrides has a price for %r, which is no entry below providers: no call uses it, "
                "unless a provider of yours has price lists of its own.",
                name,
            )
    return problems


def _entry_of(problem: Problem) -> Optional[str]:
    """Name of the provider entry that a problem is in; None for problems elsewhere."""
    section, *below = problem.path
    return str(below[0]) if section == "providers" and len(below) > 1 else None
