"""What the loopback servers of services' APIs have in common: JSON over HTTP, and ways to misbehave."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, Literal, TypeVar

Mode = Literal["up", "hang", "cut", "html", "elsewhere", 401, 403, 429, 500, 503]


class JsonServer(ThreadingHTTPServer):
    """Set `mode` to let it misbehave, and `writes_left` to let it do so after so many more changes."""

    daemon_threads = True

    def __init__(self, keys: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.keys = keys
        self.mode: Mode = "up"
        self.writes_left: int | None = None
        self.then: Mode = 500
        self.complaints: list[str] = []
        self.writes: list[str] = []
        self.closing = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """What the service says."""
        raise NotImplementedError

    def writes_something(self, method: str, body: Any) -> bool:  # noqa: ARG002 - for one whose every request is a POST
        """Whether a request changes something."""
        return method != "GET"


class _Handler(BaseHTTPRequestHandler):
    server: JsonServer
    protocol_version = "HTTP/1.1"

    def _do(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        mode = self.server.mode
        if self.server.writes_something(self.command, body) and mode == "up":
            if self.server.writes_left == 0:
                mode = self.server.then
            elif self.server.writes_left is not None:
                self.server.writes_left -= 1
        if mode != "up":
            self._misbehave(mode)
        elif any(self.headers.get(name) != key for name, key in self.server.keys.items()):
            self._say(403, {"errors": ["Forbidden"]})
        else:
            path, _, query = self.path.partition("?")
            pairs = dict(pair.split("=", 1) for pair in query.split("&") if pair)
            if self.server.writes_something(self.command, body):
                self.server.writes.append(f"{self.command} {path}")
            self._say(*self.server.answer(self.command, path, pairs, body))

    do_GET = do_POST = do_PUT = do_DELETE = _do  # noqa: N815 - as the base class calls them

    def _misbehave(self, mode: Mode) -> None:
        if mode == "hang":
            self.server.closing.wait(30)
        elif mode == "cut":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif mode == "html":
            self._send(200, b"<html>Sign in</html>", {"Content-Type": "text/html"})
        elif mode == "elsewhere":
            self._send(302, b"", {"Location": "http://127.0.0.1:9/"})
        elif isinstance(mode, int):
            said = {"errors": [f"no: {self.headers.get('DD-API-KEY') or self.headers.get('API-Key')}"]}
            self._send(mode, json.dumps(said).encode(), {"X-RateLimit-Reset": "7"})

    def _say(self, status: int, body: Any) -> None:
        self._send(status, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


Server = TypeVar("Server", bound=JsonServer)


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
