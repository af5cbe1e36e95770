"""The world: what befalls requests to a target that is well, and the spells in which it is worse.

Every figure is an assumption, chosen on the harsh side, with its reason. They are kept apart from what they come to,
so that whoever knows better changes them here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass

DAY_S = 86400.0
YEAR_S = 365.0 * DAY_S
HOURS = 24


@dataclass(frozen=True, slots=True)
class Noise:
    """How bad a healthy world is. Shares are of requests unless said otherwise; spells come at random times."""

    refused: float = 2e-4
    """Refused, reset, or a 5xx: twice what a load balancer with a service level of 99.99 % may do."""
    silent: float = 1e-6
    """Never answered, TCP's retransmissions and all: a middlebox that forgot the connection, a server process that was
    killed. One in a million; and final, as a try may take all of a check's time."""
    packet_loss: float = 1e-3
    """Of packets, on a path between cloud regions that is well. Two are waited for until the first byte comes."""
    resend_s: float = 0.2
    """What a lost packet costs: Linux's least retransmission time-out (TCP_RTO_MIN); RFC 6298 would have 1 s."""
    server_s: float = 0.020
    server_sigma: float = 0.5
    """Time to answer, log-normal, its median and spread at night; at the peak one in 100 takes 100 ms, health's
    limit."""
    peak: float = 0.6
    """How much longer that takes at the day's peak, 15:00: a cosine over the day."""
    deploys_a_week: float = 10.0
    deploy_s: float = 20.0
    deploys_apart_s: float = 900.0
    """Two a weekday, each built and tested first. For 20 s every request is refused, everywhere: a restart, without
    draining or a second instance."""
    stalls_a_day: float = 6.0
    stall_s: tuple[float, float] = (0.5, 3.0)
    """Collecting garbage, a failover: everything that is asked meanwhile is answered at its end."""
    lossy_a_day: float = 2.0
    lossy_s: tuple[float, float] = (120.0, 600.0)
    lossy_packet_loss: float = 0.02
    lossy_refused: float = 0.005
    """Spells in which a region's path is congested."""
    trouble_a_month: float = 2.0
    trouble_s: tuple[float, float] = (300.0, 1800.0)
    trouble_share: tuple[float, float] = (0.3, 1.0)
    """Trouble of one region's network: so many requests get no answer, half of those quickly, half never."""
    own_part: float = 1 / 3
    """Of such troubles so many are our own network's: nobody at all is reached, which the control addresses tell."""

    def median_s(self, hour: int) -> float:
        """The server's own time in the middle, at an hour of the day (UTC)."""
        return self.server_s * (1.0 + self.peak * (1.0 + math.cos((hour + 0.5 - 15) * math.tau / HOURS)) / 2)

    def slower_than(self, limit_s: float, hour: int) -> float:
        """The share of answers that the server alone takes longer for, at an hour of the day."""
        above = math.log(limit_s / self.median_s(hour)) / self.server_sigma
        return math.erfc(above / math.sqrt(2.0)) / 2.0


QUIET = Noise(
    refused=0.0, silent=0.0, packet_loss=0.0, server_sigma=1e-6, deploys_a_week=0.0, stalls_a_day=0.0, lossy_a_day=0.0,
    trouble_a_month=0.0,
)  # fmt: skip
"""Nothing ever happens."""


@dataclass(frozen=True, slots=True)
class Spell:
    """A while in which requests of some regions and checks (of all, where none is named) fare worse."""

    kind: str
    begins: float
    ends: float
    regions: frozenset[str] = frozenset()
    checks: frozenset[str] = frozenset()
    refused: float = 0.0
    silent: float = 0.0
    packet_loss: float = 0.0
    stalls: bool = False
    own: bool = False

    def concerns(self, region: str, check: str) -> bool:
        """Whether it is about them."""
        return (not self.regions or region in self.regions) and (not self.checks or check in self.checks)


def seeded(seed: int | str) -> random.Random:
    """Chance that comes the same each time."""
    return random.Random(seed)  # noqa: S311 - no secret


def spells(noise: Noise, regions: Collection[str], begins: float, ends: float, rng: random.Random) -> Iterator[Spell]:
    """Those of the noise, in no order."""
    for at in _moments(noise.deploys_a_week / (7 * DAY_S), begins, ends, rng, noise.deploys_apart_s):
        yield Spell("deploy", at, at + noise.deploy_s, refused=1.0)
    for at in _moments(noise.stalls_a_day / DAY_S, begins, ends, rng):
        yield Spell("stall", at, at + rng.uniform(*noise.stall_s), stalls=True)
    for region in regions:
        here = frozenset({region})
        for at in _moments(noise.lossy_a_day / DAY_S, begins, ends, rng):
            until = at + rng.uniform(*noise.lossy_s)
            yield Spell("lossy", at, until, here, refused=noise.lossy_refused, packet_loss=noise.lossy_packet_loss)
        for at in _moments(noise.trouble_a_month * 12 / YEAR_S, begins, ends, rng):
            until = at + rng.uniform(*noise.trouble_s)
            if rng.random() < noise.own_part:
                yield Spell("own network", at, until, here, silent=1.0, own=True)
            else:
                half = rng.uniform(*noise.trouble_share) / 2
                yield Spell("trouble", at, until, here, refused=half, silent=half)


def _moments(rate: float, begins: float, ends: float, rng: random.Random, apart_s: float = 0.0) -> Iterator[float]:
    """Of a Poisson process; with `apart_s` never two nearer than that, and as many all the same."""
    if not rate:
        return
    at = begins + rng.expovariate(rate)
    while at < ends:
        yield at
        at += apart_s + rng.expovariate(rate / (1.0 - rate * apart_s))
