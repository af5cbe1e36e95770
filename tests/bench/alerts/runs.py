"""How many runs pass: a run is one pass of all checks of a region, each with its retries, every half hour."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace

from probes.model import Outcome, worst
from tests.bench.alerts.looks import Look
from tests.bench.alerts.noise import YEAR_S, Noise, Spell, seeded, spells
from tests.bench.alerts.timeline import Fleet, Grid, simulate

EVERY_S = 1800.0
APART_S = 0.3
"""HTTP checks of a process go one after another."""
NOT_WELL = frozenset({"deploy", "trouble", "own network"})
"""While one of these lasts the target is not there, or not for all that a region can tell."""


@dataclass(slots=True)
class Runs:
    """How many runs there were, and of those that have not passed what they came to and what was the matter."""

    runs: int = 0
    during: int = 0
    """So many of them while the target was not there, or could not be reached."""
    not_passed: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def bad(self) -> int:
        """Those that have not passed, whatever was the matter."""
        return sum(self.not_passed.values())

    @property
    def bad_while_well(self) -> int:
        """Those of them in which the target was there all the time."""
        return sum(count for (_, cause), count in self.not_passed.items() if cause not in NOT_WELL)

    def add(self, other: Runs) -> None:
        """Take in those of another span."""
        self.runs += other.runs
        self.during += other.during
        self.not_passed += other.not_passed


def runs_of_a_year(fleet: Fleet, noise: Noise, seed: int) -> Runs:
    """A year of scheduled runs in all regions."""
    rng = seeded(seed)
    befell = list(spells(noise, fleet.regions, 0.0, YEAR_S, rng))
    grids = []
    for region in fleet.regions:
        phase_s = rng.uniform(0.0, EVERY_S)
        for place, shape in enumerate(fleet.shapes):
            grids.append(Grid(region, replace(shape, every_s=EVERY_S, confirmable=False), phase_s + place * APART_S))
    timeline = simulate(fleet, noise, befell, (0.0, YEAR_S), rng, grids)
    by_run: dict[tuple[str, int], list[Look]] = defaultdict(list)
    for look in timeline.notable.values():
        by_run[look.region, look.number].append(look)
    found = Runs(timeline.passes // len(fleet.shapes))
    not_well = sorted((spell for spell in befell if spell.kind in NOT_WELL), key=lambda spell: spell.begins)
    found.during = sum(_runs_in(spell, grids, len(fleet.shapes)) for spell in not_well)
    for looks in by_run.values():
        outcome = worst([look.outcome for look in looks])
        if outcome is not Outcome.PASSED:
            found.not_passed[outcome, _matter(looks, befell)] += 1
    return found


def _runs_in(spell: Spell, grids: list[Grid], checks: int) -> int:
    """How many runs begin within a spell, over all regions that it concerns."""
    return sum(
        grid.first(spell.ends) - grid.first(spell.begins)
        for grid in grids[::checks]
        if spell.concerns(grid.region, grid.shape.check)
    )


def _matter(looks: list[Look], befell: list[Spell]) -> str:
    """The worst that befell a run: what is not well first, then other spells; `chance` where there was none."""
    begun, ended = min(look.begun for look in looks), max(look.ended for look in looks)
    region = looks[0].region
    kinds = {
        spell.kind
        for spell in befell
        if spell.begins < ended and begun < spell.ends and spell.concerns(region, looks[0].check)
    }
    return next((kind for kind in ("deploy", "own network", "trouble", "stall", "lossy") if kind in kinds), "chance")
