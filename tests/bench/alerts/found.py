"""All that was found out, and whether it reaches the goals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from probes.alerts.arithmetic import LOOK_S
from probes.baseline.bounds import share_at_most
from tests.bench.alerts.bounds import percentile, rate_at_most
from tests.bench.alerts.noise import seeded
from tests.bench.alerts.outages import GRACE_S, OURS, Seen
from tests.bench.alerts.passed import Passed
from tests.bench.alerts.runs import Runs
from tests.bench.alerts.years import Years

NOT_PASSED_AT_MOST = 0.001
FALSE_A_YEAR_UNDER = 1.0
MEDIAN_AT_MOST_S, P95_AT_MOST_S = 90.0, 180.0
JUDGED_KINDS = ("total, refused", "total, no answer", "one service", "slow burn", "flapping")
"""Those that HTTP checks see every minute, in a quorum of regions: the goal for the time is about them."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The real passes, or why there are none."""

    passes: Passed | None = None
    processes: Passed | None = None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Times:
    """Of outages of a kind, by one who looks: how many were seen, and how many seconds that took."""

    outages: int
    seen: int
    median_s: float
    p95_s: float


@dataclass(frozen=True, slots=True)
class Found:
    """Everything. `handing_over_s` is what a channel took for a notice."""

    machine: str
    runs: Runs
    years: Years
    outages: Mapping[str, Sequence[Seen]]
    real: Measured
    handing_over_s: Sequence[float]

    def times(self, kind: str, who: str) -> Times:
        """Until a notice was accepted. A master looks every few seconds, and at a random moment of these."""
        rng = seeded(kind)
        after = []
        for outage in self.outages[kind]:
            told_s = max(0.0, outage.after_s[who] - GRACE_S.get(kind, 0.0))
            after.append(told_s + rng.uniform(0.0, LOOK_S) + rng.choice(self.handing_over_s))
        seen = sum(map(math.isfinite, after))
        return Times(len(after), seen, percentile(after, 50), percentile(after, 95))

    @property
    def all_times(self) -> Times:
        """Ours, of all kinds that the goal is about, together."""
        each = [self.times(kind, OURS) for kind in JUDGED_KINDS]
        rng = seeded(0)
        after = [
            max(0.0, outage.after_s[OURS] - GRACE_S.get(kind, 0.0))
            + rng.uniform(0.0, LOOK_S)
            + rng.choice(self.handing_over_s)
            for kind in JUDGED_KINDS
            for outage in self.outages[kind]
        ]
        return Times(len(after), sum(times.seen for times in each), percentile(after, 50), percentile(after, 95))

    def false_a_year(self, who: str) -> tuple[float, float]:
        """False alerts a year of three regions, and at most how many there can be."""
        told = self.years.told[who]
        return told / self.years.years, rate_at_most(told, self.years.years)

    @property
    def goals(self) -> Mapping[str, bool]:
        """Each goal, and whether it is reached; those of the real passes where there are some."""
        runs, times = self.runs, self.all_times
        reached = {
            "runs": share_at_most(runs.bad_while_well, runs.runs - runs.during) <= NOT_PASSED_AT_MOST,
            "false alerts": self.false_a_year(OURS)[1] < FALSE_A_YEAR_UNDER,
            "seen": all(self.times(kind, OURS).seen == len(self.outages[kind]) for kind in JUDGED_KINDS),
            "time": times.median_s <= MEDIAN_AT_MOST_S and times.p95_s <= P95_AT_MOST_S,
        }
        if self.real.passes is not None:
            reached["real passes"] = self.real.passes.bad / self.real.passes.passes <= NOT_PASSED_AT_MOST
        return reached

    @property
    def holds(self) -> bool:
        """Whether every goal is reached."""
        return all(self.goals.values())
