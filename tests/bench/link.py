"""A long line of our own: `python -m tests.bench.link DELAY_MS LOSS`, in a network namespace that it has to itself.

`tc netem` would do, but many kernels are built without it. A TUN device (every kernel has it) hands us each packet;
it is held for DELAY_MS, or lost with the probability LOSS, and comes back with its two addresses exchanged. So what is
sent to `FAR` arrives, one delay later, at `NEAR` on the same machine, and looks as if it came from `FAR`; checksums
stay right, since they are sums. A round trip is two delays. Ends when its stdin closes; prints `up` once it works.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections import deque
from types import TracebackType
from typing import Self

from tests.bench.measurement import CannotMeasureError

NEAR, FAR = "10.77.0.1", "10.77.0.2"
DEVICE = "far0"
LONGEST_PACKET = 2048

_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_IFF_TUN_NO_PI = 0x1001
_PR_SET_TIMERSLACK = 29  # linux/prctl.h
_ADDRESSES = slice(12, 20)  # of an IPv4 header: source, destination


class Link:
    """The line as a process beside us, for a with-block. `delay_s` is one way."""

    def __init__(self, delay_s: float, loss: float = 0.0) -> None:
        self._command = [sys.executable, "-m", "tests.bench.link", str(delay_s * 1000.0), str(loss)]
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        if self._child.stdout is not None and self._child.stdout.readline() != b"up\n":
            said = self._child.communicate(timeout=5)[1].decode(errors="replace").strip().splitlines()
            raise CannotMeasureError(f"no line with delay can be laid here: {said[-1] if said else 'no reason given'}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.communicate(timeout=10)  # closes its stdin


def lay() -> int:
    """Make the device and its two ends; the descriptor that packets are read from. Needs CAP_NET_ADMIN."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", DEVICE.encode(), _IFF_TUN_NO_PI))
    for command in (
        ["link", "set", "lo", "up"],
        ["address", "add", NEAR, "peer", FAR, "dev", DEVICE],
        ["link", "set", DEVICE, "up", "txqueuelen", "1000"],
    ):
        subprocess.run(["ip", *command], check=True)
    return device


def carry(device: int, delay_s: float, loss: float) -> None:
    """Carry packets until stdin closes."""
    under_way: deque[tuple[float, bytes]] = deque()
    stdin = sys.stdin.fileno()
    while True:
        wait_s = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        readable, _, _ = select.select([device, stdin], [], [], wait_s)
        if stdin in readable:
            return
        with contextlib.suppress(BlockingIOError):
            while device in readable:
                packet = os.read(device, LONGEST_PACKET)
                if random.random() >= loss:  # noqa: S311 - no secret: whether a packet is lost
                    under_way.append((time.monotonic() + delay_s, packet))
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            _arrive(device, under_way.popleft()[1])


def _arrive(device: int, packet: bytes) -> None:
    if packet[0] >> 4 != 4:
        return  # IPv6 looks for its neighbours on every new device
    source, destination = packet[12:16], packet[16:20]
    turned = bytearray(packet)
    turned[_ADDRESSES] = destination + source
    os.write(device, turned)


def _be_punctual() -> None:
    """Wake up in time, also on a busy machine; without the right to do so, a little later."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def main() -> None:
    """Lay the line and carry."""
    delay_s, loss = float(sys.argv[1]) / 1000.0, float(sys.argv[2])
    device = lay()
    _be_punctual()
    sys.stdout.write("up\n")
    sys.stdout.flush()
    carry(device, delay_s, loss)


if __name__ == "__main__":
    main()
