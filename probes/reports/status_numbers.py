"""The numbers of a status page, from sums of the history: no input, no output, no clock of its own.

An hour or a day without anything is no data, and never counts as well or as ill. Windows are of whole hours: the one
that runs, and as many before it as the window has.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from probes.store.status import Cell, Failure, HourSums, SeenVersion, TimeCount
from probes.store.sums import class_ms

WINDOWS: Mapping[str, int] = {"24 h": 24, "7 days": 7 * 24, "30 days": 30 * 24, "90 days": 90 * 24}
"""Each window's hours."""

DAYS = 90


@dataclass(frozen=True, slots=True)
class Sums:
    """Counts of verdicts, and of occasions without one."""

    passed: int = 0
    degraded: int = 0
    failed: int = 0
    blind: int = 0
    silent: int = 0

    def __add__(self, other: HourSums) -> Sums:
        return Sums(
            self.passed + other.passed, self.degraded + other.degraded, self.failed + other.failed,
            self.blind + other.blind, self.silent + other.silent,
        )  # fmt: skip

    @property
    def judged(self) -> int:
        """Verdicts that speak of the target."""
        return self.passed + self.degraded + self.failed

    @property
    def availability(self) -> float | None:
        """Per cent of the judged verdicts that were right, be it slowly; None where nothing was judged."""
        return 100.0 * (self.passed + self.degraded) / self.judged if self.judged else None

    @property
    def state(self) -> str:
        """How a day looks: failed, degraded, passed, blind or none; one failure shows."""
        if self.failed:
            return "failed"
        if self.degraded:
            return "degraded"
        if self.passed:
            return "passed"
        return "blind" if self.blind + self.silent else "none"


def of_cells(hours: Iterable[HourSums]) -> dict[Cell, list[HourSums]]:
    """The hours of each check and region."""
    found: dict[Cell, list[HourSums]] = defaultdict(list)
    for each in hours:
        found[each.region, each.verified, each.check].append(each)
    return dict(found)


def last_hours(cells: Mapping[Cell, Iterable[HourSums]]) -> dict[Cell, int]:
    """For each check and region the last hour with a verdict; those that have none are left out."""
    spoken = {
        cell: [each.hour for each in hours if each.passed + each.degraded + each.failed + each.blind]
        for cell, hours in cells.items()
    }
    return {cell: max(hours) for cell, hours in spoken.items() if hours}


def windows(hours: Sequence[HourSums], now_hour: int) -> dict[str, Sums]:
    """The sums of each window that ends now."""
    found = dict.fromkeys(WINDOWS, Sums())
    for each in hours:
        for name, length in WINDOWS.items():
            if now_hour - length <= each.hour <= now_hour:
                found[name] += each
    return found


def days(hours: Iterable[HourSums], today: int) -> list[tuple[int, Sums]]:
    """The sums of the last days, counted from the epoch (UTC): the oldest first, today last."""
    found = {day: Sums() for day in range(today - DAYS + 1, today + 1)}
    for each in hours:
        if (day := each.hour // 24) in found:
            found[day] += each
    return list(found.items())


@dataclass(frozen=True, slots=True)
class DayTimes:
    """A day's judged times, in milliseconds; where the limit changed during it, its lowest one and its highest one."""

    day: int
    count: int
    median_ms: float
    p95_ms: float
    limit_low_ms: float | None
    limit_high_ms: float | None


def day_times(counts: Iterable[TimeCount]) -> list[DayTimes]:
    """The times of one check and region, day by day, without the days that have none."""
    of_day: dict[int, list[TimeCount]] = defaultdict(list)
    for each in counts:
        of_day[each.day].append(each)
    return [_day(day, of_day[day]) for day in sorted(of_day)]


def _day(day: int, counts: list[TimeCount]) -> DayTimes:
    sizes: Counter[int] = Counter()
    for each in counts:
        sizes[each.size] += each.count
    limits = [each.limit_ms for each in counts if each.limit_ms]
    return DayTimes(
        day, sizes.total(), percentile(sizes, 50), percentile(sizes, 95),
        min(limits, default=None), max(limits, default=None),
    )  # fmt: skip


def percentile(sizes: Mapping[int, int], percent: int) -> float:
    """By nearest rank, in milliseconds: the smallest time that so many per cent of them do not exceed."""
    rank = -(-sum(sizes.values()) * percent // 100)
    for size in sorted(sizes):
        rank -= sizes[size]
        if rank <= 0:
            return class_ms(size)
    raise ValueError("there is no percentile of nothing")


@dataclass(frozen=True, slots=True)
class Incident:
    """A check that failed in some regions, without being right in all of them in between. Times since the epoch.

    `ended` is when the last of them was right again, None where one is not; `reason` that of the first failure.
    """

    check: str
    regions: tuple[str, ...]
    began: float
    last_failed: float
    ended: float | None
    failed: int
    reason: str


def incidents(failures: Iterable[Failure]) -> list[Incident]:
    """What failures come to, the newest first: stretches of one region, which are one where they overlap."""
    stretches: dict[tuple[str, str, float | None], list[Failure]] = defaultdict(list)
    for failure in failures:
        stretches[failure.check, failure.region, failure.right_before].append(failure)
    found: dict[str, list[Incident]] = defaultdict(list)
    for stretch in sorted(map(_stretch, stretches.values()), key=lambda each: each.began):
        of_check = found[stretch.check]
        if of_check and (of_check[-1].ended is None or stretch.began <= of_check[-1].ended):
            of_check[-1] = _joined(of_check[-1], stretch)
        else:
            of_check.append(stretch)
    return sorted((each for one in found.values() for each in one), key=lambda each: -each.began)


def _stretch(failures: list[Failure]) -> Incident:
    first, last = min(failures, key=_at), max(failures, key=_at)
    return Incident(
        first.check, (first.region,), first.at, last.at, last.right_after, len(failures), first.reason
    )  # fmt: skip


def _at(failure: Failure) -> float:
    return failure.at


def _joined(first: Incident, then: Incident) -> Incident:
    ends = [each.ended for each in (first, then)]
    known = [end for end in ends if end is not None]
    return Incident(
        first.check,
        tuple(sorted({*first.regions, *then.regions})),
        first.began,
        max(first.last_failed, then.last_failed),
        max(known) if len(known) == len(ends) else None,
        first.failed + then.failed,
        first.reason,
    )


@dataclass(frozen=True, slots=True)
class Deploy:
    """The target shows a version that no check had met in the hour before that it was seen in."""

    at: float
    version: str
    before: str


def deploys(versions: Iterable[SeenVersion]) -> list[Deploy]:
    """Changes of version, the newest first; what was there at first is none. A version that comes back is one."""
    of_check: dict[str, dict[int, list[SeenVersion]]] = defaultdict(lambda: defaultdict(list))
    for each in versions:
        of_check[each.check][each.hour].append(each)
    changes = [change for hours in of_check.values() for change in _changes([hours[hour] for hour in sorted(hours)])]
    found: list[Deploy] = []
    for change in sorted(changes, key=lambda each: each.at):
        told = any(_is_same(change, each) for each in reversed(found))
        found += [] if told else [change]
    return found[::-1]


def _is_same(one: Deploy, other: Deploy) -> bool:
    same = (one.before, one.version) == (other.before, other.version)
    return same and abs(one.at - other.at) <= _SAME_DEPLOY_S


_SAME_DEPLOY_S = 7200.0
"""Two checks that see the same change within so long see one deploy."""


def _changes(hours: Sequence[list[SeenVersion]]) -> list[Deploy]:
    found = []
    before: list[SeenVersion] = []
    for seen in hours:
        known = {each.version for each in before}
        old = max(before, key=lambda each: each.first_at).version if before else ""
        found += [Deploy(each.first_at, each.version, old) for each in seen if before and each.version not in known]
        before = seen
    return found
