"""When each check is due in each region: at its interval, the starts spread out, and never made up for.

The grid of a region and check is laid by the machine's boot clock and a stable offset, so that a restarted master goes
on where the last one would have, and so that no two regions start at one moment by habit. Checks of one interval are as
far apart as can be: a short gap, as a deploy makes one, then fails one of them, and not several at once, which rules
would have to take for more.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """A check has failed in a region: `id` is that of the record."""

    id: str
    region: str


@dataclass(frozen=True, slots=True)
class Occasion:
    """One occasion for a check in a region: a planned one lasts until the next one.

    Its `number` is when it starts, in milliseconds by the boot clock: so none comes twice, whatever grid is laid next.
    One that `confirms` a failure is not planned, but comes of that.
    """

    region: str
    check: str
    number: int
    ends: float  # by the clock that `Schedule.due` is told
    confirms: Failure | None = None


class Schedule:
    """The grids of all checks in all regions."""

    def __init__(self) -> None:
        self._every: dict[tuple[str, str], float] = {}
        self._offset: dict[tuple[str, str], float] = {}
        self._next: dict[tuple[str, str], int] = {}

    def add_region(self, region: str, every: Mapping[str, float], now: float) -> None:
        """Plan a region, anew where it is planned already; `every` has the seconds between two starts of each check."""
        for check in [check for of, check in self._every if of == region and check not in every]:
            del self._every[region, check], self._offset[region, check], self._next[region, check]
        for check, seconds in every.items():
            if self._every.get((region, check)) != seconds:
                self._every[region, check] = seconds
                self._offset[region, check] = offset(region, check, every)
                self._next[region, check] = self._after(region, check, now)

    def due(self, now: float) -> list[Occasion]:
        """What has become due since the last call. What was missed, as the machine slept or was busy, is left out."""
        found = []
        for (region, check), number in self._next.items():
            if self._starts(region, check, number) > now:
                continue
            following = self._after(region, check, now)
            self._next[region, check] = following
            begun, ends = (self._starts(region, check, each) for each in (following - 1, following))
            found.append(Occasion(region, check, round(1000 * begun), ends))
        return found

    def next_in_s(self, now: float) -> float:
        """Seconds until something is due; infinite where nothing is planned."""
        starts = (self._starts(region, check, number) for (region, check), number in self._next.items())
        return max(0.0, min(starts, default=math.inf) - now)

    def _starts(self, region: str, check: str, number: int) -> float:
        every = self._every[region, check]
        return (number + self._offset[region, check]) * every

    def _after(self, region: str, check: str, now: float) -> int:
        """The number of the first start later than `now`."""
        return math.floor(now / self._every[region, check] - self._offset[region, check]) + 1


def offset(region: str, check: str, every: Mapping[str, float]) -> float:
    """Where in its interval a check starts in a region, from 0 up to 1: the same on every machine and in every run.

    `every` has the intervals of all checks of the region: those of one interval share it out among them.
    """
    digest = hashlib.sha256(region.encode()).digest()
    together = sorted(name for name, seconds in every.items() if seconds == every[check])
    return (int.from_bytes(digest[:6], "big") / (1 << 48) + together.index(check) / len(together)) % 1.0
