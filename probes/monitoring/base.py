"""What a monitoring service is to the rest: something that takes a batch of samples, and says what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

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


def not_taken(status: int, whys: Mapping[int, str], wait_s: float) -> Said:
    """What an HTTP status says that is none of success; `whys` has what a service means by which."""
    if status in REFUSALS:
        return Said(Fate.REFUSED, f"HTTP {status}: {REFUSALS[status]}")
    return Said(Fate.LATER, f"HTTP {status}: {whys.get(status, 'it takes nothing now')}", wait_s)


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
