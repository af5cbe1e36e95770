"""A target and regions, each in a network namespace of its own, with a long line from each region to the target.

The middle, where all lines meet, is a process: `python -m tests.network.crossing TARGET DEVICE:DELAY_MS:LOSS …`, whose
TUN devices are handed down to it. It ends when its stdin closes.
"""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.network.carry import Way, addresses, be_punctual, carry, lay, readdress
from tests.network.namespace import Namespace

DEVICE = "line0"
TARGET = "10.77.116.180"
"""The target's address in the regions. In its own namespace it is `LOOPBACK`, as the stand-in listens nowhere else; the
halves of both add up to the same, so that the checksums of packets stay right."""

LOOPBACK = "127.0.0.1"

_FAR, _NEAR = (ipaddress.ip_address(each).packed for each in (TARGET, LOOPBACK))


@dataclass(frozen=True, slots=True)
class Line:
    """What lies between a region and the target, one way: seconds, and the part of all packets that is lost."""

    delay_s: float
    loss: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """A namespace at the end of a line, and its address."""

    namespace: Namespace
    address: str

    def link(self, state: str) -> None:
        """Set the line `down` or `up` at this end."""
        with self.namespace.entered():
            subprocess.run(["ip", "link", "set", DEVICE, state], check=True)


@dataclass(frozen=True, slots=True)
class Crossing:
    """The places: the target's, and the regions' by name."""

    target: Place
    regions: Mapping[str, Place]


@contextmanager
def crossing(lines: Mapping[str, Line]) -> Iterator[Crossing]:
    """A region for each line; gone after the block. Where that cannot be, `namespace.why_not` says so."""
    with ExitStack() as ends:

        def place(address: str) -> tuple[Place, int]:
            namespace = Namespace()
            ends.callback(namespace.close)
            with namespace.entered():
                device = lay(DEVICE, [("address", "add", f"{address}/16", "dev", DEVICE)])
            ends.callback(os.close, device)
            return Place(namespace, address), device

        target, target_device = place("10.77.0.1")
        with target.namespace.entered():
            Path(f"/proc/sys/net/ipv4/conf/{DEVICE}/route_localnet").write_text("1")
        made = {name: place(f"10.77.{number}.1") for number, name in enumerate(lines, 1)}
        roads = [
            f"{device}:{line.delay_s * 1000.0}:{line.loss}"
            for (_, device), line in zip(made.values(), lines.values(), strict=True)
        ]
        middle = subprocess.Popen(
            [sys.executable, "-m", "tests.network.crossing", str(target_device), *roads],
            stdin=subprocess.PIPE,
            pass_fds=[target_device, *(device for _, device in made.values())],
            cwd=Path(__file__).parents[2],
        )
        ends.callback(middle.communicate, timeout=10)  # closes its stdin
        yield Crossing(target, {name: region for name, (region, _) in made.items()})


def main() -> None:
    """Be the middle."""
    target = int(sys.argv[1])
    lines = {}
    for road in sys.argv[2:]:
        device, delay_ms, loss = road.split(":")
        lines[int(device)] = Line(float(delay_ms) / 1000.0, float(loss))
    ways_in = {device: Way(target, line.delay_s, line.loss) for device, line in lines.items()}
    ways_out = {number: Way(device, line.delay_s, line.loss) for number, (device, line) in enumerate(lines.items(), 1)}

    def turn(device: int, packet: bytearray) -> Way | None:
        source, destination = addresses(packet)
        if device == target and source == _NEAR:
            readdress(packet, _FAR, destination)
            return ways_out.get(destination[2])
        if device != target and destination == _FAR:
            readdress(packet, source, _NEAR)
            return ways_in[device]
        return None

    be_punctual()
    carry([target, *lines], turn)


if __name__ == "__main__":
    main()
