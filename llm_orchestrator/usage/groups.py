"""What a report groups by: the names that a row has for a kind, such as ``model`` or ``tag:customer``."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Any, Callable, Iterable, Mapping, Sequence, Tuple

from llm_orchestrator.utils.json import read_json
from llm_orchestrator.utils.lazy import LazyPattern

__all__ = ["KINDS", "Key", "Naming", "by_kind", "by_kinds", "storable", "tags_of"]

#: The kinds of groups that every report holds.
KINDS = ("provider", "model", "session", "tag", "day")
#: What decides the groups of a row: its provider, model, session, local day, and tags as they stand there.
Key = Tuple[str, str, str, str, str]
#: What PostgreSQL takes in no text, and what ends a line of a file where JSON does not escape it.
_UNSTORABLE = LazyPattern("[\0\x7f\x85\u2028\u2029]")
#: Gives the names of the groups that a row belongs to.
Naming = Callable[[Key], Iterable[Any]]


@lru_cache(maxsize=4096)
def tags_of(text: str) -> Mapping[str, str]:
    """Read the tags of a row."""
    try:
        tags = read_json(text) if text else None
    except ValueError:  # a file may have been edited by hand
        tags = None
    if not isinstance(tags, dict):
        return {}
    return {storable(name): storable(f"{value}") for name, value in tags.items()}


def storable(text: str) -> str:
    """The name or value of a tag as every ledger can hold it, so that all of them have the same groups."""
    if text.isprintable():
        return text
    return _UNSTORABLE.sub(" ", text.encode("utf-8", "backslashreplace").decode())


_MONTH = len("2026-01")
_NAMINGS: Mapping[str, Naming] = {
    "provider": lambda key: (key[0],),
    "model": lambda key: (key[1],),
    "session": lambda key: (key[2],),
    "day": lambda key: (key[3],),
    "month": lambda key: (key[3][:_MONTH],),
    # Sorted, as a database gives the tags of a row back in an order of its own.
    "tag": lambda key: sorted(f"{name}={value}" for name, value in tags_of(key[4]).items()) or [""],
}


def by_kind(kind: str) -> Naming:
    """Group by one kind; a row without a tag has an empty name."""
    known, tag = _NAMINGS.get(kind), kind[len("tag:") :]
    if known:
        return known
    if kind.startswith("tag:") and tag:
        return lambda key: (tags_of(key[4]).get(tag, ""),)
    raise ValueError(f"A report has no groups by {kind!r}. Use {', '.join(_NAMINGS)} or tag:NAME.")


def by_kinds(kinds: Sequence[str]) -> Naming:
    """Group by several kinds together: a name is a tuple with one of each."""
    if not kinds or len(set(kinds)) < len(kinds):
        raise ValueError(f"A report has no groups by {list(kinds)!r}. Name one kind or more, each once.")
    namings = [by_kind(kind) for kind in kinds]
    return lambda key: product(*[names_of(key) for names_of in namings])
