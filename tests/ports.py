"""Ports for those who must be told one before they listen."""

from __future__ import annotations

import os
import socket
from itertools import cycle

# Below those that the kernel gives by itself (ip_local_port_range): one of them, found free and given back, may be
# another connection's own a moment later. Each process that tests begins elsewhere.
_LOWEST, _MANY, _APART = 10_000, 20_000, 211
_FIRST = os.getpid() * _APART % _MANY
_CANDIDATES = cycle([*range(_FIRST, _MANY), *range(_FIRST)])


def free_port() -> int:
    """A port of the loopback that nobody has, and that nobody else here is told."""
    while True:
        port: int = _LOWEST + next(_CANDIDATES)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
