"""Run the scripted server by hand: ``python -m tests.support.scripted_server --port 8765`` serves until Ctrl-C."""

from __future__ import annotations

import argparse
import threading
from contextlib import suppress

from tests.support.scripted_server.server import ScriptedServer


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.scripted_server", description="A server that plays providers."
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one (default)")
    with ScriptedServer(parser.parse_args().port) as server:
        print(f"OpenAI base URL: {server.url}/v1; Anthropic and Gemini: {server.url}", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
