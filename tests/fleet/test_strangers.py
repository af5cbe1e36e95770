"""Locust's port of a master takes anyone: whatever a stranger sends to it, the fleet goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

import msgpack  # type: ignore[import-untyped]  # it has no stubs
import pytest
import zmq

from probes.standin.process import StandIn
from tests.fleet.harness import Fleet, fleet_of, until

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(240)]

LOCUST = version("locust")
NOT_MESSAGES = [
    b"",
    b"\xc1",  # no msgpack
    b"\xff\xfe{}",
    b"\x91" * 3000,  # lists in lists
    msgpack.dumps(7),
    msgpack.dumps(["smokeprobe"]),
    msgpack.dumps(["smokeprobe", {"__datetime__": True, "as_str": "never"}, "stranger"]),
]
SENSELESS = [
    ("client_ready", 5),
    ("heartbeat", None),
    ("spawning_complete", None),
    ("stats", None),
    ("exception", None),
    ("locustfile", None),
    ("logs", None),
    ("client_stopped", None),
    ("quit", None),
    ("nothing", {}),
    ("smokeprobe", [1, 2, 3]),
    ("smokeprobe", {"type": "post"}),
    (None, None),
]


@pytest.fixture
def fleet(design: StandIn, tmp_path: Path) -> Iterator[Fleet]:
    with fleet_of(design, tmp_path) as running:
        yield running


@contextmanager
def stranger(fleet: Fleet, name: str) -> Iterator[zmq.Socket[bytes]]:
    """A socket to the master's port under a name of one's choice."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.IDENTITY, name.encode("latin-1"))
        socket.setsockopt(zmq.LINGER, 1000)
        socket.connect(f"tcp://127.0.0.1:{fleet.port}")
        yield socket


def has_heard(socket: zmq.Socket[bytes], kind: str) -> bool:
    """Whether a message of this kind has come since the last time, or ever before."""
    heard: set[str] = socket.__dict__.setdefault("heard", set())
    while socket.poll(0):
        heard.add(msgpack.loads(socket.recv())[0])
    return kind in heard


def passes(fleet: Fleet) -> int:
    return sum(run["outcome"] == "passed" for run in fleet.cell("health")["runs"])


def test_nothing_that_a_stranger_sends_stops_a_fleet(fleet: Fleet) -> None:
    master = fleet.master()
    fleet.worker("one")
    assert until(lambda: passes(fleet) >= 1), fleet.story()
    (known,) = [worker["client"] for worker in fleet.board()["workers"]]
    for name in ("stranger", "str\xff\xfenger", "another " * 20):
        with stranger(fleet, name) as socket:
            for payload in NOT_MESSAGES:
                socket.send(payload)
            socket.send_multipart([b"three", b"parts", b"of"])
            for kind, data in SENSELESS:
                socket.send(msgpack.dumps((kind, data, name)))
            for kind, data in SENSELESS:
                socket.send(msgpack.dumps((kind, data, known)))  # in the name of the worker that is there
    before = passes(fleet)
    assert until(lambda: passes(fleet) >= before + 3), fleet.story()
    fleet.worker("two")  # and others can still join
    assert until(lambda: fleet.workers() == 2), fleet.story()
    assert "Traceback" not in master.text()
    said = [line for line in master.text().splitlines() if " probes.swarm.results: " not in line]
    assert len(said) < 60, master.text()  # however often it was told nonsense


def test_a_crowd_that_comes_does_not_deafen_a_master(fleet: Fleet) -> None:
    fleet.master()
    with ExitStack() as sockets:
        crowd = {f"one-of-{number}": sockets.enter_context(stranger(fleet, f"one-of-{number}")) for number in range(31)}
        first, *others = crowd
        crowd[first].send(msgpack.dumps(("client_ready", LOCUST, first)))
        assert until(lambda: has_heard(crowd[first], "spawning_complete")), fleet.story()  # so Locust's test is running
        crowd[first].send(msgpack.dumps(("spawning_complete", {"user_classes_count": {"Some": 7}}, first)))
        begun = time.monotonic()
        for name in others:
            crowd[name].send(msgpack.dumps(("client_ready", LOCUST, name)))
        assert until(lambda: all(has_heard(crowd[name], "ack") for name in others), 60), fleet.story()
        # Locust would wait for a second each time, as its users are not as many as it thinks, and hear nobody meanwhile
        assert time.monotonic() - begun < 15


def test_one_who_was_missed_and_speaks_again_leaves_no_fleet_without_users(fleet: Fleet) -> None:
    master = fleet.master()
    assert until(lambda: fleet.get("/healthz")[0] == 200), fleet.story()
    with stranger(fleet, "late") as late, stranger(fleet, "last") as last:
        for name, socket in (("late", late), ("last", last)):
            socket.send(msgpack.dumps(("client_ready", LOCUST, name)))
        alive = msgpack.dumps(("heartbeat", {"state": "running", "current_cpu_usage": 0}, "last"))
        for _ in range(8):  # meanwhile Locust misses the other, and its dispatcher knows it no more
            last.send(alive)
            time.sleep(1)
        late.send(msgpack.dumps(("spawning", None, "late")))
        time.sleep(0.1)
        last.send(msgpack.dumps(("quit", None, "last")))
        time.sleep(1)
        fleet.worker("one")
        assert until(lambda: passes(fleet) >= 2), fleet.story()
    assert "Traceback" not in master.text()
