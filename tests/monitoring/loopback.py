"""What the loopback servers of all services have in common: a thread of their own, and ways to answer or not to."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TypeVar


class Loopback(ThreadingHTTPServer):
    """A server on the loopback, on a free port unless one is named; `closing` is set at its end."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.closing = Event()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class LoopbackHandler(BaseHTTPRequestHandler):
    """Of one connection."""

    server: Loopback
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read what was sent, and heed it."""
        self.post(self.rfile.read(int(self.headers["Content-Length"])))

    def post(self, body: bytes) -> None:
        """Heed what was sent."""
        raise NotImplementedError

    def answer(self, status: int, text: bytes, headers: Mapping[str, str]) -> None:
        """Say it all."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def cut(self) -> None:
        """Say nothing, and end the connection."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def drip(self, status: int) -> None:
        """An answer that never ends, and never is silent for long."""
        self.send_response(status)
        self.end_headers()
        while not self.server.closing.wait(0.2):
            try:
                self.wfile.write(b" ")
            except OSError:
                return

    def log_message(self, *_: object) -> None:
        """Say nothing."""


Server = TypeVar("Server", bound=Loopback)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """A server in a thread, gone with the context."""
    with server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
