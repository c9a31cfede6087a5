"""What the four wire formats have in common: one neutral answer in, one scripted reply out.

A dialect knows a provider's documented JSON. It writes answers, streams, errors and listings from neutral
words, and reads requests back into neutral words, so that one test scenario runs for all of them.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from email.utils import formatdate
from time import time
from typing import Any, ClassVar, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from tests.support.scripted_server.replies import Pieces, Reply, json_reply

Json = Dict[str, Any]
#: An event of a stream: a JSON object, or text that is sent as it is.
Event = Union[Json, str]

MODEL = "scripted-1"
#: The key in ``Dialect.config_entry``; no other text contains it.
KEY = "sk-test-0123456789abcdef"
#: 2026-01-01, the creation time of everything scripted.
CREATED = 1767225600
#: Opaque state (a signature, encrypted reasoning) that has to come back byte for byte.
SIGNATURE = "++++//8gc2NyaXB0ZWQgc3RhdGU="

_numbers = itertools.count(1)


def new_id(prefix: str) -> str:
    """An id no other reply has."""
    return f"{prefix}{next(_numbers):08d}"


#: The transport of entries that name none: ``TRANSPORT=sdk make test`` runs the scenarios through the SDKs.
TRANSPORT = os.environ.get("TRANSPORT", "auto")


@dataclass(frozen=True)
class Usage:
    """Token counts in neutral terms; a detail that is None is not on the wire.

    Attributes:
        prompt: Everything the model read, cached tokens included.
        completion: Everything the model wrote, reasoning included.
        cached: The part of the prompt read from a cache.
        cache_write: The part of the prompt written to a cache (Gemini has no such count).
        reasoning: The part of the completion that was reasoning.
    """

    prompt: int = 12
    completion: int = 6
    cached: Optional[int] = None
    cache_write: Optional[int] = None
    reasoning: Optional[int] = None


USAGE = Usage()


@dataclass(frozen=True)
class Call:
    """A tool call in an answer.

    Attributes:
        name: The tool's name.
        arguments: The arguments.
        id: The call's id; None does as the provider does: make one up, or (Gemini) send none.
        raw: Text sent in place of the arguments' JSON, where the format carries text.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    id: Optional[str] = None
    raw: Optional[str] = None

    @property
    def text(self) -> str:
        """The arguments as the text that travels."""
        return json.dumps(self.arguments, ensure_ascii=False) if self.raw is None else self.raw

    @property
    def fragments(self) -> Tuple[str, ...]:
        """The same text in the two pieces in which a stream sends it."""
        middle = len(self.text) // 2
        return tuple(filter(None, (self.text[:middle], self.text[middle:])))


@dataclass(frozen=True)
class Answer:
    """What a scripted model says, in neutral terms; the keywords of ``Dialect.whole``."""

    pieces: Tuple[str, ...] = ()
    usage: Optional[Usage] = None
    finish: str = "stop"
    tool_calls: Tuple[Call, ...] = ()
    reasoning: Optional[str] = None
    refusal: Optional[str] = None
    model: str = MODEL

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)


@dataclass(frozen=True)
class Wishes:
    """What a request asks for beside text.

    Attributes:
        tools: The schemas of its tools' parameters, by name.
        output: The schema of the answer; None where it is free.
        reasoning: Whether the model is to reason.
    """

    tools: Mapping[str, Json] = field(default_factory=dict)
    output: Optional[Json] = None
    reasoning: bool = False


class Dialect(ABC):
    """One provider's wire format; subclasses hold its JSON, this class everything around it."""

    name: ClassVar[str]
    #: The adapter that speaks it.
    provider: ClassVar[str]
    #: Where the endpoint's path ends; matched against a request's path.
    endpoint: ClassVar[str]
    newline: ClassVar[str] = "\n"
    #: Whether the provider repeats an event's type in an ``event:`` line.
    named_events: ClassVar[bool] = False
    request_id_header: ClassVar[Optional[str]] = None
    #: How the provider says when to try again.
    retry_after_forms: ClassVar[Tuple[str, ...]] = ("seconds", "date", "milliseconds")
    #: The opaque state an answer with reasoning carries; None where the format has none.
    signature: ClassVar[Optional[str]] = None
    #: The provider's error code where a test gives only the status.
    codes: ClassVar[Mapping[int, str]]
    #: Typical failures, the same words for every dialect: status, code, message.
    failures: ClassVar[Mapping[str, Tuple[int, str, str]]]

    # what the server sends

    def whole(
        self,
        text: str = "Hello.",
        *,
        usage: Optional[Usage] = USAGE,
        finish: str = "stop",
        tool_calls: Sequence[Call] = (),
        reasoning: Optional[str] = None,
        refusal: Optional[str] = None,
        model: str = MODEL,
    ) -> Reply:
        """A whole answer.

        Args:
            text: The answer's text; "" leaves it out.
            usage: Token counts; None leaves them out.
            finish: ``stop``, ``length``, ``tool_calls``, ``content_filter``, or the provider's own word.
            tool_calls: Tool calls, after the text.
            reasoning: Visible reasoning, before the text.
            refusal: A refusal, in place of the text; Gemini has a block reason for it, and no words.
            model: The model that is said to have served.
        """
        pieces = (text,) if text else ()
        answer = Answer(pieces, usage, finish, tuple(tool_calls), reasoning, refusal, model)
        return json_reply(self.document(answer), headers=self._request_id())

    def stream(
        self,
        pieces: Sequence[str] = ("Hello", "."),
        *,
        usage: Optional[Usage] = USAGE,
        finish: str = "stop",
        tool_calls: Sequence[Call] = (),
        reasoning: Optional[str] = None,
        refusal: Optional[str] = None,
        model: str = MODEL,
        cut: str = "awkward",
        complete: bool = True,
        noisy: bool = False,
    ) -> Reply:
        """A streamed answer; the keywords of ``whole``, and how its bytes come.

        Args:
            pieces: The text, one event for each.
            usage: See ``whole``, as the six keywords after it.
            finish: See ``whole``.
            tool_calls: See ``whole``.
            reasoning: See ``whole``.
            refusal: See ``whole``.
            model: See ``whole``.
            cut: ``recorded``: one write per event; ``awkward``: inside characters, line ends and field names;
                ``byte``: one write per byte.
            complete: False leaves out what tells the end: finish reason, final usage, terminal event.
            noisy: Add what a reader must not mind: a byte-order mark, comments, other fields and line ends.
        """
        answer = Answer(tuple(pieces), usage, finish, tuple(tool_calls), reasoning, refusal, model)
        return self._stream_reply(self.events(answer, complete), cut, noisy)

    def error(
        self,
        status: int,
        code: Optional[str] = None,
        message: str = "Scripted failure.",
        *,
        parameter: Optional[str] = None,
        retry_after: Union[float, str, None] = None,
        retry_after_form: str = "seconds",
    ) -> Reply:
        """An error body; also what a stream that is refused at its start gets.

        Args:
            status: HTTP status.
            code: The provider's code or type; None takes the usual one for the status.
            message: The provider's words.
            parameter: The parameter the provider rejects, by its name in the JSON.
            retry_after: Seconds to wait, or the text of a ``Retry-After`` header.
            retry_after_form: One of the dialect's ``retry_after_forms``.
        """
        code = code or self.codes.get(status, self.codes[500 if status >= 500 else 400])
        body = self.error_body(status, code, message, parameter)
        headers = self._request_id()
        if retry_after is not None:
            headers.update(self._retry_after(body, retry_after, retry_after_form))
        return json_reply(body, status, headers)

    def failure(self, kind: str, **keywords: Any) -> Reply:
        """A typical failure by its neutral name, one of ``failures``; keywords as in ``error``."""
        status, code, message = self.failures[kind]
        return self.error(status, code, **{"message": message, **keywords})

    def stream_error(
        self,
        pieces_before: Sequence[str] = (),
        code: Optional[str] = None,
        message: str = "Overloaded.",
        *,
        cut: str = "awkward",
    ) -> Reply:
        """A stream that breaks off with an error event.

        Args:
            pieces_before: Text events before it; without any the error is the stream's first event.
            code: The provider's code or type; None says that the provider is overloaded.
            message: The provider's words.
            cut: See ``stream``.
        """
        status, usual, _ = self.failures["overloaded"]
        error = self.error_event(status, code or usual, message)
        return self._stream_reply([*self._opening(pieces_before), error], cut)

    def stream_broken_json(self, pieces_before: Sequence[str] = (), *, cut: str = "awkward") -> Reply:
        """A stream with an event whose data is half a JSON object, and a clean end."""
        return self._stream_reply([*self._opening(pieces_before), '{"id": "broken", "choices": [{"del'], cut)

    def models(self, models: Sequence[Union[str, Json]], *, more: bool = False) -> Reply:
        """A page of the model listing.

        Args:
            models: Names, or entries in the provider's own form.
            more: Whether the listing says that another page follows (OpenAI has no pages).
        """
        entries = [self.model_entry(model) if isinstance(model, str) else model for model in models]
        return json_reply(self.listing(entries, more), headers=self._request_id())

    def model(self, name: str) -> Reply:
        """One model of the listing."""
        return json_reply(self.model_entry(name), headers=self._request_id())

    # what the server receives

    def serves(self, path: str) -> bool:
        """Whether a request with this path asks this dialect for an answer."""
        return re.search(self.endpoint, path) is not None

    def is_listing(self, path: str, headers: Mapping[str, str]) -> bool:
        """Whether a GET with this path and these headers asks this dialect for models."""
        return path.startswith("/v1/models") and ("anthropic-version" in headers) == (
            self.name == "anthropic"
        )

    @abstractmethod
    def path(self, model: str, stream: bool) -> str:
        """The path on which this dialect is asked for an answer."""

    @abstractmethod
    def read_request(self, body: Json, path: str) -> Json:
        """A request in neutral words.

        Returns:
            model, system, messages as (role, text) with the roles user, assistant and tool, stream,
            temperature, max_tokens, top_p, top_k, seed, stop (a list), tools (their names); None for what was
            not sent.
        """

    @abstractmethod
    def read_wishes(self, body: Json) -> Wishes:
        """What a request asks for beside text."""

    def config_entry(self, server_url: str, **settings: Any) -> Json:
        """The provider's entry for an orchestrator's configuration; settings are added to it."""
        return {"api_key": KEY, "base_url": server_url, "transport": TRANSPORT, **settings}

    def config(self, server_url: str, model: str = MODEL, **settings: Any) -> Json:
        """A whole configuration with this provider alone; settings are added to its entry."""
        entry = self.config_entry(server_url, **settings)
        return {"active_provider": self.provider, "active_model": model, "providers": {self.provider: entry}}

    # the provider's JSON

    @abstractmethod
    def document(self, answer: Answer) -> Json:
        """The body of a whole answer."""

    @abstractmethod
    def events(self, answer: Answer, complete: bool) -> Iterator[Event]:
        """The events of a streamed answer, without the end when it is not complete."""

    @abstractmethod
    def error_body(self, status: int, code: str, message: str, parameter: Optional[str]) -> Json:
        """The body of an error."""

    @abstractmethod
    def error_event(self, status: int, code: str, message: str) -> Event:
        """The event that reports an error inside a stream."""

    @abstractmethod
    def model_entry(self, name: str) -> Json:
        """One model as the listing describes it."""

    @abstractmethod
    def listing(self, entries: List[Json], more: bool) -> Json:
        """One page of the listing."""

    @property
    def ping(self) -> bytes:
        """A sign of life that this provider sends while its model thinks."""
        return f": keep-alive{self.newline * 2}".encode()

    # helpers

    def _opening(self, pieces: Sequence[str]) -> List[Event]:
        return list(self.events(Answer(tuple(pieces), USAGE), complete=False)) if pieces else []

    def _request_id(self) -> Dict[str, str]:
        return {self.request_id_header: new_id("req_")} if self.request_id_header else {}

    def _retry_after(self, body: Json, wait: Union[float, str], form: str) -> Dict[str, str]:
        if form not in self.retry_after_forms:
            raise ValueError(f"{self.name} has no retry-after in the form {form!r}")
        if form == "milliseconds":
            return {"retry-after-ms": f"{float(wait) * 1000:.0f}"}
        return {"retry-after": formatdate(time() + float(wait), usegmt=True) if form == "date" else str(wait)}

    def _stream_reply(self, events: Iterable[Event], cut: str, noisy: bool = False) -> Reply:
        content = b"".join(self._encode(event, noisy) for event in events)
        if noisy:
            content = b"\xef\xbb\xbf" + content
        headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
        return Reply(headers={**headers, **self._request_id()}, chunks=cut_stream(content, cut))

    def _encode(self, event: Event, noisy: bool) -> bytes:
        data = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
        if noisy:
            other = "\r\n" if self.newline == "\n" else "\n"
            return other.join([": a comment", "", "id: 7", "retry: 3000", f"data:{data}", "", ""]).encode()
        lines = [f"data: {data}", "", ""]
        if self.named_events and not isinstance(event, str):
            lines.insert(0, f"event: {event['type']}")
        return self.newline.join(lines).encode()


#: After which bytes ``awkward`` cuts: each place once broke a reader of streams.
_AWKWARD = re.compile(rb"[\xc2-\xf4]|\xef\xbb|\r(?=\n)|\n(?=\r?\n)|(?:da|ev)(?=ta:|ent:)|\\(?=[\"n\\])")
_EVENT_END = re.compile(rb"\r?\n\r?\n")


def cut_stream(content: bytes, cut: str) -> Pieces:
    """Cut a stream's bytes into the pieces that are written; see ``Dialect.stream``."""
    if cut == "byte":
        return tuple(bytes([byte]) for byte in content)
    ends = [match.end() for match in {"awkward": _AWKWARD, "recorded": _EVENT_END}[cut].finditer(content)]
    return tuple(filter(None, (content[a:b] for a, b in zip([0, *ends], [*ends, len(content)]))))


def share(count: int, part: int, parts: int) -> int:
    """What a cumulative count has reached after so many of its parts."""
    return count * part // parts


def texts(content: Any) -> str:
    """The text of a message's content: a string, or parts of which those with text count."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content or ())


def without_none(values: Mapping[str, Any]) -> Json:
    """The values that are not None."""
    return {name: value for name, value in values.items() if value is not None}
