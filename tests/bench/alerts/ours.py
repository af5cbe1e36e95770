"""What our own rules tell of a timeline: the project's replay of the project's rules, fed with what was seen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from probes.alerts.replay import replay
from probes.alerts.seen import Seen, Values, values_of
from probes.alerts.state import CALM_WINDOWS
from probes.config.alert_rules import OURS, Rule, RuleFile
from probes.model import Outcome, Phases, Step, Verdict
from probes.monitoring.samples import Sampler
from tests.bench.alerts.looks import Look
from tests.bench.alerts.timeline import Timeline

AFTER_S = 120.0
"""A pass or two more."""
_SAMPLER = Sampler("", "fleet")
_ANSWERED = Phases(ttfb_ms=0.0, download_ms=0.0)


@dataclass(frozen=True, slots=True)
class Incident:
    """One that people were told of, by which rules first, and when they were told that it was over."""

    begins: float
    rules: tuple[str, ...]
    severity: str
    resolved: tuple[float, ...]


def ours(rules: RuleFile, env: str, changes: Mapping[str, Mapping[str, object]] | None = None) -> dict[str, Rule]:
    """The rules of an environment as they are, or with changes, but evaluated by us."""
    return {
        name: rule.model_copy(update={"evaluator": OURS, **(changes or {}).get(name, {})})
        for name, rule in rules.rules.items()
        if env in rule.environments
    }


def incidents(rules: Mapping[str, Rule], timeline: Timeline) -> list[Incident]:
    """Those of a whole timeline. Only stretches are replayed in which a rule could hold: see `stretches`."""
    return [
        incident
        for names, begins, ends in stretches(rules, timeline)
        for incident in incidents_between({name: rules[name] for name in names}, timeline, begins, ends)
    ]


def incidents_between(rules: Mapping[str, Rule], timeline: Timeline, begins: float, ends: float) -> list[Incident]:
    """Those of a stretch, replayed from its beginning as if nothing had been before."""
    regions = tuple(dict.fromkeys(grid.region for grid in timeline.grids))
    checks = tuple(dict.fromkeys(grid.shape.check for grid in timeline.grids))
    begun: dict[str, tuple[float, tuple[str, ...], str]] = {}
    resolved: dict[str, list[float]] = {}
    for told in replay(rules, regions, checks, map(seen_of, timeline.between(begins, ends)), "production"):
        notice = told.notice
        begun.setdefault(notice.key, (notice.at, told.rules, notice.severity))
        if notice.change == "resolved":
            resolved.setdefault(notice.key, []).append(notice.at)
    return [Incident(*first, tuple(resolved.get(key, ()))) for key, first in begun.items()]


def stretches(rules: Mapping[str, Rule], timeline: Timeline) -> list[tuple[frozenset[str], float, float]]:
    """Where rules could hold, and which: in as many regions as their quorum a sample is bad, each near the next.

    A mean, a percentile or an extreme is bad only where some sample is, so nothing is lost. A window lies before the
    first bad sample, and after the last so much that whatever fires has ended.
    """
    found = sorted(
        (
            (begins - rule.window, ends + (1 + CALM_WINDOWS) * rule.window + AFTER_S, name)
            for name, rule in rules.items()
            for begins, ends in _clusters(rule, timeline)
        )
    )
    joined: list[tuple[frozenset[str], float, float]] = []
    for begins, ends, name in found:
        if joined and begins <= joined[-1][2]:
            names, first, last = joined[-1]
            joined[-1] = names | {name}, min(first, begins), max(last, ends)
        else:
            joined.append((frozenset({name}), begins, ends))
    return joined


def _clusters(rule: Rule, timeline: Timeline) -> Iterator[tuple[float, float]]:
    """From the first to the last of bad samples of which each is near the next, in a quorum of regions."""
    cluster: list[tuple[float, str]] = []
    bad = sorted((look.ended, look.region) for look in timeline.notable.values() if _is_bad(rule, look))
    for each in [*bad, (math.inf, "")]:
        if cluster and each[0] - cluster[-1][0] > (2 + CALM_WINDOWS) * rule.window:
            if len({region for _, region in cluster}) >= rule.quorum:
                yield cluster[0][0], cluster[-1][0]
            cluster = []
        cluster.append(each)


def _is_bad(rule: Rule, look: Look) -> bool:
    of_it = not rule.checks or look.check in rule.checks
    return of_it and any(map(rule.condition.holds, seen_of(look).values.get(rule.metric, ())))


def seen_of(look: Look) -> Seen:
    """A pass, or a further look, as the rules see it."""
    values = _values(look.check, look.outcome, round(look.judged_s, 2))
    return Seen(look.ended, look.region, look.check, look.outcome, values, id=look.id, confirms=look.confirms)


@lru_cache(maxsize=4096)
def _values(check: str, outcome: Outcome, judged_s: float) -> Values:
    verdict = Verdict(check, outcome)
    samples = _SAMPLER.verdict("", verdict, 0.0)
    if check == "api" and outcome in {Outcome.PASSED, Outcome.DEGRADED}:
        step = Step("request", outcome, judged_ms=1000.0 * judged_s, phases=_ANSWERED)
        samples += _SAMPLER.request("", check, step, 0.0)
    return values_of(samples)
