"""A program that imports the library and complains of anything else that happens.

python -W error -m tests.support.programs.importing
"""

from __future__ import annotations

import sys
import threading
from typing import Any, List

#: Not to be imported by the core; asyncio because it costs a third of the start-up.
HEAVY = (
    "openai",
    "anthropic",
    "google",
    "xllamacpp",
    "httpx",
    "httpx2",
    "aiohttp",
    "pydantic",
    "asyncio",
    "sqlalchemy",
)
#: Audit events that an import has no reason for.
DEEDS = ("socket.", "subprocess.", "os.system", "os.fork", "os.mkdir", "os.remove", "os.rename", "urllib.")

done: List[Any] = []


def note(event: str, arguments: Any) -> None:
    if event.startswith(DEEDS) or (event == "open" and _writes(*arguments)):
        done.append((event, arguments))


def _writes(path: Any, mode: Any, flags: Any) -> bool:
    return (
        isinstance(mode, str) and any(letter in mode for letter in "wax+") and "__pycache__" not in str(path)
    )


before = set(sys.modules)
sys.addaudithook(note)

import llm_orchestrator  # noqa: E402

loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
assert not loaded.intersection(HEAVY), sorted(loaded.intersection(HEAVY))
assert not done, done
assert threading.active_count() == 1, threading.enumerate()
assert llm_orchestrator.__version__
