"""A server that does to a connection whatever a test says, byte by byte, plain or with TLS."""

from __future__ import annotations

import errno
import select
import socket
import ssl
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Callable, Iterator, List, Optional

PATIENCE = 20.0
#: How a script ends a connection.
FIN, RST, CUT, KEEP = "FIN", "RST", "CUT", "KEEP"


class Peer:
    """One connection, seen from the server."""

    def __init__(self, server: RawServer, accepted: socket.socket) -> None:
        self.server = server
        self.number = len(server.peers)
        self.closed_by_client = threading.Event()
        self.sock = accepted
        self._rest = b""

    def request(self) -> Optional[bytes]:
        """Read one whole request; None when the client has left."""
        while b"\r\n\r\n" not in self._rest:
            if not self.read_some():
                return None
        head, _, rest = self._rest.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        while len(rest) < length:
            if not self.read_some():
                return None
            rest = self._rest.partition(b"\r\n\r\n")[2]
        self._rest = rest[length:]
        self.server.requests.append(head + b"\r\n\r\n" + rest[:length])
        return self.server.requests[-1]

    def requests(self) -> Iterator[bytes]:
        """Like ``request``, until the client leaves."""
        while True:
            request = self.request()
            if request is None:
                return
            yield request

    def send(self, data: bytes, *, cut: Optional[int] = None, each: int = 0, pause: float = 0.0005) -> None:
        """Send bytes: at once, cut at one position, or ``each`` so many at a time."""
        size = each or len(data) or 1
        pieces = (
            [data[:cut], data[cut:]] if cut else [data[at : at + size] for at in range(0, len(data), size)]
        )
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(pause)
            self.sock.sendall(piece)

    def end(self, how: str) -> None:
        """Finish the connection in one of the four ways."""
        if how == FIN and isinstance(self.sock, ssl.SSLSocket):
            self.sock.settimeout(0)
            with suppress(OSError, ValueError):
                self.sock.unwrap()  # sends close_notify; the client's need not be waited for
        if how == RST:
            self._wait_until_sent()
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if how != KEEP:
            self.sock.close()

    def _wait_until_sent(self) -> None:
        """A reset drops what the kernel has not sent, and many small pieces wait for their acknowledgements."""
        with suppress(ImportError):  # Windows has neither module
            import fcntl
            import termios

            left = select.poll()
            left.register(self.sock, 0)  # reports that the client has closed, and nothing else
            while (
                not left.poll(1) and struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, bytes(4)))[0]
            ):
                pass

    def wait_until_left(self) -> None:
        """Wait for the client to close the connection; what it still sends is dropped."""
        while self.read_some():
            self._rest = b""

    def read_some(self) -> bool:
        try:
            data = self.sock.recv(65536)
        except (OSError, ValueError):
            data = b""
        if not data:
            self.closed_by_client.set()
        self._rest += data
        return bool(data)


Script = Callable[[Peer], None]


class RawServer:
    """Serves each connection by a script in a thread of its own."""

    def __init__(self, script: Script, certificate: Optional[Path] = None, **tls: object) -> None:
        self.script = script
        self.peers: List[Peer] = []
        self.requests: List[bytes] = []
        self.failures: List[BaseException] = []
        self._context: Optional[ssl.SSLContext] = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
            for name, value in tls.items():
                setattr(self._context, name, value)
        self._place = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._place.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http{'s' if self._context else ''}://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        """Connections that neither side has closed yet."""
        return sum(not peer.closed_by_client.is_set() and peer.sock.fileno() >= 0 for peer in self.peers)

    def wait_until_all_left(self) -> bool:
        """Whether all connections were closed, in good time."""
        until = time.monotonic() + PATIENCE
        while self.open_connections and time.monotonic() < until:
            time.sleep(0.005)
        return not self.open_connections

    def close(self) -> None:
        with suppress(OSError):
            self._place.shutdown(socket.SHUT_RDWR)
        self._place.close()
        self._threads[0].join(PATIENCE)
        for peer in self.peers:
            with suppress(OSError):
                socket.socket.shutdown(peer.sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not self.failures, self.failures

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                accepted = self._next()
                accepted.settimeout(PATIENCE)
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer = Peer(self, accepted)
                self.peers.append(peer)
                self._threads.append(threading.Thread(target=self._serve, args=(peer,)))
                self._threads[-1].start()

    def _next(self) -> socket.socket:
        while True:
            try:
                return self._place.accept()[0]
            except OSError as error:
                if (
                    error.errno != errno.EMFILE
                ):  # a test may lower the limit of this process, and lift it again
                    raise
                time.sleep(0.01)

    def _serve(self, peer: Peer) -> None:
        try:
            with suppress(OSError):  # the client left, or the server was closed
                if self._context is not None:
                    peer.sock = self._context.wrap_socket(peer.sock, server_side=True)
                self.script(peer)
        except BaseException as error:
            self.failures.append(error)
        finally:
            peer.sock.close()
            peer.closed_by_client.set()
