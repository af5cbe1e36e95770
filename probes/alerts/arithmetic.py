"""What a rule comes to in an environment: what feeds it, how many samples, how soon it can tell, and if it ever can."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from probes.config.alert_rules import OURS, Rule, RuleFile
from probes.config.metrics import of_runs
from probes.config.mistakes import Mistakes
from probes.config.models import Settings
from probes.config.units import show_duration

LOOK_S = 5.0
"""How often a master looks."""

_BOUNDS: Mapping[str, tuple[float, float]] = {
    "smoke_test.success": (0.0, 1.0),
    "smoke_test.blind": (0.0, 1.0),
    "smoke_test.flaky": (0.0, 1.0),
    "smoke_test.throttled": (0.0, 1.0),
    "smoke_test.cache_hit_rate": (0.0, 1.0),
    "smoke_test.error_rate": (0.0, 1.0),
    "smoke_test.certificate_days": (-math.inf, math.inf),
}
"""Between what values a metric's samples are; others are times, from nothing on."""

_NOT_FED_BY: Mapping[str, frozenset[str]] = {
    "smoke_test.homepage_load": frozenset({"health", "enhancement", "login", "api", "http"}),
    "smoke_test.web_vitals.": frozenset({"health", "enhancement", "login", "api", "http"}),
    "smoke_test.db_query_time": frozenset({"homepage", "enhancement", "login", "api", "http"}),
    "smoke_test.cache_hit_rate": frozenset({"homepage", "enhancement", "login", "api", "http"}),
    "smoke_test.error_rate": frozenset({"homepage", "enhancement", "login", "api", "http"}),
    "smoke_test.api_response": frozenset({"homepage"}),
    "smoke_test.phase.": frozenset({"homepage"}),
    "smoke_test.certificate_days": frozenset({"homepage"}),
}
"""By how a metric's name begins, the kinds of checks of our own that have no samples of it."""


@dataclass(frozen=True, slots=True)
class Sums:
    """A rule's arithmetic.

    `fed_by` are the checks that give it two samples a window at least, `rare` those that give fewer; `samples` is how
    many a region gives within every window, `regions` how many whoever evaluates it sees, and `together` whether these
    are all; `alert_s` the seconds from the beginning of an outage until the rule fires, at worst.
    """

    rule: str
    fed_by: tuple[str, ...]
    rare: tuple[str, ...]
    samples: int
    regions: int
    alert_s: float
    together: bool = True


def sums_of(name: str, rule: Rule, settings: Settings, *, shared: bool) -> Sums:
    """The arithmetic of a rule in an environment; `shared`: all regions' masters write into one database."""
    feeding = _feeding(rule, settings)
    fed_by = tuple(check for check, every in feeding.items() if 2 * every <= rule.window)
    rare = tuple(check for check in feeding if check not in fed_by)
    sure = sum(math.floor(rule.window / every) for every in feeding.values())
    regions = regions_of_a_store(settings, shared=shared or rule.evaluator != OURS)
    together = len(regions) == len(settings.regions)
    return Sums(name, fed_by, rare, sure, len(regions), _alert_s(rule, settings), together)


def regions_of_a_store(settings: Settings, *, shared: bool) -> tuple[str, ...]:
    """The regions that one store hears of: all where a database is shared, else those of one master at most."""
    if shared or not settings.masters:
        return settings.regions
    return max((master.regions for master in settings.masters.values()), key=len)


def problems_of(rules: RuleFile, settings: Settings, *, shared: bool) -> list[str]:
    """Why rules of an environment can never fire, always do, or rest on one sample; one line for each place."""
    if rules.document is None:
        return []
    mistakes = Mistakes(rules.document)
    for name, rule in rules.rules.items():
        if settings.env in rule.environments and not rule.misfits(settings):
            for key, message in _problems(rule, settings, shared=shared):
                mistakes.say(("rules", name, key), message)
    return mistakes.lines()


def _problems(rule: Rule, settings: Settings, *, shared: bool) -> Iterator[tuple[str, str]]:
    ours = rule.evaluator == OURS
    if of_runs(rule.metric):
        if ours:
            yield "metric", f"{rule.metric} is of the probe itself, and not in the history: name a service as evaluator"
        return
    if ours and (sees := len(regions_of_a_store(settings, shared=shared))) < rule.quorum:
        regions = "one region" if sees == 1 else f"{sees} regions"
        yield (
            "quorum",
            (
                f"{rule.quorum} can never be reached: without a database each master of {settings.env} sees {regions} "
                "only: name a service as evaluator, or set SMOKEPROBE_DATABASE_URL"
            ),
        )
    feeding = _feeding(rule, settings)
    if not feeding:
        yield "metric", f"no check of {settings.env} that it is about gives {rule.metric}: it can never fire"
        return
    yield from _problems_of_window(rule, feeding)
    yield from _problems_of_condition(rule, feeding)


def _problems_of_window(rule: Rule, feeding: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    counted = feeding if rule.checks else {check: feeding[check] for check in [min(feeding, key=feeding.__getitem__)]}
    for check, every in counted.items():
        if 2 * every > rule.window:
            yield (
                "window",
                (
                    f"{show_duration(rule.window)} is less than two intervals of {check} ({show_duration(every)}): "
                    f"write {math.ceil(2 * every / 60)}m or longer"
                ),
            )
            return
    sure = sum(math.floor(rule.window / every) for every in feeding.values())
    if rule.samples > sure:
        yield (
            "samples",
            f"a region gives {sure} within {show_duration(rule.window)}, never {rule.samples}: it never fires",
        )


def _problems_of_condition(rule: Rule, feeding: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    most = sum(math.ceil(rule.window / every) for every in feeding.values())
    good, bad = _extremes(rule)
    if not _holds(rule, most, most, good, bad):
        low, high = sorted((good, bad))
        kept = f"it is from {low:g} to {high:g}" if high < math.inf else f"it is never below {low:g}"
        kept = f"it is {bad * most:g} at most" if rule.statistic == "sum" else kept
        yield "condition", f"can never hold: {kept}"
    elif _holds(rule, 0, rule.samples, good, bad) and math.isfinite(good):
        yield "condition", f"always holds, however good the target is: so it does of {good:g}"
    elif (alone := _needed(rule, rule.samples)) * rule.quorum < 2:
        yield (
            "condition",
            (
                f"of {rule.samples} samples {alone} is enough, and of regions {rule.quorum}: one sample is no ground "
                "for an alert: ask for more, or for more regions"
            ),
        )


def _feeding(rule: Rule, settings: Settings) -> dict[str, float]:
    """The checks that give the metric, and their intervals in seconds."""
    without = frozenset[str]().union(*(kinds for name, kinds in _NOT_FED_BY.items() if rule.metric.startswith(name)))
    return {
        name: settings.every(options)
        for name, options in settings.checks.items()
        if options.enabled and options.kind not in without and name in (rule.checks or settings.checks)
    }


def _extremes(rule: Rule) -> tuple[float, float]:
    """The best and the worst value that a sample can have, as the rule's condition sees it."""
    low, high = _BOUNDS.get(rule.metric, (0.0, math.inf))
    return (low, high) if rule.condition.upwards else (high, low)


def _holds(rule: Rule, bad_ones: int, of: int, good: float, bad: float) -> bool:
    """Whether the condition holds of so many samples, where so many are as bad as can be, and the others as good."""
    bad = math.copysign(1e15, bad) if math.isinf(bad) else bad
    good = math.copysign(1e15, good) if math.isinf(good) else good
    values = sorted([bad] * bad_ones + [good] * (of - bad_ones))
    return rule.condition.holds(rule.of(values))


def _needed(rule: Rule, of: int) -> int:
    """How many of so many samples must be bad. One that has no bounds can tip a mean, so there it is all of them."""
    good, bad = _extremes(rule)
    if rule.statistic in {"mean", "sum"} and not (math.isfinite(good) and math.isfinite(bad)):
        return of
    # of more bad ones it holds all the more
    return min(of, bisect_left(range(of + 1), 1, lo=1, key=lambda bad_ones: int(_holds(rule, bad_ones, of, good, bad))))


def _alert_s(rule: Rule, settings: Settings) -> float:
    """At worst each check was right just before the outage, and the whole time of one that fails is waited for."""
    feeding = _feeding(rule, settings)
    if not feeding:
        return math.inf
    needed = _needed(rule, sum(math.ceil(rule.window / every) for every in feeding.values()))
    times = sorted(
        number * every for every in feeding.values() for number in range(1, math.floor(rule.window / every) + 1)
    )
    bad_after = times[needed - 1] if needed <= len(times) else rule.window
    longest: float = max(settings.checks[check].timeout for check in feeding)
    return bad_after + longest + LOOK_S
