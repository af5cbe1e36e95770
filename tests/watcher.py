"""Whoever is pinged by a heartbeat, on the loopback."""

from __future__ import annotations

from tests.monitoring.loopback import Loopback, LoopbackHandler

PATH = "/ping/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278"


class Watcher(Loopback):
    """Who notices when nobody calls."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.pings: list[str] = []
        self.mode: str | int = 200


class _Handler(LoopbackHandler):
    server: Watcher

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        self.server.pings.append(self.path)
        if self.server.mode == "drip":
            self.drip(200)
        elif self.server.mode == "hang":
            self.server.closing.wait(30)
        elif isinstance(self.server.mode, int):
            self.answer(self.server.mode, b"OK", {"Location": "/elsewhere"})
