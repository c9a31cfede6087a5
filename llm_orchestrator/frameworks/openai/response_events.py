"""The events of a stream of ``responses.create``: items that are added, grow and are done."""

from __future__ import annotations

import time
from typing import Any, Dict, List

from llm_orchestrator.frameworks.openai.response_items import (
    asked_for,
    call_item,
    items_of,
    message_item,
    new_id,
    reasoning_item,
    response_of,
    text_part,
)
from llm_orchestrator.frameworks.openai.response_values import OutputItem, Response, ResponseStreamEvent
from llm_orchestrator.types import JSON, AnswerEvent, LLMResponse, ReasoningDelta, TextDelta, ToolCallDelta

__all__ = ["EventWriter"]

#: Of each kind of item, what its pieces and its end are called, and the field that the end has.
_PIECES = {
    "message": ("response.output_text", "text"),
    "reasoning": ("response.reasoning_summary_text", "text"),
    "function_call": ("response.function_call_arguments", "arguments"),
}


class EventWriter:
    """Writes the events of one stream as the SDK's.

    Args:
        options: The arguments of the call.
    """

    def __init__(self, options: JSON) -> None:
        self._id = new_id("resp")
        self._options = options
        self._count = -1
        self._items: Dict[str, OutputItem] = {}

    def first(self) -> List[ResponseStreamEvent]:
        """The events that say that there is an answer."""
        begun = Response(
            **asked_for(self._options),
            id=self._id,
            created_at=time.time(),
            model=self._options["model"],
            output=[],
            status="in_progress",
        )
        return [self._event("response.created", response=begun)]

    def of(self, event: AnswerEvent) -> List[ResponseStreamEvent]:
        """The events of an event."""
        if isinstance(event, TextDelta):
            return self._grown("message", event.text, lambda: message_item([], status="in_progress"))
        if isinstance(event, ReasoningDelta):
            return self._grown("reasoning", event.text, lambda: reasoning_item("", status="in_progress"))
        if isinstance(event, ToolCallDelta):
            begin = lambda: call_item(event.id, event.name, "", status="in_progress")  # noqa: E731
            return self._grown(f"call {event.index}", event.arguments, begin)
        return []  # marks between answers, which none of these calls asks for

    def last(self, response: LLMResponse) -> List[ResponseStreamEvent]:
        """The events that end the items and the answer."""
        whole = items_of(response)
        order = {**{key: whole[key] for key in self._items if key in whole}, **whole}
        for key, item in self._items.items():
            if key in order:
                order[key].id = item.id
        made = response_of(response, self._options, order.values(), self._id)
        ended = [event for key, item in order.items() for event in self._done(key, item)]
        return [*ended, self._event(f"response.{made.status}", response=made)]

    def _grown(self, key: str, piece: str, begin: Any) -> List[ResponseStreamEvent]:
        events = [] if key in self._items else self._added(key, begin())
        if piece:
            name, _ = _PIECES[self._items[key].type]
            further = _further(self._items[key])
            events.append(self._event(f"{name}.delta", delta=piece, **further, **self._place(key)))
        return events

    def _added(self, key: str, item: OutputItem) -> List[ResponseStreamEvent]:
        self._items[key] = item
        place = self._place(key)
        events = [self._event("response.output_item.added", item=item, output_index=place["output_index"])]
        if item.type == "message":
            events.append(self._event("response.content_part.added", part=text_part(""), **place))
        return events

    def _done(self, key: str, item: OutputItem) -> List[ResponseStreamEvent]:
        added = [] if key in self._items else self._added(key, item)
        place, (name, field) = self._place(key), _PIECES[item.type]
        events = [self._event(f"{name}.done", **{field: _text_of(item)}, **_further(item), **place)]
        if item.type == "message":
            events += [
                self._event("response.content_part.done", part=part, **{**place, "content_index": index})
                for index, part in enumerate(item.content)  # type: ignore[attr-defined]
            ]
        ended = self._event("response.output_item.done", item=item, output_index=place["output_index"])
        return [*added, *events, ended]

    def _place(self, key: str) -> Dict[str, Any]:
        """Where in the answer an item is."""
        item = self._items[key]
        within = {"message": "content_index", "reasoning": "summary_index"}.get(item.type)
        place: Dict[str, Any] = {"item_id": item.id, "output_index": list(self._items).index(key)}
        return {**place, within: 0} if within else place

    def _event(self, kind: str, **fields: Any) -> ResponseStreamEvent:
        self._count += 1
        return ResponseStreamEvent(type=kind, sequence_number=self._count, **fields)


def _further(item: OutputItem) -> Dict[str, Any]:
    """The fields that the SDK has beside those of the text."""
    if item.type == "function_call":
        return {"name": item.name}  # type: ignore[attr-defined]
    return {"logprobs": []} if item.type == "message" else {}


def _text_of(item: OutputItem) -> str:
    """What the pieces of an item make together."""
    if item.type == "function_call":
        return str(item.arguments)  # type: ignore[attr-defined]
    parts = item.content if item.type == "message" else item.summary  # type: ignore[attr-defined]
    return "".join(getattr(part, "text", "") for part in parts)
