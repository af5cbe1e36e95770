"""One pass of a check, request by request: its tries, its back-off, its time-out, and what they come to."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from probes.checks.registry import AnyCheck
from probes.config.models import Backoff, Settings
from probes.model import Outcome, worst
from tests.bench.alerts.noise import HOURS
from tests.bench.alerts.weather import Answered, Met, Weather, hour_of

PAGE_REQUESTS = 20
"""A page and its parts; of a log-in through the pages there are three."""


@dataclass(frozen=True, slots=True)
class Part:
    """So many requests that are tried together, until all of them are answered as they should, or in vain."""

    requests: int
    tries: int


@dataclass(frozen=True, slots=True)
class Shape:
    """A check, as far as its retries go. `limit_s` is 0 where no time is judged; `goes_on` after a part has failed."""

    check: str
    parts: tuple[Part, ...]
    timeout_s: float
    every_s: float
    limit_s: float
    goes_on: bool
    backoff: Backoff
    confirmable: bool

    @property
    def requests(self) -> int:
        """So many where all is well."""
        return sum(part.requests for part in self.parts)

    def once(self) -> Shape:
        """The same, each part tried once: a further look."""
        return replace(self, parts=tuple(Part(part.requests, 1) for part in self.parts))


@dataclass(frozen=True, slots=True)
class Look:
    """What a pass came to. `first_failed`: a probe that tries nothing again would have called it a failure."""

    region: str
    check: str
    number: int
    begun: float
    ended: float
    outcome: Outcome
    first_failed: bool
    tries: int
    judged_s: float
    confirms: str = ""

    @property
    def id(self) -> str:
        """Names it; of a further look, which `confirms` a failure, otherwise than any planned one."""
        return f"{self.region}/{self.check}/{self.number}{'/again' if self.confirms else ''}"


def shape_of(name: str, check: AnyCheck, settings: Settings) -> Shape:
    """Parts of the checks that the project ships, as their code has them. Raises KeyError for any other."""
    options, tries, kind = check.options, check.tries, check.kind
    again = settings.run.attempts
    parts: Mapping[str, tuple[Part, ...]] = {
        "health": tuple(Part(1, tries) for _ in getattr(options, "endpoints", ())),
        "api": (Part(1, tries),) * 2,
        "enhancement": (Part(1, tries),),
        "homepage": (Part(PAGE_REQUESTS, tries),),
        # log-in; what a session looks at; log-out and its proof; the same through three pages
        "login": (Part(1, tries), *[Part(1, max(tries, again))] * 3, *[Part(1, 3)] * 2, Part(3 * PAGE_REQUESTS, 3)),
    }
    limit_s = {
        "health": lambda: min(spec.within for spec in options.endpoints.values()),
        "api": lambda: options.request.within,
    }.get(kind, lambda: 0.0)()
    return Shape(
        name, parts[kind], options.timeout, settings.every(options), limit_s or 0.0, kind == "health",
        settings.run.backoff, check.confirmable,
    )  # fmt: skip


class Looking:
    """Passes of one check in one region."""

    def __init__(self, region: str, shape: Shape, weather: Weather, rng: random.Random) -> None:
        self.region, self.shape, self.weather, self._rng = region, shape, weather, rng
        self._kinds = [weather.unusual(shape.limit_s, hour) for hour in range(HOURS)]
        self.unusual = [1.0 - (1.0 - sum(kinds)) ** shape.requests for kinds in self._kinds]
        """For each hour of the day, the probability that of a pass outside all spells not all requests are good."""

    def look(self, number: int, begun: float, *, once: bool = False) -> Look:
        """A pass, whatever comes."""
        return self._pass(number, begun, iter(()), self.shape.once() if once else self.shape)

    def unusual_look(self, number: int, begun: float) -> Look:
        """A pass outside all spells of which not all requests are good at their first try."""
        share = sum(self._kinds[hour_of(begun)])
        whole = 1.0 - (1.0 - share) ** self.shape.requests
        first_bad = math.floor(math.log1p(-self._rng.random() * whole) / math.log1p(-share)) if share < 1 else 0
        return self._pass(number, begun, self._known(begun, min(first_bad, self.shape.requests - 1)), self.shape)

    def _known(self, begun: float, good: int) -> Iterator[Met]:
        yield from [Met.GOOD] * good
        yield self._rng.choices((Met.REFUSED, Met.SILENT, Met.SLOW), self._kinds[hour_of(begun)])[0]

    def _pass(self, number: int, begun: float, known: Iterator[Met], shape: Shape) -> Look:
        now, ends = begun, begun + shape.timeout_s
        outcomes: list[Outcome] = []
        first_failed, most, judged_s, own = False, 1, 0.0, False
        for part in shape.parts:
            tried: list[tuple[Outcome, bool]] = []  # what a try came to, and whether it ran out of time
            while len(tried) < part.tries and now < ends:
                if tried:
                    now += self._pause_s(len(tried), ends - now, shape.backoff)
                outcome, answered, now = self._try(part, now, ends, known)
                tried.append((outcome, answered.met is Met.SILENT))
                own, judged_s = own or answered.own, answered.judged_s
                first_failed = first_failed or (len(tried) == 1 and outcome is Outcome.FAILED)
                if outcome is Outcome.PASSED:
                    break
            most = max(most, len(tried))
            outcomes.append(_of(tried))
            if outcomes[-1] is Outcome.FAILED and not shape.goes_on:
                break
        outcome = worst(outcomes)
        if own and outcome is Outcome.FAILED:
            outcome = Outcome.ERROR  # the control addresses answer as little
        return Look(self.region, shape.check, number, begun, now, outcome, first_failed, most, judged_s)

    def _try(self, part: Part, now: float, ends: float, known: Iterator[Met]) -> tuple[Outcome, Answered, float]:
        outcome = Outcome.PASSED
        answered = Answered(Met.GOOD, 0.0)
        for _ in range(part.requests):
            met = next(known, None)
            left_s = max(0.0, ends - now)
            if met is None:
                answered = self.weather.request(now, self.shape.limit_s, left_s, self._rng)
            else:
                answered = self.weather.of_kind(met, self.shape.limit_s, left_s)
            now += answered.took_s
            if answered.met in {Met.REFUSED, Met.SILENT}:
                return Outcome.FAILED, answered, now
            if answered.met is Met.SLOW:
                outcome = Outcome.DEGRADED
        return outcome, answered, now

    def _pause_s(self, tries: int, left_s: float, backoff: Backoff) -> float:
        """As `Probe.pause_s` has it of tenacity."""
        wait_s: float = backoff.first * 2.0 ** (tries - 1) + self._rng.uniform(0.0, backoff.first / 2)
        return max(0.0, min(wait_s, backoff.longest, left_s / 2))


def _of(tried: list[tuple[Outcome, bool]]) -> Outcome:
    """A further try that ran out of time does not undo what an earlier one has seen."""
    in_time = [outcome for outcome, ran_out in tried if not ran_out]
    return (in_time or [outcome for outcome, _ in tried] or [Outcome.FAILED])[-1]
