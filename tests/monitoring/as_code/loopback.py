"""What the servers of dashboards and monitors have in common: JSON over HTTP, and ways to misbehave."""

from __future__ import annotations

import json
from typing import Any, Literal

from tests.monitoring.loopback import Loopback, LoopbackHandler

Mode = Literal["up", "hang", "cut", "html", "elsewhere", 401, 403, 429, 500, 503]


class JsonServer(Loopback):
    """Set `mode` to let it misbehave, and `writes_left` to let it do so after so many more changes."""

    def __init__(self, keys: dict[str, str]) -> None:
        super().__init__(_Handler)
        self.keys = keys
        self.mode: Mode = "up"
        self.writes_left: int | None = None
        self.then: Mode = 500
        self.complaints: list[str] = []
        self.writes: list[str] = []

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        """What the service says."""
        raise NotImplementedError

    def writes_something(self, method: str, body: Any) -> bool:  # noqa: ARG002 - for one whose every request is a POST
        """Whether a request changes something."""
        return method != "GET"


class _Handler(LoopbackHandler):
    server: JsonServer

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
            self.cut()
        elif mode == "html":
            self.answer(200, b"<html>Sign in</html>", {"Content-Type": "text/html"})
        elif mode == "elsewhere":
            self.answer(302, b"", {"Location": "http://127.0.0.1:9/"})
        elif isinstance(mode, int):
            said = {"errors": [f"no: {self.headers.get('DD-API-KEY') or self.headers.get('API-Key')}"]}
            self.answer(mode, json.dumps(said).encode(), {"X-RateLimit-Reset": "7"})

    def _say(self, status: int, body: Any) -> None:
        self.answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"})
