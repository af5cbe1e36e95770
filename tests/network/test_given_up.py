"""What was given up never arrives, although for minutes the kernel says again what a line that was cut has lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.http_help import failure, rig
from tests.network.crossing import Crossing, Line, crossing
from tests.network.far import FarStandIn
from tests.network.needs import needs_namespaces

pytestmark = [pytest.mark.fleet, needs_namespaces]

TIMEOUT_S = 0.6
SAID_AGAIN_S = 3.0
"""By when the kernel has said again whatever it still will: it waits twice as long each time."""

CHILD = """
import sys
from tests.clients.http_help import rig

far = rig(sys.argv[1])
far.get("/health")
print("connected")
sys.stdin.readline()
print("sending")
far.get("/late", timeout_s=float(sys.argv[2]))
"""


@pytest.fixture
def world() -> Iterator[Crossing]:
    with crossing({"far": Line(0.01)}) as made:
        yield made


@pytest.fixture
def target(world: Crossing) -> Iterator[FarStandIn]:
    with FarStandIn(world.target) as running:
        yield running


def paths(target: FarStandIn) -> list[str]:
    return [entry["path"] for entry in target.ledger()]


def test_a_request_whose_time_is_over(world: Crossing, target: FarStandIn) -> None:
    region = world.regions["far"]
    with region.namespace.entered():
        far = rig(target.url)
        far.get("/health")  # the connection is there from now on
    region.link("down")
    assert failure(lambda: far.get("/late", timeout_s=TIMEOUT_S)).timed_out
    region.link("up")
    time.sleep(SAID_AGAIN_S)
    assert paths(target) == ["/health"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_request_of_a_process_that_is_gone_or_stands_still(
    number: signal.Signals, world: Crossing, target: FarStandIn
) -> None:
    region = world.regions["far"]
    with region.namespace.entered():
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, target.url, str(TIMEOUT_S)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"connected\n"
        region.link("down")
        child.stdin.write(b"\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"sending\n"
        time.sleep(0.2)
        child.send_signal(number)
        time.sleep(TIMEOUT_S)
        region.link("up")
        time.sleep(SAID_AGAIN_S)
        assert paths(target) == ["/health"]
    finally:
        child.kill()
        child.communicate()
