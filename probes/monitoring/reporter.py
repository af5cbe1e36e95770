"""The one reporter: takes what a run or a master has seen, makes samples of it, and gives them to every outbox."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from probes.config.metrics import METRICS
from probes.config.monitoring import PrometheusOptions, Role, ServiceOptions
from probes.model import RunReport, Step, Verdict
from probes.monitoring.base import Service
from probes.monitoring.outbox import Outbox
from probes.monitoring.samples import Sample, Sampler
from probes.monitoring.spool import Spool

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

CLOSE_S = 2.0
"""What all services together may add to the end of a run."""


def make_services(
    options: Mapping[str, ServiceOptions], role: Role, environ: Mapping[str, str]
) -> list[tuple[Service, ServiceOptions]]:
    """The services of these names, and nothing else imported. Raises ConfigError where one cannot be used."""
    made: list[tuple[Service, ServiceOptions]] = []
    for name, of_it in options.items():
        module = import_module(f"probes.monitoring.{name}")
        if role == "master" and isinstance(of_it, PrometheusOptions):
            service = module.Shelf(of_it)
        else:
            service = module.make_service(of_it, environ)
        several = service if isinstance(service, tuple) else (service,)  # ways into one that may fail apart
        made += [(cast("Service", way), of_it) for way in several]
    return made


class Reporter:
    """Never in the way: each method but `close` only appends to queues. `idle` says when sending disturbs nobody.

    Each `region` is one as `region_tag` makes it.
    """

    def __init__(
        self,
        services: list[tuple[Service, ServiceOptions]],
        sampler: Sampler,
        spool: Path,
        idle: Callable[[], bool],
    ) -> None:
        self._sampler = sampler
        self._services = [service for service, _ in services]
        self._outboxes = [
            Outbox(service, Spool(spool / service.name), frozenset(filter(options.wants, METRICS)), idle)
            for service, options in services
        ]

    def start(self) -> None:
        """Send from now on."""
        for outbox in self._outboxes:
            outbox.start()

    def requested(self, region: str, check: str, step: Step) -> None:
        """A check has made a step."""
        self._add(self._sampler.request(region, check, step, time.time()))

    def judged(self, region: str, verdict: Verdict) -> None:
        """A check has come to a verdict, which is redacted already."""
        self._add(self._sampler.verdict(region, verdict, time.time()))

    def not_judged(self, region: str, check: str) -> None:
        """An occasion has come to nothing."""
        self._add(self._sampler.no_verdict(region, check, time.time()))

    def last_words(self, report: RunReport) -> tuple[dict[str, dict[str, int]], tuple[str, ...]]:
        """A run is over: send what there is, and say what each service took, and what is wrong with it."""
        self._add(self._sampler.run(report, time.time()))
        self.close()
        return self.sinks(), self.troubles()

    def health(self, region: str, values: Mapping[str, float]) -> None:
        """How a master itself is."""
        self._add(self._sampler.health(region, values, time.time()))

    def close(self, patience_s: float = CLOSE_S) -> None:
        """Send what there is, to all services at once; what is left then lies on disk or is counted as dropped."""
        ends = time.monotonic() + min(patience_s, CLOSE_S)
        for outbox in self._outboxes:
            outbox.ask_to_end(ends)
        for outbox in self._outboxes:
            outbox.close(ends)

    def sinks(self) -> dict[str, dict[str, int]]:
        """Samples of each service: sent, spooled, dropped."""
        return {outbox.service.name: outbox.counts() for outbox in self._outboxes}

    def troubles(self) -> tuple[str, ...]:
        """What is wrong with a service, one sentence each."""
        return tuple(f"{outbox.service.name}: {outbox.trouble}." for outbox in self._outboxes if outbox.trouble)

    def shelf(self) -> Collector | None:
        """What a master shows to whoever scrapes it, if anything."""
        for service in self._services:
            if hasattr(service, "collect"):
                return cast("Collector", service)
        return None

    def _add(self, samples: list[Sample]) -> None:
        for outbox in self._outboxes:
            outbox.add(samples)
