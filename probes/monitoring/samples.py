"""What is measured, as samples: what a request, a verdict and a run come to, each with its tags.

Tags are env, region, check, version (the target's) and mode, and nothing else: a service counts, and bills, each
combination as a series of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace

from probes.config.metrics import METRICS, Kind, Unit
from probes.model import JUDGED, Outcome, Phases, RunReport, Step, Verdict
from probes.quorum import LONGEST_REGION, UNVERIFIED, region_tag

Tags = tuple[tuple[str, str], ...]

WHOLE_RUN = "_run"
"""What stands in place of a check where a sample speaks of a whole run or of the probe itself; no check's name."""

VERSIONS_KEPT = 4
"""So many versions of the target are told apart by a process; a target may say anything."""

OTHER_VERSION = "other"

_UNFIT = re.compile(r"[^0-9A-Za-z._-]")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]{0,39}")

_OF_TARGET: Mapping[str, str] = {
    "load_ms": "smoke_test.homepage_load",
    "ttfb_ms": "smoke_test.web_vitals.ttfb",
    "fcp_ms": "smoke_test.web_vitals.fcp",
    "lcp_ms": "smoke_test.web_vitals.lcp",
    "cls": "smoke_test.web_vitals.cls",
    "db_query_time_ms": "smoke_test.db_query_time",
    "cache_hit_rate": "smoke_test.cache_hit_rate",
    "error_rate": "smoke_test.error_rate",
}
"""What a verdict has measured besides times, and as which metric it goes out."""

_PHASES = tuple((field.name, f"smoke_test.phase.{field.name.removesuffix('_ms')}") for field in fields(Phases))


@dataclass(frozen=True, slots=True)
class Sample:
    """One value. `at` is when it was measured, in seconds since the epoch."""

    name: str
    value: float
    kind: Kind
    unit: Unit
    tags: Tags
    at: float


class Sampler:
    """Makes samples of what a process sees; `mode` says what it is: run, ui, continuous or fleet.

    Each `region` is one as `region_tag` makes it.
    """

    def __init__(self, env: str, mode: str) -> None:
        self._env, self._mode = env, mode
        self._versions: set[str] = set()
        self._version = ""

    def request(self, region: str, check: str, step: Step, at: float) -> list[Sample]:
        """What one step of a check comes to: nothing unless it was an HTTP request that was answered."""
        if step.phases.download_ms is None or step.judged_ms is None:  # a page, or a rule
            return []
        tags = self._tags(region, check)
        found = [_sample("smoke_test.api_response", step.judged_ms, tags, at)]
        for field, name in _PHASES:
            if (value := getattr(step.phases, field)) is not None:
                found.append(_sample(name, value, tags, at))
        return found

    def verdict(self, region: str, verdict: Verdict, at: float) -> list[Sample]:
        """What a verdict comes to, its requests apart; nothing where the check was left out on purpose."""
        if verdict.configured_out:
            return []
        self._see(verdict.target_version)
        tags = self._tags(region, verdict.check)
        return [_sample(name, value, tags, at) for name, value in _of_verdict(verdict) if math.isfinite(value)]

    def no_verdict(self, region: str, check: str, at: float) -> list[Sample]:
        """A master's occasion that came to nothing."""
        return [_sample("smoke_test.blind", 1.0, self._tags(region, check), at)]

    def run(self, report: RunReport, at: float) -> list[Sample]:
        """What a whole run comes to, its verdicts apart."""
        tags = self._tags(region_tag(report.region, verified=report.region_verified), WHOLE_RUN)
        used = [use.peak_percent for use in report.rate_limits]
        return [
            _sample("smoke_test.duration", report.duration_s, tags, at),
            _sample("smoke_test.probe.blocked", float(report.requests.blocked), tags, at),
            *(_sample("smoke_test.budget_used", value, tags, at) for value in ([max(used)] if used else [])),
        ]

    def health(self, region: str, values: Mapping[str, float], at: float) -> list[Sample]:
        """How a master itself is; `values` by metric name."""
        tags = self._tags(region, WHOLE_RUN)
        return [_sample(name, value, tags, at) for name, value in values.items()]

    def test(self, region: str, value: float, at: float) -> Sample:
        """One that nothing was measured for."""
        return _sample("smoke_test.test", value, self._tags(region, WHOLE_RUN), at)

    def _see(self, version: str) -> None:
        """Take note of the target's version, as far as that can be a tag."""
        if not _VERSION.fullmatch(version):
            return
        if version not in self._versions and len(self._versions) >= VERSIONS_KEPT:
            version = OTHER_VERSION
        self._versions.add(version)
        self._version = version

    def _tags(self, region: str, check: str) -> Tags:
        region = _UNFIT.sub("_", region)[
            : LONGEST_REGION + len(UNVERIFIED)
        ]  # without `regions` in the configuration it may be any text
        return (
            ("env", self._env), ("region", region), ("check", check), ("version", self._version), ("mode", self._mode),
        )  # fmt: skip


def _of_verdict(verdict: Verdict) -> Iterator[tuple[str, float]]:
    judged = verdict.outcome in JUDGED
    if verdict.steps:
        yield "smoke_test.duration", verdict.duration_s
    if judged:
        yield "smoke_test.success", float(verdict.outcome is not Outcome.FAILED)
    yield "smoke_test.blind", float(not judged)
    yield "smoke_test.flaky", float(verdict.flaky)
    yield "smoke_test.throttled", float(verdict.outcome is Outcome.THROTTLED)
    if verdict.certificate_days is not None:
        yield "smoke_test.certificate_days", verdict.certificate_days
    for measured, name in _OF_TARGET.items():
        if measured in verdict.metrics:
            yield name, verdict.metrics[measured]


def _sample(name: str, value: float, tags: Tags, at: float) -> Sample:
    metric = METRICS[name]
    return Sample(name, value, metric.kind, metric.unit, tags, at)


def by_second(samples: Iterable[Sample]) -> list[Sample]:
    """One sample for each series and second: the mean of gauges, the sum of counts.

    Services that keep seconds keep only the last of several values of one second.
    """
    return [replace(same[0], value=_together(same), at=float(int(same[0].at))) for same in same_second(samples)]


def same_second(samples: Iterable[Sample]) -> list[list[Sample]]:
    """The samples of each series and second."""
    found: dict[tuple[str, Tags, int], list[Sample]] = {}
    for sample in samples:
        found.setdefault((sample.name, sample.tags, int(sample.at)), []).append(sample)
    return list(found.values())


def _together(samples: list[Sample]) -> float:
    total = math.fsum(sample.value for sample in samples)
    return total if samples[0].kind == "count" else total / len(samples)
