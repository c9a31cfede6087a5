"""The server of ``tools.soak``: repeats every question, one in five with a fault.

It runs in a process of its own, so that the soak measures the memory of the calls alone. It prints its
address, answers until its input ends, and then prints as JSON what it has seen.
"""

from __future__ import annotations

import json
import sys

from tests.support.scripted_server import Reply, Request, ScriptedServer
from tests.support.scripted_server.echo import FaultyEcho

FAULTY_SHARE = 0.2
#: A busy machine takes its time to notice that a connection was closed.
GOODBYE_SECONDS = 60.0


def main() -> None:
    echo = FaultyEcho(FAULTY_SHARE, stalls=True)
    with ScriptedServer() as server:

        def forgetful(request: Request) -> Reply:
            server.requests.clear()
            return echo(request)

        server.default = forgetful
        print(server.url, flush=True)
        sys.stdin.read()
        server.wait_for_connections(0, GOODBYE_SECONDS)
        seen = {
            "requests": echo.requests,
            "faults": echo.faults,
            "open": server.open_connections,
            "errors": [repr(error) for error in server.errors],
        }
        print(json.dumps(seen))


if __name__ == "__main__":
    main()
