"""The events of a streamed reply: the text and calls in each one, and the reply put together from them.

Each event is a reply with some parts of the only candidate. Put together they are the JSON that a whole reply
would have been, so that both are read by the same function.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from llm_orchestrator.providers.calls import OwnIds
from llm_orchestrator.providers.contents import text_of
from llm_orchestrator.providers.gemini.calls import (
    call_of,
    goes_on,
    join_calls,
    read_arguments,
    will_continue,
)
from llm_orchestrator.providers.gemini.replies import (
    block_reason,
    first_candidate,
    other_candidates,
    read_parts,
)
from llm_orchestrator.providers.gemini.turns import call_id, merge_text
from llm_orchestrator.providers.logprobs import RESULT, joined_results
from llm_orchestrator.providers.reading import as_mapping, as_text_or_none
from llm_orchestrator.providers.wire import StreamState
from llm_orchestrator.types import (
    JSON,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
)
from llm_orchestrator.utils.json import merged
from llm_orchestrator.utils.usage import in_numbers, replaced_usage

__all__ = ["assemble_reply", "parse_event"]

#: What says nothing about the end.
NO_REASONS = (None, "", "FINISH_REASON_UNSPECIFIED")
#: Fields of a candidate that every event repeats, beside the new parts in its content.
_REPEATED_KEYS = frozenset({"content", "index"})


def parse_event(event: JSON, state: StreamState) -> List[StreamEvent]:
    """Translate one event."""
    reply = state.reply
    if not reply:
        reply.update(document={}, candidate=None, parts=[], calls=0, ids=OwnIds(), open=[])
        reply.update(alternatives={})
    for key, value in event.items():
        if value and key not in ("candidates", "usageMetadata"):
            reply["document"][key] = value
    usage = in_numbers(as_mapping(event.get("usageMetadata")))
    if usage:  # counts are cumulative: the last object replaces the one before
        reply["document"]["usageMetadata"] = replaced_usage(
            as_mapping(reply["document"].get("usageMetadata")), usage
        )
    if "promptFeedback" in event and block_reason(event) is not None:
        state.complete = True
    candidate = first_candidate(event)
    if candidate is None or len(event["candidates"]) > 1:
        for index, other in other_candidates(event):
            reply["alternatives"].setdefault(index, []).extend(read_parts(other))
    if candidate is None:
        return []
    parts = read_parts(candidate)
    reply["parts"] += parts
    pieces = [piece for part in parts for piece in _pieces(part, reply)]
    if as_text_or_none(candidate.get("finishReason")) not in NO_REASONS:
        state.complete = True
    elif pieces and state.complete:  # the reason came too early: the answer goes on
        state.complete = False
        reply["candidate"].pop("finishReason", None)
    if candidate.keys() - _REPEATED_KEYS or reply["candidate"] is None:
        rest = {key: value for key, value in candidate.items() if key != "content" and value is not None}
        known = reply["candidate"] or {}
        if RESULT in rest:
            rest[RESULT] = joined_results(known.get(RESULT), rest[RESULT])
        reply["candidate"] = merged(known, rest)
    return pieces


def _pieces(part: JSON, reply: Dict[str, Any]) -> List[StreamEvent]:
    pieces: List[StreamEvent] = []
    text = part.get("text")
    text = text if isinstance(text, str) else text_of(text)
    if text:
        pieces.append(ReasoningDelta(text) if part.get("thought") is True else TextDelta(text))
    call = call_of(part)
    piece = None if call is None else _call_piece(part, call, reply)
    if piece is not None:
        pieces.append(piece)
    return pieces


def _call_piece(part: JSON, call: JSON, reply: Dict[str, Any]) -> Optional[ToolCallDelta]:
    """A call, or a piece of one: its arguments come last, for only then are they JSON."""
    opened: List[JSON] = reply["open"]
    is_further = goes_on(call, {**as_mapping(call_of(opened[0])), "willContinue": True} if opened else None)
    if not is_further and not as_text_or_none(call.get("name")):
        return None  # a call of nothing
    if not is_further:
        opened.clear()
        reply["calls"] += 1
    number = reply["calls"] - 1
    opened.append(part)
    arguments = ""
    if not will_continue(call):
        arguments = read_arguments(call_of(join_calls(opened)[0]) or {})[1]
        opened.clear()
    if is_further:
        return ToolCallDelta(number, arguments=arguments)
    sent = call_id(call, number, as_text_or_none(reply["document"].get("responseId")))
    identifier = reply["ids"].take(sent) if sent else None
    return ToolCallDelta(number, identifier, as_text_or_none(call.get("name")), arguments)


def assemble_reply(state: StreamState) -> Dict[str, Any]:
    """Put the reply together."""
    reply = state.reply
    if not reply:
        return {}
    if reply["candidate"] is None:
        return dict(reply["document"])
    content = {"content": {"parts": merge_text(reply["parts"]), "role": "model"}} if reply["parts"] else {}
    others = [
        {"content": {"parts": merge_text(parts), "role": "model"}, "index": index}
        for index, parts in sorted(reply["alternatives"].items())
    ]
    return {"candidates": [{**content, **reply["candidate"]}, *others], **reply["document"]}
