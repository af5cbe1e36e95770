"""Real outages, each begun at a random moment of a noisy world: whether people hear of them, and when."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from probes.config.alert_rules import Rule
from tests.bench.alerts.noise import DAY_S, Noise, Spell, seeded, spells
from tests.bench.alerts.ours import incidents_between
from tests.bench.alerts.peers import PEERS
from tests.bench.alerts.timeline import Fleet, simulate

LASTS_S = 2400.0
BEFORE_S, AFTER_S = 4200.0, 7800.0
"""So much is looked at before an outage begins and after it has ended: one of the longest windows, and two."""
SERVICES = ("health", "enhancement", "api")
OURS = "smokeprobe"


@dataclass(frozen=True, slots=True)
class Outage:
    """One of a kind, at a moment."""

    kind: str
    begins: float
    ends: float
    spells: tuple[Spell, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """How an outage was heard of: by each who looks, the seconds until people were told first; infinite where never.

    `resolved` is how often our own incident was told as over.
    """

    kind: str
    after_s: Mapping[str, float]
    resolved: int


def total(begins: float, _fleet: Fleet, _rng: random.Random) -> Iterator[Spell]:
    """Every request is refused, everywhere."""
    yield Spell("outage", begins, begins + LASTS_S, refused=1.0)


def silent(begins: float, _fleet: Fleet, _rng: random.Random) -> Iterator[Spell]:
    """No request is answered, everywhere."""
    yield Spell("outage", begins, begins + LASTS_S, silent=1.0)


def one_region(begins: float, fleet: Fleet, rng: random.Random) -> Iterator[Spell]:
    """The target cannot be reached from one region, while our network there is well."""
    yield Spell("outage", begins, begins + LASTS_S, frozenset({rng.choice(fleet.regions)}), silent=1.0)


def one_service(begins: float, _fleet: Fleet, rng: random.Random) -> Iterator[Spell]:
    """One HTTP check alone fails, everywhere."""
    yield Spell("outage", begins, begins + LASTS_S, checks=frozenset({rng.choice(SERVICES)}), refused=1.0)


def slow_burn(begins: float, _fleet: Fleet, _rng: random.Random) -> Iterator[Spell]:
    """The share of requests that is refused grows from nothing to all of them within ten minutes."""
    for minute in range(10):
        yield Spell("outage", begins + 60 * minute, begins + 60 * (minute + 1), refused=(minute + 0.5) / 10)
    yield Spell("outage", begins + 600, begins + LASTS_S, refused=1.0)


def flapping(begins: float, _fleet: Fleet, _rng: random.Random) -> Iterator[Spell]:
    """Two minutes down, three minutes up, again and again."""
    for turn in range(int(LASTS_S / 300)):
        yield Spell("outage", begins + 300 * turn, begins + 300 * turn + 120, refused=1.0)


def pages(begins: float, _fleet: Fleet, _rng: random.Random) -> Iterator[Spell]:
    """Home page and log-in, which are looked at every half hour, fail everywhere."""
    yield Spell("outage", begins, begins + 3 * LASTS_S, checks=frozenset({"homepage", "login"}), refused=1.0)


KINDS: Mapping[str, Callable[[float, Fleet, random.Random], Iterator[Spell]]] = {
    "total, refused": total,
    "total, no answer": silent,
    "one service": one_service,
    "slow burn": slow_burn,
    "flapping": flapping,
    "pages alone": pages,
    "one region": one_region,
}
GRACE_S: Mapping[str, float] = {"slow burn": 300.0}
"""After so long it can be called an outage: where half of all requests are refused. Times are counted from there."""


def outage_seen(rules: Mapping[str, Rule], fleet: Fleet, noise: Noise, kind: str, seed: int) -> Seen:
    """One outage, in a world of its own. Without deploys and trouble, lest what is told of them be taken for it."""
    rng = seeded(f"{kind} {seed}")
    begins = rng.uniform(DAY_S, 2 * DAY_S)
    injected = tuple(KINDS[kind](begins, fleet, rng))
    ends = max(spell.ends for spell in injected)
    start, end = begins - BEFORE_S, ends + AFTER_S
    calmer = replace(noise, deploys_a_week=0.0, trouble_a_month=0.0)
    befell = spells(calmer, fleet.regions, start, end, rng)
    timeline = simulate(fleet, noise, [*befell, *injected], (start, end), rng)
    found = [incident for incident in incidents_between(rules, timeline, start, end) if incident.begins >= begins]
    after_s = {OURS: min((incident.begins - begins for incident in found if incident.begins <= ends), default=math.inf)}
    for name, peer in PEERS.items():
        told = (each.begins - begins for each in peer(timeline) if begins <= each.begins <= ends)
        after_s[name] = min(told, default=math.inf)
    ours = [incident for incident in found if incident.begins <= ends]
    return Seen(kind, after_s, len(ours[0].resolved) if ours else 0)
