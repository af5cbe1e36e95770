"""What a monitoring service is to the rest: something that takes a batch of samples, and says what became of it."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from probes.errors import ConfigError
from probes.monitoring.samples import Sample


class Fate(Enum):
    """What became of a batch."""

    DELIVERED = auto()
    LATER = auto()  # the service cannot take it now, or it is not known whether it did
    REFUSED = auto()  # it never will take it


@dataclass(frozen=True, slots=True)
class Said:
    """A service's answer. `why` is for people, without any secret; `wait_s` is how long it asks to be left alone."""

    fate: Fate
    why: str = ""
    wait_s: float = 0.0


DELIVERED = Said(Fate.DELIVERED)

REFUSALS = {400: "it cannot read what was sent", 413: "what was sent is too large"}
"""Answers by which a batch never will be taken, whatever the service."""

LONGEST_WAIT_S = 600.0
"""However long a service asks to be left alone, it is asked again after so many seconds."""


MOST_READ = 65_536
"""Bytes of an answer. One without end would leave no other greenlet a turn, and so no time-out either."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
"""Hosts that are this machine: what goes there can be read by nobody on the way."""


def not_taken(status: int, whys: Mapping[int, str], wait_s: float) -> Said:
    """What an HTTP status says that is none of success; `whys` has what a service means by which."""
    if status in REFUSALS:
        return Said(Fate.REFUSED, f"HTTP {status}: {REFUSALS[status]}")
    return Said(Fate.LATER, f"HTTP {status}: {whys.get(status, 'it takes nothing now')}", wait_s)


def seconds_asked(text: str) -> float:
    """The seconds that a header asks for; 0 where it does not say so many."""
    return min(float(text), LONGEST_WAIT_S) if text.isascii() and text.isdigit() else 0.0


class Service(Protocol):
    """One monitoring service.

    Who is cut off cannot tell what arrived, and sends it again: a batch that comes twice counts once, or the service's
    module says what it comes to.
    """

    name: str
    longest_past_s: float
    """How old a sample may be and still be taken with its own time; 0 where only the present counts."""

    def send(self, batch: Sequence[Sample], timeout_s: float) -> Said:
        """Hand over samples; each of connecting and waiting for an answer may take `timeout_s`. Raises nothing."""

    def read_back(self, sample: Sample, timeout_s: float) -> bool | None:
        """Whether the service has a sample that it took; None where it cannot be asked."""


def key_of(environ: Mapping[str, str], name: str) -> str:
    """A key, as it can stand in a header. Raises ConfigError where it cannot, without showing it."""
    key = environ.get(name, "").strip()
    if not fits_a_header(key):
        raise ConfigError(f"{name}: a line break, or a letter that no key has, is in it.", hint="Copy the key anew.")
    return key


def fits_a_header(text: str) -> bool:
    """Whether HTTP can carry it as a header's value."""
    return text.isascii() and text.isprintable()


def is_url(url: str) -> bool:
    """Whether something can be sent there over HTTP."""
    try:
        parts = urllib.parse.urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def keeps_a_secret(url: str) -> bool:
    """Whether what goes there can be read by nobody on the way."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return False
    loopback = parts.scheme == "http" and parts.hostname in LOOPBACK
    return loopback or (parts.scheme == "https" and bool(parts.hostname))
