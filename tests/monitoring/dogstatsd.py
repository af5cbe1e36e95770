"""A listener that reads DogStatsD's datagrams strictly, as its protocol (version 1.3) is documented."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

_LINE = re.compile(
    r"(?P<name>[a-zA-Z][a-zA-Z0-9_.]{0,199}):(?P<value>-?\d+(?:\.\d+)?(?:e-?\d+)?)\|(?P<kind>[gc])"
    r"\|#(?P<tags>[a-z][a-z0-9_]*:[^,|\s]{1,200}(?:,[a-z][a-z0-9_]*:[^,|\s]{1,200})*)"
    r"(?:\|c:[\w-]+)?\|T(?P<at>\d{10})"
)


@dataclass(frozen=True)
class Read:
    """One metric as it came."""

    name: str
    value: float
    kind: str
    tags: tuple[str, ...]
    at: int


class Listener:
    """An agent's ears: on a UDP port of the loopback, or on a Unix socket."""

    def __init__(self, path: Path | None, port: int) -> None:
        self._socket = socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(str(path) if path else ("127.0.0.1", port))
        self._socket.settimeout(0.05)
        self.path, self.port = path, 0 if path else self._socket.getsockname()[1]
        self.read: list[Read] = []
        self.complaints: list[str] = []
        self._over = False
        self._thread = Thread(target=self._listen)
        self._thread.start()

    @property
    def url(self) -> str:
        """As DD_DOGSTATSD_URL has it."""
        return f"unix://{self.path}" if self.path else f"udp://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Hear no more."""
        self._over = True
        self._thread.join()
        self._socket.close()
        if self.path:
            self.path.unlink(missing_ok=True)

    def _listen(self) -> None:
        while not self._over:
            try:
                datagram = self._socket.recv(65536).decode()
            except TimeoutError:
                continue
            for line in datagram.removesuffix("\n").split("\n"):
                if match := _LINE.fullmatch(line):
                    tags = tuple(match["tags"].split(","))
                    self.read.append(Read(match["name"], float(match["value"]), match["kind"], tags, int(match["at"])))
                else:
                    self.complaints.append(line)


@contextmanager
def listening(path: Path | None = None, port: int = 0) -> Iterator[Listener]:
    """A listener, gone with the context."""
    listener = Listener(path, port)
    try:
        yield listener
    finally:
        listener.stop()
