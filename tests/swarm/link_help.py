"""A line between a master and its workers that the test holds in its hand."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from probes.swarm.link import MasterLinks, WorkerLink
from probes.swarm.link_session import Received, seal

KEY = b"shared"
Message = dict[str, Any]


@dataclass
class Line:
    """A clock, and all that was sent over it: `up` with the name of the client, `down` with whom it is for."""

    now: float = 1000.0
    up: list[tuple[str, Message]] = field(default_factory=list)
    down: list[tuple[str, Message]] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def clock(self) -> float:
        return self.now

    def nonce(self) -> str:
        return f"nonce-{next(self.numbers)}"

    def worker(self, name: str = "a", key: bytes = KEY) -> WorkerLink:
        return WorkerLink(key, lambda message: self.up.append((name, message)), self.clock, self.nonce)

    def master(self, key: bytes = KEY) -> MasterLinks:
        return MasterLinks(key, lambda name, message: self.down.append((name, message)), self.clock, self.nonce)

    def carry(self, master: MasterLinks, **workers: WorkerLink) -> list[Received]:
        """Bring everything to where it belongs until nothing more is said."""
        received = []
        while self.up or self.down:
            for name, message in self.take(self.up):
                received.append(master.receive(name, message))
            for name, message in self.take(self.down):
                received.append(workers[name].receive(message))
        return [each for each in received if each]

    def take(self, messages: list[tuple[str, Message]]) -> list[tuple[str, Message]]:
        taken = list(messages)
        messages.clear()
        return taken


@dataclass
class Pair:
    """A master and its worker `a`, with their session open."""

    line: Line
    master: MasterLinks
    worker: WorkerLink

    def carry(self) -> list[Received]:
        return self.line.carry(self.master, a=self.worker)

    def sent_up(self, kind: str = "verdict") -> Message:
        """A post of the worker, taken off the line."""
        self.worker.post(kind, {"n": 1})
        return self.line.up.pop()[1]

    def sent_down(self, kind: str = "permit") -> Message:
        self.master.post("a", kind, {"n": 1})
        return self.line.down.pop()[1]

    def reasons(self, client: str = "a") -> dict[str, int]:
        return dict(self.master.rejected.get(client, {}))


def opened(line: Line, master: MasterLinks, worker: WorkerLink, name: str = "a") -> None:
    worker.turn()
    line.carry(master, **{name: worker})
    worker.post("join", {})
    line.carry(master, **{name: worker})


FIRST_HELLO = seal(KEY, {"type": "hello", "worker": "nonce-0", "master": "", "challenge": "nonce-1"})
"""What the worker of `pair` has said first."""
