"""What a monitoring service is to the rest: something that takes a batch of samples, and says what became of it."""

from __future__ import annotations

from collections.abc import Sequence
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


class Service(Protocol):
    """One monitoring service. A batch that is sent twice must count once: who is cut off cannot tell what arrived."""

    name: str
    longest_past_s: float
    """How old a sample may be and still be taken with its own time; 0 where only the present counts."""

    def send(self, batch: Sequence[Sample], timeout_s: float) -> Said:
        """Hand over samples; each of connecting and waiting for an answer may take `timeout_s`. Raises nothing."""

    def read_back(self, sample: Sample, timeout_s: float) -> bool | None:
        """Whether the service has a sample that it took; None where it cannot be asked."""
