"""Tags as one types them to select calls."""

from __future__ import annotations

from typing import Dict, Sequence

import typer

__all__ = ["wanted_tags"]


def wanted_tags(texts: Sequence[str]) -> Dict[str, str]:
    """Read ``NAME=VALUE`` of each; nothing after the sign stands for calls without the tag."""
    pairs = [text.partition("=") for text in texts]
    tags = {name: value for name, _, value in pairs}
    if not all(name and sign for name, sign, _ in pairs) or len(tags) < len(texts):
        raise typer.BadParameter("write NAME=VALUE, each name once", param_hint="--tag")
    return tags
