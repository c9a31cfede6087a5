"""Gemini's function calls: their arguments, and the pieces of calls whose arguments are streamed.

Such a call begins with its name and ``willContinue``; ``partialArgs`` then bring values, each with the JSON
path where it belongs, and a call without ``willContinue`` ends it.
"""

from __future__ import annotations

from collections import abc
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from llm_orchestrator.providers.calls import sent_arguments
from llm_orchestrator.providers.reading import as_list, as_mapping
from llm_orchestrator.types import JSON, arguments_text, parse_arguments
from llm_orchestrator.utils.lazy import LazyPattern

__all__ = ["call_of", "goes_on", "join_calls", "read_arguments", "will_continue"]

#: One step of a JSON path: ``.name``, ``['name']`` or ``[0]``.
STEP = LazyPattern(r"""\.([^.\[\]]+)|\[(?:'([^']*)'|"([^"]*)"|(\d+))\]""")
VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")
#: No tool has lists as long as this; a larger place in one would only fill the memory.
MOST_ENTRIES = 10_000

Step = Union[str, int]


def call_of(part: JSON) -> Optional[JSON]:
    """The function call that a part holds."""
    call = part.get("functionCall")
    return call if isinstance(call, abc.Mapping) else None


def will_continue(call: JSON) -> bool:
    """Whether more pieces of a call follow."""
    return bool(call.get("willContinue"))


def goes_on(call: JSON, before: Optional[JSON]) -> bool:
    """Whether a call is a further piece of the one before it, which has not ended yet."""
    if before is None or not will_continue(before):
        return False
    names = [value for value in (before.get("id"), call.get("id")) if value]
    return not call.get("name") and (len(names) < 2 or names[0] == names[1])


def join_calls(parts: Sequence[JSON]) -> List[JSON]:
    """Put calls that were sent in pieces together, as parts that can go back; others stay as they are."""
    if not any(_is_piece(call_of(part)) for part in parts):
        return list(parts)
    groups: List[List[JSON]] = []
    opened: Optional[List[JSON]] = None
    before: Optional[JSON] = None
    for part in parts:
        call = call_of(part)
        if call is not None and opened is not None and goes_on(call, before):
            opened.append(part)
        else:
            groups.append([part])
            opened = groups[-1] if call is not None else opened
        before = before if call is None else {**(before or {}), "willContinue": None, **call}
    return [_joined(group) if _is_piece(call_of(group[0])) else group[0] for group in groups]


def _is_piece(call: Optional[JSON]) -> bool:
    return call is not None and ("partialArgs" in call or will_continue(call))


def _joined(pieces: Sequence[JSON]) -> JSON:
    call: Dict[str, Any] = {}
    partial: List[Any] = []
    for piece in pieces:
        own = dict(as_mapping(piece.get("functionCall")))
        partial += as_list(own.pop("partialArgs", None))
        own.pop("willContinue", None)
        call.update((key, value) for key, value in own.items() if value)
    args = _built(partial)
    if args is None:
        call["partialArgs"] = partial
    elif partial:
        call["args"] = args
    others = {key: value for piece in pieces for key, value in piece.items() if value}
    return {**others, "functionCall": call}


def read_arguments(call: JSON) -> Tuple[Optional[Dict[str, Any]], str]:
    """The arguments of a call, None where they cannot be read, and their text."""
    if "args" not in call and call.get("partialArgs"):
        return None, arguments_text(call["partialArgs"])
    raw = sent_arguments(call.get("args"))
    return (parse_arguments(raw), raw) if raw else ({}, "{}")


def _built(partial: Sequence[Any]) -> Optional[Dict[str, Any]]:
    """The arguments that pieces come to; None where one cannot be read."""
    root: Dict[str, Any] = {}
    for piece in partial:
        steps = _steps(as_mapping(piece).get("jsonPath"))
        kind = next((name for name in VALUES if name in as_mapping(piece)), None)
        if not steps or not isinstance(steps[0], str) or kind is None:
            return None
        if not _put(root, steps, None if kind == "nullValue" else piece[kind]):
            return None
    return root


def _steps(path: Any) -> List[Step]:
    """The steps of a JSON path; none where it is not one."""
    if not isinstance(path, str) or not path.startswith("$"):
        return []
    found = list(STEP.finditer(path, 1))
    if sum(len(step[0]) for step in found) != len(path) - 1:
        return []
    return [int(step[4]) if step[4] else next(filter(None, step.groups()), "") for step in found]


def _put(root: Dict[str, Any], steps: Sequence[Step], value: Any) -> bool:
    """Put a value in its place, or a further piece of a text behind the one that is there."""
    place: Any = root
    for step, following in zip(steps, [*steps[1:], None]):
        if isinstance(step, int):
            if not isinstance(place, list) or step > min(len(place), MOST_ENTRIES):
                return False
            if step == len(place):
                place.append(None)
        elif not isinstance(place, dict):
            return False
        before = place[step] if isinstance(step, int) else place.get(step)
        if following is None:
            grows = isinstance(before, str) and isinstance(value, str)
            place[step] = before + value if grows else value
            return True
        place[step] = before if before is not None else [] if isinstance(following, int) else {}
        place = place[step]
    return False
