"""The answers of the canned server: about 500 tokens in each provider's form, whole and as 500 events.

Who asks for an object by its schema is streamed one, in as many events.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional, Tuple

#: The bytes of one answer, in the parts that are written one after the other.
Answer = Tuple[bytes, ...]

WORDS = ("The quick brown fox jumps over the lazy dog. " * 56).split(" ")[:500]
TEXT = " ".join(WORDS)
PIECES = [f"{word} " for word in WORDS]

_THINGS = [{"name": f"Thing {number}", "price": number / 4, "tags": ["a", "b"]} for number in range(50)]
OBJECT = json.dumps({"things": _THINGS})
OBJECT_PIECES = [OBJECT[len(OBJECT) * n // 500 : len(OBJECT) * (n + 1) // 500] for n in range(500)]

_CHAT = {"id": "chatcmpl-1", "created": 1767225600, "model": "canned"}
_CHAT_USAGE = {"prompt_tokens": 12, "completion_tokens": 500, "total_tokens": 512}
_RESPONSES_USAGE = {
    "input_tokens": 12,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 500,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 512,
}
_GEMINI_USAGE = {"promptTokenCount": 12, "candidatesTokenCount": 500, "totalTokenCount": 512}


def _responses_reply(status: str, text: str = TEXT) -> Dict[str, Any]:
    done = status == "completed"
    content = [{"type": "output_text", "text": text, "annotations": []}]
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": content}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1767225600,
        "status": status,
        "model": "canned",
        "output": [message] if done else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": _RESPONSES_USAGE if done else None,
    }


def _anthropic_reply(content: List[Any], stop_reason: Optional[str]) -> Dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "canned",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 500 if stop_reason else 1},
    }


def _gemini_reply(text: str, finish_reason: Optional[str]) -> Dict[str, Any]:
    candidate: Dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": [{"text": text}]}}
    if finish_reason:
        candidate["finishReason"] = finish_reason
    return {"candidates": [candidate], "usageMetadata": _GEMINI_USAGE, "modelVersion": "canned"}


def _chat_events(texts: List[str]) -> List[Tuple[str, Any]]:
    def chunk(delta: Any, finish_reason: Optional[str] = None) -> Tuple[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return "", {**_CHAT, "object": "chat.completion.chunk", "choices": [choice]}

    usage = {**_CHAT, "object": "chat.completion.chunk", "choices": [], "usage": _CHAT_USAGE}
    pieces = [chunk({"content": text}) for text in texts]
    return [chunk({"role": "assistant", "content": ""}), *pieces, chunk({}, "stop"), ("", usage)]


def _responses_events(texts: List[str]) -> List[Tuple[str, Any]]:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    events = [{"type": "response.created", "response": _responses_reply("in_progress")}]
    events += [
        {"type": "response.output_text.delta", **place, "delta": text, "logprobs": []} for text in texts
    ]
    events.append({"type": "response.completed", "response": _responses_reply("completed", "".join(texts))})
    return [(str(event["type"]), {**event, "sequence_number": number}) for number, event in enumerate(events)]


def _anthropic_events(texts: List[str]) -> List[Tuple[str, Any]]:
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
        for text in texts
    ]
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    events: List[Dict[str, Any]] = [
        {"type": "message_start", "message": _anthropic_reply([], None)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *deltas,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": 500}},
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in events]


def _gemini_events(texts: List[str]) -> List[Tuple[str, Any]]:
    pieces = [("", _gemini_reply(text, None)) for text in texts[:-1]]
    return [*pieces, ("", _gemini_reply(texts[-1], "STOP"))]


#: With content type and length they are 24, as many as real providers send. No cookies: the SDKs would take
#: longer over them, and not every provider sets any.
_HEADERS = b"""\
HTTP/1.1 200 OK
date: Thu, 01 Jan 2026 00:00:00 GMT
connection: keep-alive
server: cloudflare
cf-ray: 9b1f6e0c4d2a3e71-FRA
cf-cache-status: DYNAMIC
alt-svc: h3=":443"; ma=86400
vary: Accept-Encoding
strict-transport-security: max-age=31536000; includeSubDomains; preload
x-content-type-options: nosniff
access-control-expose-headers: X-Request-ID
x-request-id: req_5f0c6f0e2b1d4f0a9a3d7c1e8b2f4a6c
request-id: req_011CVpZ4JdY3m8s2Qb7t1XwK
openai-organization: org-benchmark
openai-project: proj_4t2Wn8Yc1Lr6Jd0Xv5Bq3Zk7
openai-processing-ms: 412
openai-version: 2020-10-01
x-envoy-upstream-service-time: 428
x-ratelimit-limit-requests: 10000
x-ratelimit-limit-tokens: 2000000
x-ratelimit-remaining-requests: 9999
x-ratelimit-remaining-tokens: 1999386
x-ratelimit-reset-requests: 6ms
""".replace(b"\n", b"\r\n")


def _whole(answer: Any) -> Answer:
    body = json.dumps(answer).encode()
    head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return (_HEADERS + head.encode() + body,)


def _stream(events: List[Tuple[str, Any]], end: bytes = b"") -> Answer:
    """Every event is an HTTP chunk of its own; the first three come before the rest, as a model writes."""
    bodies = [
        (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(event).encode() + b"\n\n"
        for name, event in events
    ]
    chunks = [b"%x\r\n%s\r\n" % (len(body), body) for body in [*bodies, end] if body]
    head = b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return _HEADERS + head + b"".join(chunks[:3]), b"".join(chunks[3:]) + b"0\r\n\r\n"


_CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}

#: Whole answers by the end of the path.
WHOLE: Dict[str, Answer] = {
    "/chat/completions": _whole(
        {**_CHAT, "object": "chat.completion", "choices": [_CHOICE], "usage": _CHAT_USAGE}
    ),
    "/responses": _whole(_responses_reply("completed")),
    "/messages": _whole(_anthropic_reply([{"type": "text", "text": TEXT}], "end_turn")),
    ":generateContent": _whole(_gemini_reply(TEXT, "STOP")),
}


def _streams(texts: List[str]) -> Dict[str, Answer]:
    """Streams of these pieces by the end of the path."""
    return {
        "/chat/completions": _stream(_chat_events(texts), b"data: [DONE]\n\n"),
        "/responses": _stream(_responses_events(texts)),
        "/messages": _stream(_anthropic_events(texts)),
        ":streamGenerateContent": _stream(_gemini_events(texts)),
    }


STREAMS = _streams(PIECES)
OBJECT_STREAMS = _streams(OBJECT_PIECES)
