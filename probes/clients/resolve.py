"""Which address each allowed host leads to. Resolved and checked once, so that nobody can change it underneath."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from probes.clients.chromium_flags import allowed_hosts
from probes.errors import RefusedError
from probes.safety.guard import Guard

LOOK_UP_TIMEOUT_S = 3.0
"""A visit has some 10 s, and a resolver that is silent may take longer than that."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """`reachable` hosts with the address to use, and for those with none that is allowed the guard's rule."""

    reachable: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


async def resolve(guard: Guard, known: Addresses) -> Addresses:
    """Look all allowed hosts up, at once; an address that is `known` is kept as long as its host still leads there.

    A name that is not found is in neither list: Chromium says so itself when a page needs it.
    """
    reachable: dict[str, str] = {}
    refused: dict[str, str] = {}
    hosts = allowed_hosts(guard.rules)
    for host, found in zip(hosts, await asyncio.gather(*map(_look_up, hosts)), strict=True):
        try:
            for address in found:  # one bad address is one too many: such a name leads both ways
                guard.check_address(host, address)
        except RefusedError as error:
            refused[host] = error.message
            continue
        if found:
            kept = known.reachable.get(host, "")
            reachable[host] = kept if kept in found else found[0]
    return Addresses(reachable, refused)


async def _look_up(host: str) -> list[str]:
    try:
        async with asyncio.timeout(LOOK_UP_TIMEOUT_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # TimeoutError is an OSError
        return []
    # Chromium is given one address only. Of two families IPv4 is the one that works from everywhere, loopback included.
    return [str(entry[4][0]) for entry in sorted(found, key=lambda entry: entry[0] != socket.AF_INET)]
