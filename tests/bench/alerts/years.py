"""Years of a target that is well, with all that befalls it: who is told how often, of nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from probes.config.alert_rules import Rule
from tests.bench.alerts.noise import YEAR_S, Noise, Spell, seeded, spells
from tests.bench.alerts.ours import Incident, incidents
from tests.bench.alerts.outages import OURS
from tests.bench.alerts.peers import PEERS
from tests.bench.alerts.timeline import Fleet, simulate

LATE_S = 600.0
"""So long after a spell an alert may still be of it."""


@dataclass(slots=True)
class Years:
    """So many years of a fleet: passes of checks, and false alerts by who tells; of ours, by rule and what befell."""

    years: float = 0.0
    passes: int = 0
    failed: int = 0
    contradicted: int = 0
    told: Counter[str] = field(default_factory=Counter)
    causes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, other: Years) -> None:
        """Take in others."""
        self.years += other.years
        self.passes += other.passes
        self.failed += other.failed
        self.contradicted += other.contradicted
        self.told.update(other.told)
        self.causes.update(other.causes)


def watched(rules: Mapping[str, Rule], fleet: Fleet, noise: Noise, years: float, seed: int) -> Years:
    """A part of it."""
    rng = seeded(seed)
    befell = list(spells(noise, fleet.regions, 0.0, years * YEAR_S, rng))
    timeline = simulate(fleet, noise, befell, (0.0, years * YEAR_S), rng)
    found = Years(years, timeline.passes, contradicted=timeline.contradicted)
    found.failed = sum(look.outcome == "failed" for look in timeline.notable.values())
    alerts = incidents(rules, timeline)
    found.told[OURS] = len(alerts)
    for incident in alerts:
        found.causes[", ".join(incident.rules), _cause(incident, befell)] += 1
    for name, peer in PEERS.items():
        found.told[name] = len(peer(timeline))
    return found


def _cause(incident: Incident, befell: list[Spell]) -> str:
    kinds = sorted(
        {spell.kind for spell in befell if spell.begins <= incident.begins <= spell.ends + LATE_S} - {"stall", "lossy"}
    )
    return " and ".join(kinds) or "chance"
