"""The JSON in an answer's text, where a model thinks aloud before it or puts it into a fence."""

from __future__ import annotations

import re
from typing import Optional

from llm_orchestrator.utils.lazy import LazyPattern

__all__ = ["json_in", "start_of_json"]

_THOUGHT = LazyPattern(r".*</think(ing)?>", re.DOTALL)
_FENCE = LazyPattern(r"```[\w-]*[ \t]*\r?\n?(?P<inside>.*?)\r?\n?[ \t]*```", re.DOTALL)
#: What may stand before the JSON of a text that is still being written.
_BEFORE = LazyPattern(r"(.*?</think(ing)?>)?\s*(.*?```[\w-]*)?\s*(?=[{\[])", re.DOTALL)
_WHOLE_FENCE = LazyPattern(r"```[\w-]*[ \t]*\r?\n?(?P<inside>.*)```", re.DOTALL)


def json_in(text: str) -> str:
    """Take off what stands around the JSON; a text that begins with JSON is left as it is."""
    bare = text.strip().removeprefix("\ufeff")
    if not bare or bare[0] in '{["':
        return bare
    bare = _THOUGHT.sub("", bare, count=1).strip()
    whole = _WHOLE_FENCE.fullmatch(bare)
    if whole is not None:
        return whole["inside"]
    fences = _FENCE.findall(bare)
    return str(fences[0]) if len(fences) == 1 else bare


def start_of_json(text: str) -> Optional[int]:
    """Where the dict or the list begins in a text that is still being written; None: not yet."""
    bare = text.lstrip().removeprefix("\ufeff").lstrip()
    if bare[:1] in ("{", "["):
        return len(text) - len(bare)
    before = _BEFORE.match(text) if "```" in text or "</think" in text else None
    return before and before.end()
