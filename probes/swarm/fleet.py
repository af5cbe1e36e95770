"""What a master and its workers have in common: the message that all of it travels in, and the key."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping

from probes.errors import ConfigError

FLEET_MESSAGE = "smokeprobe"
"""The type of Locust's custom messages that carry ours."""

KEY_VARIABLE = "SMOKEPROBE_FLEET_KEY"
SHORTEST_KEY = 32
"""Characters: as many as `openssl rand -hex 16` prints, 128 bits."""

TURN_S = 0.1
"""How often both sides look at what is due."""


def fleet_key(environ: Mapping[str, str]) -> bytes:
    """The key by which master and workers know each other; empty where there is none. Raises ConfigError."""
    key = environ.get(KEY_VARIABLE, "").strip()
    if key and len(key) < SHORTEST_KEY:
        raise ConfigError(
            f"{KEY_VARIABLE} is too short: {SHORTEST_KEY} characters at least.", hint="Make one: openssl rand -hex 16"
        )
    return os.fsencode(key)


def check_address(host: str, key: bytes, what: str) -> None:
    """Refuse what is no name, and to leave the loopback without a key: anybody could join. Raises ConfigError."""
    if not key and not is_loopback(host):
        raise ConfigError(
            f"{what} {host}: without a key a master and its workers stay on the loopback.",
            hint=f"Set {KEY_VARIABLE} on all of them, the same one; make it with: openssl rand -hex 16",
        )
    if not _is_name(host):
        raise ConfigError(f"{what} {host[:60]}: that is no name.")


def refuse_taken(flag: str, host: str, port: int) -> None:
    """Say that nobody can listen there before anything is begun. `*` means every address. Raises ConfigError."""
    if not _is_name(host):  # gevent asks in a thread, and would print what is raised there
        raise ConfigError(f"{flag} {port}: cannot listen on {host[:60]}: that is no name.")
    try:
        everywhere = host == "*"
        found = socket.getaddrinfo(None if everywhere else host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        with socket.socket(found[0][0]) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(("" if everywhere else host, port))
    except OSError as problem:
        raise ConfigError(f"{flag} {port}: cannot listen on {host}: {problem.strerror}.") from None


def _is_name(host: str) -> bool:
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine is meant. `*` and empty mean every address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
