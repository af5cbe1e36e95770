"""A failure is looked at again at once: in its own region, and if it is there still, in another one.

So a page rests on more than one look, and comes sooner than the next planned one. Each further look is one try on a
permit of its own, for which `smokeprobe validate` has kept room (see `probes.plan`). What lasts is not looked at again
and again: only the first failure of several in a row is. Pure: it is told what came, and says what is to be done.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass

from probes.model import Outcome
from probes.plan import CONFIRM_EVERY_S
from probes.swarm.schedule import Failure, Occasion

WITHIN_S = 20.0
"""How long a further look may wait for a worker and for room; later, the next planned one is as near."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A check's outcome in a region: `id` is that of the record, `confirms` the failure that was looked at again."""

    id: str
    region: str
    check: str
    outcome: Outcome
    confirms: Failure | None = None


class Confirmations:
    """Which further looks are due."""

    def __init__(self) -> None:
        self._failing: set[tuple[str, str]] = set()
        self._looked_at: dict[tuple[str, str], float] = {}

    def following(self, judged: Judged, regions: Mapping[str, Set[str]], now: float) -> Occasion | None:
        """The look that a verdict asks for, if any; `regions` has those whose workers can do which checks."""
        failed = judged.outcome is Outcome.FAILED
        if judged.confirms is not None:
            return self._elsewhere(judged, judged.confirms, regions, now) if failed else None
        here = judged.region, judged.check
        first = failed and here not in self._failing
        if failed:
            self._failing.add(here)
        else:
            self._failing.discard(here)
        if first and self._may_look(judged.region, judged.check, regions, now):
            return self._look(judged.region, judged.check, Failure(judged.id, judged.region), now)
        return None

    def _elsewhere(
        self, judged: Judged, failure: Failure, regions: Mapping[str, Set[str]], now: float
    ) -> Occasion | None:
        if judged.region != failure.region:
            return None  # which was the last one
        for region in regions:
            known = region == failure.region or (region, judged.check) in self._failing
            if not known and self._may_look(region, judged.check, regions, now):
                return self._look(region, judged.check, failure, now)
        return None

    def _may_look(self, region: str, check: str, regions: Mapping[str, Set[str]], now: float) -> bool:
        able = check in regions.get(region, ())
        return able and now >= self._looked_at.get((region, check), -math.inf) + CONFIRM_EVERY_S

    def _look(self, region: str, check: str, failure: Failure, now: float) -> Occasion:
        self._looked_at[region, check] = now
        return Occasion(region, check, round(1000 * now), now + WITHIN_S, failure)
