"""What limit a step's measured times suggest, per region and, where there are enough, per hour of the day.

Robust statistics: times on a network are skewed, so they are looked at as logarithms; the middle is their median, the
spread their median absolute deviation (times 1.4826, which makes it a standard deviation where they are normal:
Rousseeuw and Croux 1993). Neither minds an outage or a slow night, as long as those are less than half of everything.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from probes.baseline.bounds import share_at_most

FEWEST = 100
"""With fewer samples nothing is proposed."""

FEWEST_OF_AN_HOUR = 1000
"""With fewer samples in an hour of the day, that hour is not told apart."""

DEVIATIONS = 4.0
"""A limit is so many deviations above the median: of a log-normal time 0.003 % are beyond it."""

MOST_FALSE = 0.001
"""Of a healthy target's samples so many may be beyond the limit: 99.9 % of runs are to pass."""

LONGEST_TAIL = 3.0
"""So many times that limit may be needed to let all but those pass; a longer tail is not one, but slow spells."""

BUSY = 1.25
"""An hour is told apart where its own limit would be so many times that of the middle one."""

_AS_SIGMA = 1.4826
_LEAST_SPREAD = math.log(1.05)
"""Where nearly all are equal, as on a fast line, five per cent are allowed for."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A step's time in a region: `at` in seconds since the epoch, `limit_ms` what it was held against."""

    check: str
    step: str
    region: str
    at: float
    judged_ms: float
    limit_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A limit for a step in a region, in the hours `begin` to `end` (UTC; both 0: the whole day).

    `false_share` is the share of samples beyond it, and `false_bound` what that may be at most (95 %, one-sided);
    `false_now` the share beyond the limit that they were held against, None where there was none. `spells` says
    that the tail is too long to be one.
    """

    check: str
    step: str
    region: str
    samples: int
    median_ms: float
    p95_ms: float
    limit_now_ms: float | None
    limit_ms: float
    false_now: float | None
    false_share: float
    false_bound: float
    spells: bool = False
    begin: int = 0
    end: int = 0


def proposals(measured: Iterable[Measured]) -> list[Proposal]:
    """A proposal for each step and region, and after it those for its busy hours; none where samples are too few."""
    by_place: dict[tuple[str, str, str], list[Measured]] = {}
    for each in measured:
        by_place.setdefault((each.check, each.step, each.region), []).append(each)
    found: list[Proposal] = []
    for _, samples in sorted(by_place.items()):
        if len(samples) >= FEWEST:
            found += _of_place(samples)
    return found


def _proposal(samples: Sequence[Measured], begin: int = 0, end: int = 0) -> Proposal:
    newest = max(samples, key=lambda each: each.at)
    times = sorted(each.judged_ms for each in samples)
    limit_ms, spells = _limit_ms(times)
    beyond = _beyond(times, limit_ms)
    now = newest.limit_ms
    return Proposal(
        newest.check, newest.step, newest.region, len(times), statistics.median(times), _quantile(times, 0.95), now,
        limit_ms, None if now is None else _beyond(times, now) / len(times), beyond / len(times),
        share_at_most(beyond, len(times)), spells, begin, end,
    )  # fmt: skip


def _limit_ms(times: Sequence[float]) -> tuple[float, bool]:
    """The limit for sorted times, and whether their tail is too long to be taken in."""
    logs = [math.log(max(time, 0.1)) for time in times]
    middle = statistics.median(logs)
    spread = max(_LEAST_SPREAD, _AS_SIGMA * statistics.median(abs(log - middle) for log in logs))
    robust_ms = math.exp(middle + DEVIATIONS * spread)
    needed_ms = _quantile(times, 1.0 - MOST_FALSE)
    if needed_ms > LONGEST_TAIL * robust_ms:
        return rounded_up(robust_ms), True
    return rounded_up(max(robust_ms, needed_ms)), False


def _quantile(times: Sequence[float], share: float) -> float:
    """The smallest of sorted times that at most the rest of them is beyond."""
    return times[min(len(times) - 1, math.ceil(share * len(times)) - 1)]


def _beyond(times: Sequence[float], limit_ms: float) -> int:
    return sum(time > limit_ms for time in times)


def rounded_up(ms: float) -> float:
    """To two digits, as people write limits: 137.2 is 140."""
    step = 10.0 ** (math.floor(math.log10(ms)) - 1)
    return max(1.0, round(math.ceil(round(ms / step, 9)) * step, 9))


def _of_place(samples: Sequence[Measured]) -> list[Proposal]:
    """One for the quiet hours, which holds all day, and those of the busy ones."""
    by_hour: dict[int, list[Measured]] = {}
    for each in samples:
        by_hour.setdefault(int(each.at // 3600) % 24, []).append(each)
    limits = {
        hour: _limit_ms(sorted(each.judged_ms for each in of_hour))[0]
        for hour, of_hour in by_hour.items()
        if len(of_hour) >= FEWEST_OF_AN_HOUR
    }
    usual_ms = statistics.median(limits.values()) if limits else 0.0
    busy = {hour for hour, limit_ms in limits.items() if limit_ms > BUSY * usual_ms}
    quiet = [each for hour, of_hour in by_hour.items() if hour not in busy for each in of_hour]
    in_spans = [
        _proposal([each for hour in hours for each in by_hour[hour]], hours[0], (hours[-1] + 1) % 24)
        for hours in _spans(busy)
    ]
    return [_proposal(quiet), *in_spans]


def _spans(hours: set[int]) -> list[list[int]]:
    """Hours that follow each other, together; a span may go past midnight."""
    spans: list[list[int]] = []
    for hour in sorted(hours):
        if spans and spans[-1][-1] == hour - 1:
            spans[-1].append(hour)
        else:
            spans.append([hour])
    if len(spans) > 1 and spans[0][0] == 0 and spans[-1][-1] == 23:
        spans[0] = spans.pop() + spans[0]
    return spans
