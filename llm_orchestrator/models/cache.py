"""The cache file of the model registry: one JSON file that several processes share.

The file is replaced atomically, and a change is merged into what is on disk under a lock, so that the refresh
of one process does not undo another's. A cache may be lost: a file that cannot be read or written is a
warning, never an error.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import time
from dataclasses import dataclass, field, fields
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Tuple, Union

from llm_orchestrator.types import ModelInfo
from llm_orchestrator.utils.atomic_file import atomic_file
from llm_orchestrator.utils.file_lock import lock
from llm_orchestrator.utils.files import OWN_MODE, open_regular, pinned, read_regular
from llm_orchestrator.utils.forks import forks_wait
from llm_orchestrator.utils.json import read_json
from llm_orchestrator.utils.values import Value

__all__ = ["Listing", "ModelCache", "default_cache_path"]

_SCHEMA = 2
_OLD_SCHEMA = 1  # of version 0.1, which did not distinguish addresses
#: Seconds to wait for another process that changes the file: it holds the lock for milliseconds.
LOCK_SECONDS = 5.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, repr=False)
class Listing(Value):
    """What is known about one provider's models.

    Attributes:
        refreshed_at: When the provider was last asked (ISO 8601, UTC); None when it never was.
        models: Every model ever seen, by name.
    """

    refreshed_at: Optional[str] = None
    models: Mapping[str, ModelInfo] = field(default_factory=dict)


#: Name of a provider's entry, and its address.
Key = Tuple[str, str]

_EMPTY = Listing()


def default_cache_path() -> str:
    """The cache file in the user's cache folder, which depends on the platform."""
    home = os.path.expanduser("~")
    if sys.platform == "darwin":
        folder = os.path.join(home, "Library", "Caches")
    elif sys.platform == "win32":
        folder = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
    else:
        folder = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(folder):  # the XDG specification says to ignore a relative path
            folder = os.path.join(home, ".cache")
    return os.path.join(folder, "llm_orchestrator", "models.json")


class ModelCache:
    """The listings of all providers, in memory and in a file."""

    def __init__(
        self, path: Union[str, os.PathLike[str]], addresses: Optional[Mapping[str, str]] = None
    ) -> None:
        self._path = pinned(path)
        self._addresses = addresses or {}
        self._lock = threading.RLock()
        self._listings: Dict[Key, Listing] = {}  # replaced, never changed, so that reading needs no lock
        self._version: Optional[Tuple[int, ...]] = None
        self._looked_at = float("-inf")

    def listing(self, provider: str, *, max_age: float = 0.0) -> Listing:
        """What is known about one provider's models, also from other processes ``max_age`` seconds ago."""
        if time.monotonic() - self._looked_at >= max_age:
            self._read_if_replaced()
        return self._listings.get(self._key(provider), _EMPTY)

    def update(self, provider: str, change: Callable[[Listing], Listing]) -> None:
        """Change one provider's listing, in memory and in the file, which may wait for others."""
        with self._file_lock(), self._lock:  # in this order: who only reads never waits for another process
            newest = self.listing(provider)
            self._listings = {**self._listings, self._key(provider): change(newest)}
            self._write()

    def _key(self, provider: str) -> Key:
        return provider, self._addresses.get(provider, "")

    @contextlib.contextmanager
    def _file_lock(self) -> Iterator[None]:
        """Lock out other processes, where the platform and the folder allow it."""
        with contextlib.ExitStack() as held:
            try:
                os.makedirs(os.path.dirname(self._path), exist_ok=True)
                descriptor = open_regular(self._path + ".lock", os.O_RDWR | os.O_CREAT)
                held.callback(os.close, descriptor)  # this gives the lock back, too
                if not lock(descriptor, LOCK_SECONDS):
                    logger.warning(
                        "Another process keeps the model cache %s locked. It is written all the same; end "
                        "that process if it hangs.",
                        self._path,
                    )
            except (OSError, ValueError):  # the reason is logged when the file cannot be written either
                logger.debug("The model cache %s cannot be locked.", self._path)
            yield

    def _write(self) -> None:
        try:
            with atomic_file(self._path, mode=OWN_MODE) as file:
                file.write(json.dumps(_encoded(self._listings), indent=1, default=str).encode())
        except (OSError, ValueError) as error:
            logger.warning(
                "The model cache %s was not written (%s). It is kept in memory; check the path and the "
                "permissions.",
                self._path,
                error,
            )
        self._version = self._version_on_disk()

    def _read_if_replaced(self) -> None:
        self._looked_at = time.monotonic()
        if self._version_on_disk() == self._version:
            return
        with forks_wait, self._lock:
            version = self._version_on_disk()
            if version is not None and version != self._version:
                self._listings = {**self._listings, **self._read()}
            self._version = version

    def _read(self) -> Dict[Key, Listing]:
        try:
            return _decoded(read_json(read_regular(self._path).decode("utf-8")))
        except OSError as error:
            logger.warning(
                "The model cache %s cannot be read (%s). It is ignored; check the permissions.",
                self._path,
                error,
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            logger.warning(
                "The model cache %s is not valid. It is ignored, and replaced by the next refresh.",
                self._path,
            )
        return {}

    def _version_on_disk(self) -> Optional[Tuple[int, ...]]:
        try:
            status = os.stat(self._path)
        except (OSError, ValueError):  # no file yet, or not a valid path
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


_FIELDS = [info_field.name for info_field in fields(ModelInfo) if info_field.name != "provider"]


def _encoded(listings: Mapping[Key, Listing]) -> Dict[str, Any]:
    documents = [
        {
            "provider": provider,
            "address": address,
            "refreshed_at": listing.refreshed_at,
            "models": [_encoded_model(info) for info in listing.models.values()],
        }
        for (provider, address), listing in listings.items()
    ]
    return {"schema": _SCHEMA, "listings": documents}


def _encoded_model(info: ModelInfo) -> Dict[str, Any]:
    """The fields that are set, which are few."""
    values = {name: getattr(info, name) for name in _FIELDS}
    return {name: value for name, value in values.items() if value is not None and value is not False}


def _decoded(document: Any) -> Dict[Key, Listing]:
    if document["schema"] == _OLD_SCHEMA:
        return {}
    if document["schema"] != _SCHEMA:
        raise ValueError("the file is of another version")
    return {
        (listing["provider"], listing["address"]): Listing(
            listing["refreshed_at"],
            {entry["name"]: ModelInfo(provider=listing["provider"], **entry) for entry in listing["models"]},
        )
        for listing in document["listings"]
    }
