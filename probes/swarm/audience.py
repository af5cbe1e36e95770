"""Who is told of a run besides whoever reads its report: monitoring services, the heartbeat, the history, the alerts.

Each has two seconds at the run's end, an alert that is to be told ten more, and none changes a verdict or an exit code:
what is wrong with one is a note.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import gevent

from probes.heartbeat import Heartbeat, heartbeat_of
from probes.model import RunReport, Step, Verdict
from probes.pipeline import FAILED, PASSED
from probes.quorum import region_tag
from probes.regions import LONGEST_S, VerifiedRegion, verify_region
from probes.swarm.alerting import RunAlerting
from probes.swarm.equipment import Equipment
from probes.swarm.reporting import reporter_of
from probes.swarm.run_history import RunHistory


class Audience:
    """What is told waits until it is known whether anything bears out the region that it is of."""

    def __init__(self, equipment: Equipment, mode: str, idle: Callable[[], bool], *, ends_by_itself: bool) -> None:
        """`idle` says whether sending disturbs nobody now. Raises ConfigError where somebody cannot be told."""
        self._equipment, self._ends_by_itself = equipment, ends_by_itself
        self._reporter = reporter_of(equipment, "run", mode, lambda: not ends_by_itself and idle())
        self._heartbeat = heartbeat_of(equipment.options, os.environ)
        self._history = RunHistory(equipment, mode)
        self._alerting = RunAlerting(equipment) if ends_by_itself else None
        self._region: gevent.Greenlet[..., VerifiedRegion] | None = None
        self._untold: list[Callable[[str], None]] = []

    def begin(self, note: Callable[[str], None]) -> list[gevent.Greenlet[..., Any]]:
        """Listen from now on; `note` hears of what is wrong meanwhile. Returns what is to be killed at the end."""
        self._region = gevent.spawn(verify_region, self._equipment.options.region, self._equipment.settings, os.environ)
        if self._reporter is not None:
            self._reporter.start()
        if self._heartbeat is None or self._ends_by_itself:
            return []
        return [gevent.spawn(_beat, self._heartbeat, note)]

    @property
    def region_verified(self) -> bool:
        """What has been asked beside the run; where that ended at once, nobody waits for more than it takes."""
        if self._region is None:
            return False
        self._region.join(timeout=LONGEST_S)
        return self._region.value is not None and self._region.value.verified

    @property
    def region_verified_yet(self) -> bool:
        """The same, as far as it is known."""
        return self._region is not None and self._region.ready() and self.region_verified

    def run_begins(self) -> None:
        """A run begins, unless one is under way."""
        self._history.begin()

    def run_is_over(self, report: RunReport) -> None:
        """It is kept in its own time, as another one may begin at once."""
        gevent.spawn(self._history.write, report)

    def requested(self, check: str, step: Step) -> None:
        """A check has made a request."""
        if (reporter := self._reporter) is not None:
            self._report(lambda region: reporter.requested(region, check, step))

    def judged(self, verdict: Verdict) -> None:
        """A check has come to a verdict, which is redacted already."""
        if (reporter := self._reporter) is not None:
            self._report(lambda region: reporter.judged(region, verdict))
        if self._heartbeat is not None:
            self._heartbeat.judged(verdict.outcome)
        self._history.judged(verdict)

    @property
    def history_trouble(self) -> str:
        """What was wrong with the history when a run was last written."""
        return self._history.trouble

    def sinks(self) -> dict[str, dict[str, int]]:
        """What each monitoring service has taken."""
        return self._reporter.sinks() if self._reporter is not None else {}

    def last_words(self, report: RunReport) -> tuple[dict[str, dict[str, int]], tuple[str, ...]]:
        """Tell all of a run that is over; what each monitoring service has taken, and what is wrong with anybody."""
        conclusive = report.exit_code in {PASSED, FAILED}
        ping = gevent.spawn(self._heartbeat.ping) if self._heartbeat is not None and conclusive else None
        self._tell_region()
        sinks, troubles = self._reporter.last_words(report) if self._reporter is not None else ({}, ())
        kept = self._history.write(report)
        looked = self._alerting.look() if self._alerting is not None else ""  # at what is kept just now
        pinged = ping.get() if ping is not None else ""
        return sinks, tuple(filter(None, (*troubles, pinged, kept, looked)))

    def _report(self, tell: Callable[[str], None]) -> None:
        self._untold.append(tell)
        if self._region is not None and self._region.ready():
            self._tell_region()

    def _tell_region(self) -> None:
        untold, self._untold = self._untold, []
        for tell in untold:
            tell(region_tag(self._equipment.options.region, verified=self.region_verified))


def _beat(heartbeat: Heartbeat, note: Callable[[str], None]) -> None:
    """The heartbeat of what goes on and on."""
    while True:
        gevent.sleep(1.0)
        if trouble := heartbeat.turn():
            note(trouble)
