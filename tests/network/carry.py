"""Carries packets between TUN devices, each after its delay, or not at all.

`tc netem` would do, but many kernels are built without it. A TUN device (every kernel has it) hands us each packet;
it is held for a while, or lost, and given to the device that it is for.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

LONGEST_PACKET = 2048

_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_IFF_TUN_NO_PI = 0x1001
_PR_SET_TIMERSLACK = 29  # linux/prctl.h
_SOURCE, _DESTINATION = slice(12, 16), slice(16, 20)  # of an IPv4 header


@dataclass(frozen=True, slots=True)
class Way:
    """Where a packet goes: to which device, how long it takes, and how probably it is lost."""

    device: int
    delay_s: float
    loss: float


Turn = Callable[[int, bytearray], Way | None]
"""Told of each IPv4 packet and the device that it comes from; may change its addresses. None throws it away."""


def lay(device: str, commands: Sequence[Sequence[str]]) -> int:
    """Make a TUN device in this namespace and set it up with `ip`; the descriptor that packets are read from.

    Needs CAP_NET_ADMIN; raises OSError and CalledProcessError.
    """
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", device.encode(), _IFF_TUN_NO_PI))
    for command in (("link", "set", "lo", "up"), *commands, ("link", "set", device, "up", "txqueuelen", "1000")):
        subprocess.run(["ip", *command], check=True)
    return descriptor


def addresses(packet: bytearray) -> tuple[bytes, bytes]:
    """Source and destination."""
    return bytes(packet[_SOURCE]), bytes(packet[_DESTINATION])


def readdress(packet: bytearray, source: bytes, destination: bytes) -> None:
    """Give it other addresses. Checksums stay right where the sum of all 16-bit words of both stays the same."""
    packet[_SOURCE], packet[_DESTINATION] = source, destination


def carry(devices: Collection[int], turn: Turn) -> None:
    """Carry packets until stdin closes."""
    under_way: list[tuple[float, int, int, bytearray]] = []  # when due, in which order, to which device
    count = 0
    stdin = sys.stdin.fileno()
    while True:
        wait_s = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        readable, _, _ = select.select([*devices, stdin], [], [], wait_s)
        if stdin in readable:
            return
        for device in devices:
            with contextlib.suppress(BlockingIOError):
                while device in readable:
                    packet = bytearray(os.read(device, LONGEST_PACKET))
                    # IPv6 looks for its neighbours on every new device
                    way = turn(device, packet) if packet[0] >> 4 == 4 else None
                    if way and random.random() >= way.loss:  # noqa: S311 - no secret: whether a packet is lost
                        count += 1
                        heapq.heappush(under_way, (time.monotonic() + way.delay_s, count, way.device, packet))
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            _, _, device, packet = heapq.heappop(under_way)
            with contextlib.suppress(OSError):  # the link is down: lost
                os.write(device, packet)


def be_punctual() -> None:
    """Wake up in time, also on a busy machine; without the right to do so, a little later."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
