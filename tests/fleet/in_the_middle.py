"""A man in the middle of workers and their master: `python -m tests.fleet.in_the_middle FRONT BACK RECORD MANNER`.

Workers connect to the port FRONT, and are passed on to the master's port BACK under their own names. Each permit that
passes is written to RECORD, a JSON object a line. If his MANNER is `meddling` and not `honest`, all that passes is also
doubled, cut short, and said again later, in the name of another too; of our own messages each eighth is altered, and so
lost, and the others are altered in one of their fields once they have passed.
"""

from __future__ import annotations

import heapq
import json
import sys
import time
from itertools import cycle
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]  # it has no stubs
import zmq

from tests.fleet.judges import Granted

LATER_S = (0.7, 6.0)
EACH = 8
OURS = "smokeprobe"

Frame = tuple[str, dict[str, Any], str]
"""A message of Locust's: its type, its data, and whose it is."""


class Middle:
    """Passes messages on, and meddles."""

    def __init__(self, front: int, back: int, record: Path, *, honest: bool) -> None:
        self._honest = honest
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._front = self._context.socket(zmq.ROUTER)
        self._front.bind(f"tcp://127.0.0.1:{front}")
        self._back_port = back
        self._backs: dict[bytes, zmq.Socket[bytes]] = {}
        self._record = record.open("a")
        self._later: list[tuple[float, int, bool, bytes, bytes]] = []  # when, in which order, which way, whose, what
        self._count = self._count_later = 0
        self._fields = cycle(("body", "number", "low", "kind", "direction", "worker", "master", "mac"))

    def run(self) -> None:
        """For ever."""
        while True:
            sockets = {self._front: None, **{back: name for name, back in self._backs.items()}}
            poller = zmq.Poller()
            for socket in sockets:
                poller.register(socket, zmq.POLLIN)
            for socket, _ in poller.poll(50):
                if socket is self._front:
                    name, payload = self._front.recv_multipart()
                    self._pass(name, payload, up=True)
                else:
                    self._pass(sockets[socket] or b"", socket.recv(), up=False)
            while self._later and self._later[0][0] <= time.monotonic():
                _, _, up, name, payload = heapq.heappop(self._later)
                self._send(name, payload, up=up)

    def _pass(self, name: bytes, payload: bytes, *, up: bool) -> None:
        frame: Frame = msgpack.loads(payload, raw=False, strict_map_key=False)
        if self._honest or frame[0] != OURS:
            self._write(frame)
            self._send(name, payload, up=up)
            if not self._honest:
                self._send(name, payload[: len(payload) // 2], up=up)
            return
        self._count += 1
        if self._count % EACH:
            self._write(frame)
            for _ in range(2):
                self._send(name, payload, up=up)
            for wait_s in LATER_S:
                self._say_later(wait_s, name, payload, up=up)
            for other in self._backs:
                if other != name:
                    self._say_later(LATER_S[0], other, msgpack.dumps((OURS, frame[1], other.decode())), up=up)
        self._send(name, self._altered(frame), up=up)

    def _altered(self, frame: Frame) -> bytes:
        kind, data, name = frame
        field = next(field for field in self._fields if data.get(field))
        value = data[field]
        other = value + 1 if isinstance(value, int) else ("1" if value[0] == "0" else "0") + value[1:]
        altered: bytes = msgpack.dumps((kind, {**data, field: other}, name))
        return altered

    def _say_later(self, wait_s: float, name: bytes, payload: bytes, *, up: bool) -> None:
        self._count_later += 1
        heapq.heappush(self._later, (time.monotonic() + wait_s, self._count_later, up, name, payload))

    def _send(self, name: bytes, payload: bytes, *, up: bool) -> None:
        if not up:
            self._front.send_multipart([name, payload])
            return
        if name not in self._backs:
            back = self._backs[name] = self._context.socket(zmq.DEALER)
            back.setsockopt(zmq.IDENTITY, name)
            back.connect(f"tcp://127.0.0.1:{self._back_port}")
        self._backs[name].send(payload)

    def _write(self, frame: Frame) -> None:
        data = frame[1]
        if frame[0] == OURS and data["type"] == "post" and data["kind"] == "permit":
            body = json.loads(data["body"])
            permit = {"permit": body["permit"]["id"], "deadline_s": body["permit"]["deadline_s"]}
            self._record.write(json.dumps({"tick": body["tick"], "t": time.monotonic(), **permit}) + "\n")
            self._record.flush()


def permits_in(record: Path) -> list[Granted]:
    """What he has written down."""
    return [Granted(**json.loads(line)) for line in record.read_text().splitlines()]


if __name__ == "__main__":
    front, back, record, manner = sys.argv[1:]
    Middle(int(front), int(back), Path(record), honest=manner == "honest").run()
