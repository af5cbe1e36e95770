"""What each rule comes to, out of what was seen within its window: in which regions it holds, and where it is over.

Windows are kept up to date sample by sample, so that a look costs no more where they are long.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from probes.alerts.notice import Affected, Trouble
from probes.alerts.seen import Seen
from probes.config.alert_rules import Rule
from probes.config.conditions import show_value
from probes.config.units import show_duration
from probes.model import Outcome

AHEAD_S = 60.0
"""So much may the clock of whoever saw something be ahead of ours. What is later than that is not believed."""


FAILURES_KEPT = 1000
"""So many failures wait for what comes of a further look, which comes within seconds."""


class Word(StrEnum):
    """What a region says of a rule."""

    HOLDS = "holds"
    RECOVERED = "recovered"
    BETWEEN = "between"  # neither holds nor has recovered
    SILENT = "silent"  # it has too few samples


@dataclass(frozen=True, slots=True)
class Finding:
    """What each region says of a rule, and the value of each that is not silent."""

    words: Mapping[str, Word]
    values: Mapping[str, float]

    def those(self, word: Word) -> tuple[str, ...]:
        """The regions that say this."""
        return tuple(region for region, said in self.words.items() if said is word)


class Window:
    """The samples of one rule in one region, those within its window."""

    def __init__(self, rule: Rule) -> None:
        self._rule, self._recovered = rule, rule.recovered
        self._samples: deque[tuple[float, float]] = deque()
        self._in_order: list[float] = []  # the values, where the statistic needs their order
        self._ordered = rule.statistic not in {"mean", "sum"}
        self._total = 0.0
        self.word, self.value = Word.SILENT, math.nan

    @property
    def oldest(self) -> float:
        """When the next one leaves it: the time of its oldest sample and the window's length."""
        return self._samples[0][0] + self._rule.window if self._samples else math.inf

    def add(self, at: float, values: Iterable[float]) -> None:
        """Take in what was measured at a time; what comes late is put in its place."""
        samples = self._samples
        for value in values:
            if samples and at < samples[-1][0]:
                insort(samples, (at, value))
            else:
                samples.append((at, value))
            self._total += value
            if self._ordered:
                insort(self._in_order, value)

    def take_back(self, at: float, values: Iterable[float]) -> None:
        """Let go of what was measured at a time, as far as it is there still."""
        for value in values:
            if (at, value) in self._samples:
                self._samples.remove((at, value))
                self._total -= value
                if self._ordered:
                    del self._in_order[bisect_left(self._in_order, value)]

    def forget(self, until: float) -> None:
        """Let go of what was measured until then."""
        samples = self._samples
        while samples and samples[0][0] <= until:
            _, value = samples.popleft()
            self._total -= value
            if self._ordered:
                del self._in_order[bisect_left(self._in_order, value)]
        if not samples:
            self._total = 0.0  # what adding and taking away has left over

    def judge(self) -> None:
        """Find the word and the value that go with what is there now."""
        rule, count = self._rule, len(self._samples)
        if count < rule.samples:
            self.word, self.value = Word.SILENT, math.nan
            return
        if self._ordered:
            self.value = rule.of(self._in_order)
        else:
            self.value = self._total / count if rule.statistic == "mean" else self._total
        if rule.condition.holds(self.value):
            self.word = Word.HOLDS
        else:
            self.word = Word.RECOVERED if self._recovered.holds(self.value) else Word.BETWEEN


@dataclass(slots=True)
class _Sight:
    """What is kept of one rule besides its windows: by check and region its newest bad occasion, and the last good."""

    rule: Rule
    windows: dict[str, Window]
    bad: dict[str, dict[str, Seen]] = field(default_factory=dict)
    good: dict[str, tuple[float, float]] = field(default_factory=dict)
    stale: bool = True
    finding: Finding = field(default_factory=lambda: Finding({}, {}))

    def hear(self, seen: Seen, values: tuple[float, ...]) -> None:
        self.windows[seen.region].add(seen.at, values)
        self.stale = True
        holds = self.rule.condition.holds
        if any(map(holds, values)) or (self.rule.statistic == "sum" and any(values)):
            self.bad.setdefault(seen.check, {})[seen.region] = seen
        elif seen.at >= self.good.get(seen.check, (-math.inf, 0.0))[0]:
            self.good[seen.check] = (seen.at, values[-1])

    def take_back(self, seen: Seen, values: tuple[float, ...]) -> None:
        self.windows[seen.region].take_back(seen.at, values)
        self.stale = True
        if self.bad.get(seen.check, {}).get(seen.region) is seen:
            del self.bad[seen.check][seen.region]

    def look(self, until: float) -> Finding:
        for window in self.windows.values():
            if window.oldest <= until + self.rule.window:
                window.forget(until)
                self.stale = True
        if self.stale:
            self.stale = False
            for window in self.windows.values():
                window.judge()
            self.finding = Finding(
                {region: window.word for region, window in self.windows.items()},
                {region: each.value for region, each in self.windows.items() if each.word is not Word.SILENT},
            )
        return self.finding


class Watching:
    """What has been seen lately, as each rule looks at it. `regions` are those that are verified, by name."""

    def __init__(self, rules: Mapping[str, Rule], regions: Iterable[str], checks: Iterable[str]) -> None:
        self._regions, self._checks = tuple(regions), tuple(checks)
        self._sights = {name: self._sight(rule) for name, rule in rules.items()}
        self._by_metric: dict[str, list[_Sight]] = {}
        self._failures: dict[str, Seen] = {}
        for sight in self._sights.values():
            self._by_metric.setdefault(sight.rule.metric, []).append(sight)

    def hear(self, seen: Seen, now: float) -> None:
        """Take in what was seen. A region that only claims to be one has no name of one, and counts for none.

        A further look at a failure is no sample: it comes within a second, so whatever is short would count twice.
        """
        if seen.region not in self._regions or seen.at > now + AHEAD_S:
            return
        if not seen.confirms:
            for sight, values in self._about(seen):
                sight.hear(seen, values)
        if seen.id and seen.outcome == Outcome.FAILED:
            self._failures[seen.id] = seen
            while len(self._failures) > FAILURES_KEPT:
                del self._failures[next(iter(self._failures))]
        contradicted = self._failures.get(seen.contradicts)
        if contradicted and contradicted.region == seen.region:  # another region may well not see what is there
            del self._failures[contradicted.id]
            self._take_back(contradicted)

    def _take_back(self, failure: Seen) -> None:
        """A failure was not there any more when it was looked at again at once: it is no ground for an alert."""
        for sight, values in self._about(failure):
            if sight.rule.metric == "smoke_test.success":
                sight.take_back(failure, values)

    def _about(self, seen: Seen) -> Iterator[tuple[_Sight, tuple[float, ...]]]:
        """The rules that an occasion is for, with its samples."""
        for metric, sights in self._by_metric.items():
            values = seen.values.get(metric)
            for sight in sights if values else ():
                if values and seen.check in (sight.rule.checks or self._checks):
                    yield sight, values

    def forget(self) -> None:
        """Begin anew, as the clock was put back: nobody knows how old is what was seen."""
        self._failures.clear()
        self._sights = {name: self._sight(sight.rule) for name, sight in self._sights.items()}
        for metric in self._by_metric:
            self._by_metric[metric] = [each for each in self._sights.values() if each.rule.metric == metric]

    def findings(self, now: float) -> dict[str, Finding]:
        """What each rule comes to. Where nothing has changed, it is the very object of the last look."""
        return {name: sight.look(now - sight.rule.window) for name, sight in self._sights.items()}

    @property
    def changes_at(self) -> float:
        """When a sample leaves a window next."""
        windows = (window for sight in self._sights.values() for window in sight.windows.values())
        return min((window.oldest for window in windows), default=math.inf)

    def trouble(self, name: str, regions: tuple[str, ...], now: float) -> Trouble:
        """What is wrong by a rule in these regions, in words."""
        sight = self._sights[name]
        rule, finding = sight.rule, sight.finding
        values = [finding.values[region] for region in regions if region in finding.values]
        worst = (max(values) if rule.condition.upwards else min(values)) if values else None
        return Trouble(
            rule=name,
            metric=rule.metric,
            expected=expected_by(rule),
            actual="no data" if worst is None else show_value(worst, rule.metric),
            regions=regions,
            quorum=rule.quorum,
            checks=tuple(self._affected(sight, regions, now)),
        )

    def _affected(self, sight: _Sight, regions: tuple[str, ...], now: float) -> Iterable[Affected]:
        rule = sight.rule
        for check in rule.checks or self._checks:
            newest = [
                seen
                for region, seen in sight.bad.get(check, {}).items()
                if region in regions and seen.at > now - rule.window
            ]
            if not newest:
                continue
            last = max(newest, key=lambda seen: seen.at)
            at, value = sight.good.get(check, (None, 0.0))
            yield Affected(
                check=check,
                regions=tuple(sorted(seen.region for seen in newest)),
                reason=last.reason,
                request_id=last.request_id,
                trace_id=last.trace_id,
                last_good_at=at,
                last_good="" if at is None else show_value(value, rule.metric),
            )

    def _sight(self, rule: Rule) -> _Sight:
        return _Sight(rule, {region: Window(rule) for region in self._regions})


def expected_by(rule: Rule) -> str:
    """What a rule expects, in words: `mean of smoke_test.success at least 0.9 over 5 min`."""
    words = {"<": "below", "<=": "at most", ">": "above", ">=": "at least"}
    right = rule.condition.negated
    limit = show_value(right.value, rule.metric)
    return f"{rule.statistic} of {rule.metric} {words[right.operator]} {limit} over {show_duration(rule.window)}"
