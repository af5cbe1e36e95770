"""Judges by what the target itself saw: the ceilings, and that no tick ran twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from tests.e2e.harness import busiest

WINDOW_S = 5.0
ALLOWED = {"enhance": 100, "test": 100, "api": 600}
BY_ADDRESS = frozenset({"test", "api"})
"""What `QUICK` says of the limits; the stand-in's own counts follow the same keys."""

ON_ITS_WAY_S = 0.5
"""How much later than its permit's end a request may arrive."""

Entries = list[dict[str, Any]]


def peaks(ledger: Entries) -> dict[tuple[str, str], int]:
    """The most requests in any window of each limit: of an address where the limit is by address, else of all."""
    counted: dict[tuple[str, str], Entries] = defaultdict(list)
    for entry in ledger:
        for name in entry["limits"]:
            counted[name, entry["client"] if name in BY_ADDRESS else "all"].append(entry)
    return {key: busiest(entries, WINDOW_S) for key, entries in counted.items()}


def over_ceiling(ledger: Entries) -> dict[tuple[str, str], int]:
    """The peaks that are not strictly below 10 % of what their limit allows."""
    return {key: peak for key, peak in peaks(ledger).items() if peak * 10 >= ALLOWED[key[0]]}


@dataclass(frozen=True, slots=True)
class Granted:
    """A permit as it passed on its way to a worker: for which tick, when (CLOCK_MONOTONIC), and for how long."""

    tick: str
    permit: str
    t: float
    deadline_s: float

    @property
    def check(self) -> str:
        """The check of its tick."""
        return self.tick.split("/")[1]


def granted_twice(permits: list[Granted]) -> dict[str, int]:
    """Ticks for which there was more than one permit, and how many."""
    count = Counter(tick for tick, _ in {(each.tick, each.permit) for each in permits})
    return {tick: number for tick, number in count.items() if number > 1}


def without_permit(arrivals: list[float], permits: list[Granted]) -> list[float]:
    """The arrivals of what a check sends once each time, for which there is no permit left: it ran once too often."""
    first: dict[str, Granted] = {}
    for each in sorted(permits, key=lambda permit: permit.t):
        first.setdefault(each.permit, each)
    unused, left_over = list(first.values()), []
    for arrival in sorted(arrivals):
        unused = [each for each in unused if arrival <= each.t + each.deadline_s + ON_ITS_WAY_S]
        if unused and unused[0].t <= arrival:
            unused.pop(0)
        else:
            left_over.append(arrival)
    return left_over
