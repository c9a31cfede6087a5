"""What a model's name says: whether it is fine-tuned, whose it is, and whether it is a chat model.

The words in the names of other kinds of models (embedding, audio ...) are data, by protocol, in
``not_chat.json``. There is no list of allowed names, so a new family of chat models is listed at once.
"""

from __future__ import annotations

import functools
import re
from typing import Dict, Iterable, Optional, Pattern, Tuple

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.packaged import packaged_text

__all__ = ["embeds_by_kind", "exclusion_by_kind", "foreign_owner", "is_fine_tuned"]

_KINDS_FILE = "not_chat.json"
#: The kind in that file whose models make vectors.
_EMBEDDINGS = "embeddings"


def is_fine_tuned(model: str) -> bool:
    """Whether it is the name of a fine-tuned model, which the library neither lists nor uses."""
    parts = model.strip().lower().split("/")
    return any(part == "tunedmodels" or part.startswith(("ft:", "ft-")) for part in parts)


def foreign_owner(model: str, provider: str, entries: Iterable[str]) -> Optional[str]:
    """The other configured entry that a model's name begins with, as in ``openai/some-model``."""
    prefix = re.split("[/:]", model, maxsplit=1)[0]
    return prefix if prefix not in {model, provider} and prefix in entries else None


def exclusion_by_kind(model: str, kinds: str) -> Optional[str]:
    """Why a model is not a chat model, judged by its name; None when it may be one."""
    found = _kind_and_word(model, kinds)
    return f"its name says it is a model for {found[0]} ({found[1]!r})" if found else None


def embeds_by_kind(model: str, kinds: str) -> bool:
    """Whether a model makes vectors, judged by its name."""
    found = _kind_and_word(model, kinds)
    return found is not None and found[0] == _EMBEDDINGS


def _kind_and_word(model: str, kinds: str) -> Optional[Tuple[str, str]]:
    """What a model that is not for chat is for, and the word that says so."""
    for kind, pattern in _patterns().get(kinds, {}).items():
        found = pattern.search(model)
        if found:
            return kind, found.group()
    return None


@functools.cache
def _patterns() -> Dict[str, Dict[str, Pattern[str]]]:
    import json  # needed only by a refresh

    try:
        protocols = json.loads(packaged_text("llm_orchestrator.models", _KINDS_FILE))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{_KINDS_FILE} of llm_orchestrator cannot be read ({type(error).__name__}). Install the library "
            "again; a frozen program has to take the library's data files along."
        ) from error
    return {
        protocol: {kind: _whole_words(tuple(words)) for kind, words in kinds.items()}
        for protocol, kinds in protocols.items()
    }


def _whole_words(words: Tuple[str, ...]) -> Pattern[str]:
    """Match whole words only: ``live`` must not exclude a model called ``olive``."""
    return re.compile(rf"(?<![a-z0-9])(?:{'|'.join(map(re.escape, words))})(?![a-z0-9])", re.IGNORECASE)
