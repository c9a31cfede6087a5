"""The test bench: a scripted HTTP server on loopback that speaks the providers' wire formats.

The real vendor SDKs run against it, so that a test proves what travels over a socket and not what a mock
believes. A test scripts replies, calls, and looks at the requests that arrived; ``README.md`` shows how.
"""

from __future__ import annotations

from tests.support.scripted_server.connection import Request
from tests.support.scripted_server.faults import (
    BEFORE_HEAD,
    Close,
    End,
    Garbage,
    HalfClose,
    Pings,
    Reset,
    Stall,
)
from tests.support.scripted_server.places import refusing_url, silent_url, unreachable_url
from tests.support.scripted_server.replies import Reply, broken_json, echo_key, empty, html, redirect
from tests.support.scripted_server.server import ScriptedServer
from tests.support.scripted_server.wire import DIALECTS, KEY, MODEL, SIGNATURE, Call, Dialect, Usage

__all__ = [
    "BEFORE_HEAD",
    "DIALECTS",
    "KEY",
    "MODEL",
    "SIGNATURE",
    "Call",
    "Close",
    "Dialect",
    "End",
    "Garbage",
    "HalfClose",
    "Pings",
    "Reply",
    "Request",
    "Reset",
    "ScriptedServer",
    "Stall",
    "Usage",
    "broken_json",
    "echo_key",
    "empty",
    "html",
    "redirect",
    "refusing_url",
    "silent_url",
    "unreachable_url",
]
