"""All passes of a fleet over a span of time: of each check in each region at its interval, and the further looks.

Only what is notable is kept: most passes are good at once, and are made up again where somebody wants to see them.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from probes.checks.registry import check_classes, checks_of
from probes.config.models import Settings
from probes.model import Outcome
from probes.swarm.confirm import Confirmations, Judged
from probes.swarm.schedule import Failure, Schedule
from tests.bench.alerts.looks import Look, Looking, Shape, shape_of
from tests.bench.alerts.noise import Noise, Spell
from tests.bench.alerts.weather import Weather, hour_of

HOUR_S = 3600.0
LONGEST_GRID_S = 1800.0
"""Machines' boot clocks differ by any part of the longest interval."""
GRANT_S = 0.2
"""From a verdict to the further look that it asks for: two messages between master and worker."""
USUAL_S = 0.03
"""What a good request takes, on its way too."""

Key = tuple[str, str, int]
"""Region, check and number of a pass."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Who looks: `masters` has the regions of each, `shapes` the checks."""

    regions: tuple[str, ...]
    masters: tuple[tuple[str, ...], ...]
    shapes: tuple[Shape, ...]


def fleet_of(settings: Settings) -> Fleet:
    """As a configuration plans it, one master for each region where it names none."""
    checks = checks_of(settings, check_classes())
    shapes = tuple(shape_of(name, check, settings) for name, check in checks.items())
    masters = tuple(master.regions for master in settings.masters.values())
    return Fleet(settings.regions, masters or tuple((region,) for region in settings.regions), shapes)


@dataclass(frozen=True, slots=True)
class Grid:
    """When the passes of a check in a region begin."""

    region: str
    shape: Shape
    phase_s: float

    def begins(self, number: int) -> float:
        """In seconds since the beginning of the world."""
        return self.phase_s + number * self.shape.every_s

    def first(self, moment: float) -> int:
        """The number of the first pass at a moment or later."""
        return math.ceil((moment - self.phase_s) / self.shape.every_s)

    def good(self, number: int) -> Look:
        """A pass of which every request is good at once."""
        begun = self.begins(number)
        ended = begun + USUAL_S * self.shape.requests
        return Look(
            self.region, self.shape.check, number, begun, ended, Outcome.PASSED, first_failed=False, tries=1,
            judged_s=USUAL_S,
        )  # fmt: skip


@dataclass(slots=True)
class Timeline:
    """What a fleet has seen: planned passes that were not good at once, and the further looks at failures."""

    begins: float
    ends: float
    grids: tuple[Grid, ...]
    notable: dict[Key, Look] = field(default_factory=dict)
    further: list[Look] = field(default_factory=list)

    @property
    def passes(self) -> int:
        """How many planned passes of checks there were."""
        return sum(grid.first(self.ends) - grid.first(self.begins) for grid in self.grids)

    @property
    def contradicted(self) -> int:
        """How many failures were not there any more at a further look."""
        return sum(look.outcome in {Outcome.PASSED, Outcome.DEGRADED} for look in self.further)

    def between(self, begins: float, ends: float) -> list[Look]:
        """Everything that begins within a span, in the order in which it ends."""
        begins, ends = max(begins, self.begins), min(ends, self.ends)
        found = [
            self.notable.get((grid.region, grid.shape.check, number)) or grid.good(number)
            for grid in self.grids
            for number in range(grid.first(begins), grid.first(ends))
        ]
        first, last = (bisect_left(self.further, moment, key=lambda look: look.begun) for moment in (begins, ends))
        return sorted([*found, *self.further[first:last]], key=lambda look: look.ended)


def grids_of(fleet: Fleet, rng: random.Random) -> tuple[Grid, ...]:
    """As a master's schedule lays them; each region's machine has a boot clock of its own."""
    every = {shape.check: shape.every_s for shape in fleet.shapes}
    grids = []
    for region in fleet.regions:
        schedule, booted = Schedule(), rng.uniform(0.0, LONGEST_GRID_S)
        schedule.add_region(region, every, 0.0)
        starts = {occasion.check: occasion.number / 1000.0 for occasion in schedule.due(2 * LONGEST_GRID_S)}
        grids += [Grid(region, shape, (booted + starts[shape.check]) % shape.every_s) for shape in fleet.shapes]
    return tuple(grids)


def simulate(
    fleet: Fleet, noise: Noise, spells: Collection[Spell], span: tuple[float, float], rng: random.Random,
    grids: Sequence[Grid] = (),
) -> Timeline:  # fmt: skip
    """Look from the beginning of a span to its end, in seconds since some midnight."""
    begins, ends = span
    timeline = Timeline(begins, ends, tuple(grids) or grids_of(fleet, rng))
    lookings = {}
    for grid in timeline.grids:
        weather = Weather(noise, spells, grid.region, grid.shape.check)
        looking = Looking(grid.region, grid.shape, weather, rng)
        lookings[grid.region, grid.shape.check] = looking
        for look in _notable(grid, looking, begins, ends, rng):
            timeline.notable[look.region, look.check, look.number] = look
    _look_again(fleet, timeline, lookings)
    return timeline


def _notable(grid: Grid, looking: Looking, begins: float, ends: float, rng: random.Random) -> Iterator[Look]:
    in_spells = _in_spells(grid, looking.weather.spells, begins, ends)
    for number in sorted(in_spells):
        yield looking.look(number, grid.begins(number))
    for number in _unusual(grid, looking, begins, ends, rng):
        if number not in in_spells:
            yield looking.unusual_look(number, grid.begins(number))


def _in_spells(grid: Grid, spells: Collection[Spell], begins: float, ends: float) -> set[int]:
    """The passes that a spell may touch: each request of them is drawn."""
    found: set[int] = set()
    for spell in spells:
        first = grid.first(max(begins, spell.begins - grid.shape.timeout_s))
        found.update(range(first, grid.first(min(ends, spell.ends))))
    return found


def _unusual(grid: Grid, looking: Looking, begins: float, ends: float, rng: random.Random) -> Iterator[int]:
    """Of those that no spell touches, the ones of which not all is good at once: leaps from each to the next."""
    begun = begins
    while begun < ends:
        ended = min(ends, (math.floor(begun / HOUR_S) + 1) * HOUR_S)
        share = looking.unusual[hour_of(begun)]
        number, last = grid.first(begun), grid.first(ended)
        while share > 0:
            number += math.floor(math.log(1.0 - rng.random()) / math.log1p(-share))
            if number >= last:
                break
            yield number
            number += 1
        begun = ended


def _look_again(fleet: Fleet, timeline: Timeline, lookings: Mapping[tuple[str, str], Looking]) -> None:
    """Have the masters look at failures again, in the order in which they hear of them."""
    able = {shape.check for shape in fleet.shapes if shape.confirmable}
    masters = {region: (regions, Confirmations()) for regions in fleet.masters for region in regions[:1]}
    of_region = {region: masters[regions[0]] for regions in fleet.masters for region in regions}
    count = itertools.count()
    heard: list[tuple[float, int, Look, Failure | None]] = [
        (look.ended, next(count), look, None) for look in _worth_hearing(timeline)
    ]
    heapq.heapify(heard)
    while heard:
        now, _, look, confirms = heapq.heappop(heard)
        regions, confirmations = of_region[look.region]
        judged = Judged(look.id, look.region, look.check, look.outcome, confirms)
        following = confirmations.following(judged, dict.fromkeys(regions, able), now)
        if following is not None and following.confirms is not None:
            looking = lookings[following.region, following.check]
            again = replace(looking.look(following.number, now + GRANT_S, once=True), confirms=following.confirms.id)
            timeline.further.append(again)
            heapq.heappush(heard, (again.ended, next(count), again, following.confirms))
    timeline.further.sort(key=lambda look: look.begun)


def _worth_hearing(timeline: Timeline) -> Iterator[Look]:
    """Failures, and of each check what comes after one."""
    grids = {(grid.region, grid.shape.check): grid for grid in timeline.grids}
    for (region, check, number), look in timeline.notable.items():
        if look.outcome is Outcome.FAILED:
            yield look
            following = timeline.notable.get((region, check, number + 1))
            if following is None or following.outcome is not Outcome.FAILED:
                yield following or grids[region, check].good(number + 1)
