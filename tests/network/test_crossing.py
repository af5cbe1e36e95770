"""The lines do what they are said to do, or what is shown on them shows nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.network.crossing import LOOPBACK, TARGET, Crossing, Line, crossing
from tests.network.needs import needs_namespaces

pytestmark = [pytest.mark.fleet, needs_namespaces]


@pytest.fixture
def world() -> Iterator[Crossing]:
    with crossing({"near": Line(0.0), "far": Line(0.05)}) as made:
        yield made


@pytest.fixture
def server(world: Crossing) -> Iterator[socket.socket]:
    with world.target.namespace.entered(), socket.create_server((LOOPBACK, 0)) as listening:
        yield listening


def connected(world: Crossing, region: str, server: socket.socket, timeout_s: float = 5.0) -> socket.socket:
    with world.regions[region].namespace.entered():
        return socket.create_connection((TARGET, server.getsockname()[1]), timeout=timeout_s)


def test_each_region_has_an_address_and_a_distance_of_its_own(world: Crossing, server: socket.socket) -> None:
    took: dict[str, list[float]] = {"near": [], "far": []}
    for region in [*took] * 6:  # this machine may be busy
        begun = time.monotonic()
        with connected(world, region, server):
            took[region].append(time.monotonic() - begun)
            accepted, address = server.accept()
            accepted.close()
        assert address[0] == world.regions[region].address
    assert min(took["far"]) >= 0.1
    assert min(took["near"]) < 0.1


def test_a_line_that_is_down_carries_nothing_and_heals(world: Crossing, server: socket.socket) -> None:
    with connected(world, "far", server) as line:
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(0.5)
            world.regions["far"].link("down")
            line.sendall(b"one")
            with pytest.raises(TimeoutError):
                accepted.recv(3)
            with pytest.raises(OSError, match="unreachable"):
                connected(world, "far", server)
            connected(world, "near", server).close()
            world.regions["far"].link("up")
            accepted.settimeout(10)
            assert accepted.recv(3) == b"one"  # the kernel says it again


def test_what_is_to_be_lost_is_lost() -> None:
    with (
        crossing({"silent": Line(0.0, loss=1.0)}) as world,
        world.target.namespace.entered(),
        socket.create_server((LOOPBACK, 0)) as server,
        pytest.raises(TimeoutError),
    ):
        connected(world, "silent", server, timeout_s=0.5)
