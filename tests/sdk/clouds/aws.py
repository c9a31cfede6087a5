"""Amazon's side: checks a signature as AWS does, and writes the binary event stream."""

from __future__ import annotations

import base64
import json
import struct
from binascii import crc32
from typing import Any, Dict

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.scripted_server import Reply, Request

__all__ = ["event_stream", "exception", "message", "signature_of", "signed_again"]


def signature_of(request: Request) -> Dict[str, str]:
    """The parts of a signed request's Authorization header."""
    algorithm, _, parts = request.headers["authorization"].partition(" ")
    assert algorithm == "AWS4-HMAC-SHA256"
    return dict(part.strip().split("=", 1) for part in parts.split(","))  # type: ignore[misc]


def signed_again(request: Request, path: str, key: str, secret: str, region: str) -> str:
    """The signature that AWS computes for what arrived."""
    names = signature_of(request)["SignedHeaders"].split(";")
    headers = {name: request.headers[name] for name in names if name != "x-amz-date"}
    url = f"http://{request.headers['host']}{path}"
    again = AWSRequest("POST", url, headers=headers, data=request.content)
    again.context["timestamp"] = request.headers["x-amz-date"]
    signer = SigV4Auth(Credentials(key, secret), "bedrock", region)
    again.headers["X-Amz-Date"] = request.headers["x-amz-date"]
    text = signer.string_to_sign(again, signer.canonical_request(again))
    return str(signer.signature(text, again))


def event_stream(sse: Reply, *last: bytes) -> Reply:
    """A reply of server-sent events as Bedrock sends it, cut into awkward pieces."""
    messages = [
        message({":message-type": "event", ":event-type": "chunk"}, {"bytes": _base64(line[len("data: ") :])})
        for line in sse.content().decode().splitlines()
        if line.startswith("data: ")
    ]
    return Reply(
        headers={"content-type": "application/vnd.amazon.eventstream", "x-amzn-requestid": "aws-1"},
        chunks=(b"".join([*messages, *last]),),
        piece_size=7,
    )


def exception(kind: str, text: str) -> bytes:
    """An exception in the middle of a stream."""
    return message({":message-type": "exception", ":exception-type": kind}, {"message": text})


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def message(headers: Dict[str, str], payload: Any) -> bytes:
    """One message of a stream: its lengths, headers and payload, each part followed by its checksum."""
    written = b"".join(_header(*header) for header in headers.items())
    body = json.dumps(payload).encode()
    prelude = struct.pack("!II", 16 + len(written) + len(body), len(written))
    written = prelude + struct.pack("!I", crc32(prelude)) + written + body
    return written + struct.pack("!I", crc32(written))


def _header(*pair: str) -> bytes:
    name, value = (text.encode() for text in pair)
    return struct.pack("!B", len(name)) + name + struct.pack("!BH", 7, len(value)) + value
