"""The cache file of the model registry: one JSON file that several processes share.

It is written whole to a draft beside it and then put in place, so a reader never sees half of it; a change is
merged into what is on disk under a lock, so one process's refresh does not undo another's. A cache may be
lost: a file that is broken or cannot be written costs a warning, never a call.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
from dataclasses import dataclass, field, fields
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Tuple, Union

from llm_orchestrator.types import ModelInfo
from llm_orchestrator.utils.atomic_file import atomic_file

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl

__all__ = ["Listing", "ModelCache", "default_cache_path"]

_SCHEMA = 2
_OLD_SCHEMA = 1  # of version 0.1, which did not tell addresses apart

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listing:
    """What is known of one provider's models.

    Attributes:
        refreshed_at: When the provider was last asked (ISO 8601, UTC); None when it never was.
        models: Every model ever seen, by name.
    """

    refreshed_at: Optional[str] = None
    models: Mapping[str, ModelInfo] = field(default_factory=dict)


#: Name of a provider's entry, and its address.
Place = Tuple[str, str]

_UNKNOWN = Listing()


def default_cache_path() -> str:
    """Return the cache file in the user's cache folder, by the platform's own rules."""
    home = os.path.expanduser("~")
    if sys.platform == "darwin":
        folder = os.path.join(home, "Library", "Caches")
    elif sys.platform == "win32":
        folder = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
    else:
        folder = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(folder):  # the XDG specification: a relative path is to be ignored
            folder = os.path.join(home, ".cache")
    return os.path.join(folder, "llm_orchestrator", "models.json")


class ModelCache:
    """The listings of all providers, in memory and in a file."""

    def __init__(
        self, path: Union[str, os.PathLike[str]], addresses: Optional[Mapping[str, str]] = None
    ) -> None:
        self._path = os.fspath(path)
        self._addresses = addresses or {}
        self._lock = threading.RLock()
        self._listings: Dict[Place, Listing] = {}  # replaced, never changed: it can be read without the lock
        self._version: Optional[Tuple[int, ...]] = None

    def listing(self, provider: str) -> Listing:
        """Return what is known of one provider's models."""
        self._read_if_replaced()
        return self._listings.get(self._place(provider), _UNKNOWN)

    def update(self, provider: str, change: Callable[[Listing], Listing]) -> None:
        """Change one provider's listing, in memory and in the file."""
        with self._lock, self._other_processes_waiting():
            newest = self.listing(provider)
            self._listings = {**self._listings, self._place(provider): change(newest)}
            self._write()

    def _place(self, provider: str) -> Place:
        return provider, self._addresses.get(provider, "")

    @contextlib.contextmanager
    def _other_processes_waiting(self) -> Iterator[None]:
        """Hold the lock beside the file, where the platform and the folder allow one."""
        with contextlib.ExitStack() as held:
            try:
                os.makedirs(os.path.dirname(os.path.abspath(self._path)), exist_ok=True)
                lock = held.enter_context(open(self._path + ".lock", "a", encoding="utf-8"))
                if fcntl is not None:
                    fcntl.flock(lock, fcntl.LOCK_EX)
            except (OSError, ValueError):
                logger.debug("No lock beside the model cache %s.", self._path)  # writing says what is wrong
            yield

    def _write(self) -> None:
        try:
            with atomic_file(self._path) as file:
                file.write(json.dumps(_encoded(self._listings), indent=1, default=str).encode())
        except (OSError, ValueError) as error:
            logger.warning(
                "The model cache %s was not written (%s); it is kept in memory.", self._path, error
            )
        self._version = self._version_on_disk()

    def _read_if_replaced(self) -> None:
        if self._version_on_disk() == self._version:
            return
        with self._lock:
            version = self._version_on_disk()
            if version is not None and version != self._version:
                self._listings = {**self._listings, **self._read()}
            self._version = version

    def _read(self) -> Dict[Place, Listing]:
        try:
            with open(self._path, encoding="utf-8") as file:
                return _decoded(json.load(file))
        except OSError as error:
            logger.warning("The model cache %s cannot be read (%s); it is ignored.", self._path, error)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            logger.warning(
                "The model cache %s is broken or not ours; it is ignored, and replaced at the next refresh.",
                self._path,
            )
        return {}

    def _version_on_disk(self) -> Optional[Tuple[int, ...]]:
        try:
            status = os.stat(self._path)
        except (OSError, ValueError):  # no file yet, or a path that can be none
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


_FIELDS = [info_field.name for info_field in fields(ModelInfo) if info_field.name != "provider"]


def _encoded(listings: Mapping[Place, Listing]) -> Dict[str, Any]:
    told = [
        {
            "provider": provider,
            "address": address,
            "refreshed_at": listing.refreshed_at,
            "models": [_told(info) for info in listing.models.values()],
        }
        for (provider, address), listing in listings.items()
    ]
    return {"schema": _SCHEMA, "listings": told}


def _told(info: ModelInfo) -> Dict[str, Any]:
    """The fields that say something; most of a listing is empty."""
    told = {name: getattr(info, name) for name in _FIELDS}
    return {name: value for name, value in told.items() if value is not None and value is not False}


def _decoded(document: Any) -> Dict[Place, Listing]:
    if document["schema"] == _OLD_SCHEMA:
        return {}
    if document["schema"] != _SCHEMA:
        raise ValueError("another version's cache file")
    return {
        (told["provider"], told["address"]): Listing(
            told["refreshed_at"],
            {entry["name"]: ModelInfo(provider=told["provider"], **entry) for entry in told["models"]},
        )
        for told in document["listings"]
    }
