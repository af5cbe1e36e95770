"""When each check is due in each region: at its interval, the starts spread out, and never made up for.

The grid of a region and check is laid by the machine's boot clock and a stable offset, so that a restarted master goes
on where the last one would have, and so that no two regions or checks start at one moment by habit.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Occasion:
    """One planned occasion for a check in a region: the `number`-th of its grid, which lasts until the next one."""

    region: str
    check: str
    number: int
    ends: float  # by the clock that `Schedule.due` is told


class Schedule:
    """The grids of all checks in all regions; `every` gives the seconds between two starts of a check."""

    def __init__(self, regions: Iterable[str], every: Mapping[str, float], now: float) -> None:
        self._every = dict(every)
        self._next = {(region, check): self._after(region, check, now) for region in regions for check in self._every}

    def add_region(self, region: str, now: float) -> None:
        """Plan a region too; one that is planned already stays as it is."""
        for check in self._every:
            self._next.setdefault((region, check), self._after(region, check, now))

    def due(self, now: float) -> list[Occasion]:
        """What has become due since the last call. What was missed, as the machine slept or was busy, is left out."""
        found = []
        for (region, check), number in self._next.items():
            if self._starts(region, check, number) > now:
                continue
            following = self._after(region, check, now)
            self._next[region, check] = following
            found.append(Occasion(region, check, following - 1, self._starts(region, check, following)))
        return found

    def next_in_s(self, now: float) -> float:
        """Seconds until something is due; infinite where nothing is planned."""
        starts = (self._starts(region, check, number) for (region, check), number in self._next.items())
        return max(0.0, min(starts, default=math.inf) - now)

    def _starts(self, region: str, check: str, number: int) -> float:
        every = self._every[check]
        return (number + offset(region, check)) * every

    def _after(self, region: str, check: str, now: float) -> int:
        """The number of the first start later than `now`."""
        return math.floor(now / self._every[check] - offset(region, check)) + 1


def offset(region: str, check: str) -> float:
    """Where in its interval a check starts in a region, from 0 up to 1: the same on every machine and in every run."""
    digest = hashlib.sha256(f"{region}/{check}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / (1 << 48)
