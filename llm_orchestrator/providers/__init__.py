"""Which adapter serves a provider entry: a built-in one, one the application registers, or a plug-in's.

Adapters are imported when an entry is first used, so that no vendor SDK is loaded before it is needed.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, Optional, Tuple, Type

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.forks import forks_wait
from llm_orchestrator.utils.lazy import LazyModule
from llm_orchestrator.utils.suggestions import closest

if TYPE_CHECKING:
    from llm_orchestrator.providers import base
else:
    base = LazyModule("llm_orchestrator.providers.base")

__all__ = ["adapter_names", "find_adapter", "register_provider"]

ENTRY_POINTS = "llm_orchestrator.providers"

_BUILT_IN: Dict[str, str] = {
    "anthropic": "llm_orchestrator.providers.anthropic_adapter:AnthropicAdapter",
    "azure": "llm_orchestrator.providers.clouds.azure:AzureAdapter",
    "bedrock": "llm_orchestrator.providers.clouds.bedrock:BedrockAdapter",
    "gemini": "llm_orchestrator.providers.gemini_adapter:GeminiAdapter",
    "gemini-legacy": "llm_orchestrator.providers.gemini_legacy.adapter:GeminiLegacyAdapter",
    "local": "llm_orchestrator.providers.local_adapter:LocalAdapter",
    "openai": "llm_orchestrator.providers.openai_adapter:OpenAIAdapter",
    "vertex": "llm_orchestrator.providers.clouds.vertex:VertexAdapter",
}
#: Settings of an entry that only some of the built-in adapters know.
_OWN_SETTINGS: Mapping[str, Tuple[str, ...]] = {
    "api": ("openai", "azure"),
    "api_version": ("anthropic", "azure", "bedrock", "vertex"),
    "model_path": ("local",),
    "embedding_model": ("openai", "azure", "gemini", "gemini-legacy", "vertex", "local"),
    "region": ("bedrock", "vertex"),
    "project": ("vertex",),
    "publisher": ("vertex",),
    "models": ("azure", "bedrock", "vertex"),
}
#: How a base URL may not end, since the adapter puts that in front of its paths itself.
_GEMINI_PATHS = ("/v1", "/v1beta", "/v1/models", "/v1beta/models")
_ADDED_PATHS: Mapping[str, Tuple[str, ...]] = {
    "anthropic": ("/v1",),
    "gemini": _GEMINI_PATHS,
    "gemini-legacy": _GEMINI_PATHS,
}
_registered: Dict[str, Type[base.BaseLLMProvider]] = {}


def register_provider(name: str, adapter: Type[base.BaseLLMProvider]) -> None:
    """Make an adapter available to configurations under a name.

    Args:
        name: What a provider entry is called, or names as its ``adapter``.
        adapter: The class; it is constructed as BaseLLMProvider documents.

    Raises:
        ConfigurationError: The class is not a BaseLLMProvider.
    """
    _registered[name] = _checked(adapter)


def adapter_names() -> List[str]:
    """The names a provider entry may use as its adapter.

    Returns:
        Built-in, registered and plug-in names, sorted.
    """
    return sorted({*_BUILT_IN, *_registered, *_plug_ins()})


def is_known(name: str) -> bool:
    """Tell whether an adapter goes by a name, without importing it.

    Args:
        name: The adapter's name.

    Returns:
        Whether ``find_adapter`` will find it.
    """
    return name in _registered or name in _BUILT_IN or name in _plug_ins()


def unused_settings(name: str, given: Iterable[str]) -> List[str]:
    """Name the settings that an adapter does not know; one that is not built in may know any.

    Args:
        name: The adapter's name.
        given: Names of settings of an entry.

    Returns:
        Those that are another built-in adapter's.
    """
    if name in _registered or name not in _BUILT_IN:
        return []
    return [setting for setting in given if name not in _OWN_SETTINGS.get(setting, (name,))]


def added_path(name: str, address: str) -> Optional[str]:
    """Find what an adapter adds to a base URL itself at the end of one.

    Args:
        name: The adapter's name.
        address: The base URL without its query.

    Returns:
        That end; None where there is none.
    """
    paths = () if name in _registered else _ADDED_PATHS.get(name, ())
    return next((path for path in paths if address.rstrip("/").endswith(path)), None)


def find_adapter(name: str) -> Type[base.BaseLLMProvider]:
    """Find the adapter class of a name; what an application registers counts before what is built in.

    Args:
        name: The adapter's name.

    Returns:
        The class.

    Raises:
        ConfigurationError: No adapter goes by that name, or its plug-in cannot be imported.
    """
    if name in _registered:
        return _registered[name]
    target = _BUILT_IN.get(name) or _plug_ins().get(name)
    if target is None:
        names = adapter_names()
        close = closest(name.lower(), names)
        meant = f"Did you mean {close!r}? " if close else ""
        raise ConfigurationError(
            f"There is no adapter named {name!r}. {meant}Set adapter: to one of {', '.join(names)}; a host "
            "that speaks OpenAI's protocol takes openai."
        )
    module, _, attribute = target.partition(":")
    try:
        with forks_wait:
            adapter = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"The adapter {name!r} cannot be loaded from {target}: {error}. Install or repair its package."
        ) from error
    return _checked(adapter)


def _checked(adapter: Any) -> Type[base.BaseLLMProvider]:
    if not (isinstance(adapter, type) and issubclass(adapter, base.BaseLLMProvider)):
        raise ConfigurationError(f"{adapter!r} is not a provider class. Derive it from BaseLLMProvider.")
    return adapter


def _plug_ins() -> Dict[str, str]:
    from importlib import metadata

    if sys.version_info >= (3, 10):
        found = metadata.entry_points(group=ENTRY_POINTS)
    else:
        found = metadata.entry_points().get(ENTRY_POINTS, ())
    return {point.name: point.value for point in found}
