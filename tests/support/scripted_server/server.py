"""The scripted server: takes connections on loopback, notes every request, answers from the test's script.

One server serves a whole test session; ``reset`` between tests makes it as new. Without a script it answers
as the asked provider would, so that examples and programs run against it unchanged.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from types import TracebackType
from typing import Deque, Dict, List, Optional, Type

from tests.support.scripted_server.connection import Connection, Request
from tests.support.scripted_server.replies import Reply, Scripted, json_reply
from tests.support.scripted_server.smart import smart_reply


class ScriptedServer:
    """An HTTP/1.1 server on 127.0.0.1, one thread per connection; use it with ``with``.

    Args:
        port: Port to listen on; 0 takes a free one.

    Attributes:
        requests: Every request since the last reset, in order of arrival.
        default: The reply when the script is at its end; at first what the asked provider would answer.
        errors: What went wrong in the server or the test's own replies; the fixture raises the first.
        connections_opened: Connections taken since the last reset.
        port: The port it listens on.
    """

    def __init__(self, port: int = 0) -> None:
        self.default: Scripted = smart_reply
        self.requests: List[Request] = []
        self.errors: List[Exception] = []
        self.connections_opened = 0
        self._script: Deque[Scripted] = deque()
        self._connections: Dict[Connection, threading.Thread] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="scripted-server", daemon=True)
        self._acceptor.start()

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The server's address, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        """Connections open now; one just left may still be counted, see ``wait_for_connections``."""
        with self._changed:
            return len(self._connections)

    def script(self, *replies: Scripted) -> None:
        """Queue replies, one for each request to come."""
        with self._changed:
            self._script.extend(replies)

    def wait_for_requests(self, count: int, timeout: float = 5.0) -> bool:
        """Wait until so many requests have arrived; returns whether they have."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= count, timeout)

    def wait_for_connections(self, count: int, timeout: float = 5.0) -> bool:
        """Wait until exactly so many connections are open; returns whether they are."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._connections) == count, timeout)

    def reset(self) -> None:
        """Forget the script and the requests, end every stall, and close all connections."""
        with self._changed:
            self._script.clear()
            self.default = smart_reply
        self._drop_connections()
        with self._changed:
            self.requests = []
            self.errors = []
            self.connections_opened = 0

    def close(self) -> None:
        """Stop listening and close everything; twice is fine."""
        if self._closed:
            return
        self._closed = True
        # A blocked accept() is woken portably only by a connection.
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._acceptor.join()
        self._listener.close()
        self._drop_connections()

    def _drop_connections(self) -> None:
        with self._changed:
            threads = list(self._connections.values())
            for connection in self._connections:
                connection.drop()
        deadline = time.monotonic() + 5
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._closed:
                client.close()
                return
            with self._changed:
                self.connections_opened += 1
                connection = Connection(client, self.connections_opened)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._connections[connection] = thread
                thread.start()
                self._changed.notify_all()

    def _serve(self, connection: Connection) -> None:
        try:
            for request in connection.requests():
                if not connection.answer(self._reply_to(request), request):
                    break
        except ConnectionError:
            pass  # Clients may leave whenever they like.
        except Exception as error:
            self.errors.append(error)
        finally:
            connection.close()
            with self._changed:
                del self._connections[connection]
                self._changed.notify_all()

    def _reply_to(self, request: Request) -> Reply:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
            scripted = self._script.popleft() if self._script else self.default
        if isinstance(scripted, Reply):
            return scripted
        try:
            return scripted(request)
        except Exception as error:
            self.errors.append(error)
            return json_reply({"error": {"message": f"The test's reply failed: {error!r}"}}, 500)
