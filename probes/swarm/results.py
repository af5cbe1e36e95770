"""What comes of a master's ticks: each verdict is counted once, shown on the board, and kept in the store."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from probes.heartbeat import Heartbeat
from probes.model import Verdict
from probes.pipeline import decode, presentable
from probes.quorum import region_tag
from probes.safety.permits import boot_clock
from probes.store.record import Record
from probes.store.store import open_store
from probes.swarm.board import Board, QuorumSeen
from probes.swarm.equipment import Equipment
from probes.swarm.history import History
from probes.swarm.link import LONGEST_NAME
from probes.swarm.ticks import NoData, Tick

if TYPE_CHECKING:
    from probes.monitoring.reporter import Reporter

HEARD_KEPT = 4096
"""Of so many permits it is remembered that their verdict was counted; of all, by the store."""

RECENT = 2
"""What a region judged counts for a quorum for so many intervals of its check."""

log = logging.getLogger(__name__)


class Results:
    """All that is known of the target, and was; `checks` are all that there ever are."""

    def __init__(
        self,
        equipment: Equipment,
        checks: tuple[str, ...],
        reporter: Reporter | None = None,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self.checks = checks
        self._reporter, self._heartbeat = reporter, heartbeat
        self.board = Board()
        options = equipment.options
        self.history = History(open_store(options.state, options.database_url, equipment.target), self._remembered)
        self._redactor = equipment.redactor
        self._every: dict[str, Mapping[str, float]] = {}
        self._heard: OrderedDict[str, None] = OrderedDict()
        self._verified: dict[str, bool] = {}

    def plan(self, region: str, every: Mapping[str, float], left_out: Mapping[str, str]) -> None:
        """Show a region, or show it anew as other checks run; and at first what the store remembers of it.

        `every` has the seconds between two ticks of each check that runs, `left_out` why the others do not.
        """
        if region not in self._every:
            self.history.recall(region, self.checks)
        self._every[region] = every
        self.board.add_region(region, every)
        for check, why in left_out.items():
            if check in self.checks:  # at another hour it does run
                self.board.not_judged(region, check, why)

    def judged(
        self, message: Mapping[str, Any], permit: str, *, tick: Tick | None, region: str, verified: bool, client: str
    ) -> Verdict | None:
        """A worker of a region has come to a verdict on a permit, for a tick, unless that was given up meanwhile.

        Returns it as it is counted; None where it is not. Raises ValueError, of which pydantic's ValidationError is
        one, where it is none, or none for this tick.
        """
        verdict = presentable(decode(message), self._redactor)
        counted = permit in self._heard
        if tick is not None:
            region = tick.occasion.region
            if counted or verdict.check != tick.occasion.check:
                raise ValueError("it is the verdict of another tick")
        if counted or verdict.check not in self.checks:
            return None
        self._hear(permit)
        self.board.judged(region, verdict, boot_clock(), verified=verified, id_=permit)
        failure = tick.occasion.confirms if tick is not None else None
        self.history.judged(
            verdict, permit, region=region, verified=verified, worker=client[:LONGEST_NAME],
            confirms=failure.id if failure else "",
        )  # fmt: skip
        self._verified[region] = verified
        if self._heartbeat is not None:
            self._heartbeat.judged(verdict.outcome)
        if self._reporter is not None and failure is None:  # else whatever is short would be two samples, not one
            tag = region_tag(region, verified=verified)
            self._reporter.judged(tag, verdict)
            for step in verdict.steps:
                self._reporter.requested(tag, verdict.check, step)
        log.info("%s %s: %s %s", region, verdict.check, verdict.outcome, verdict.reason or "")
        return verdict

    def not_judged(self, nothing: NoData) -> None:
        """A tick has come to nothing; a further look that was not possible leaves things as they are."""
        if nothing.confirms:
            log.info("%s %s: not confirmed, %s", nothing.region, nothing.check, nothing.why)
            return
        why = self._redactor.text(f"{nothing.why}: {nothing.detail}" if nothing.detail else nothing.why)
        self.board.not_judged(nothing.region, nothing.check, why)
        # what its last verdict was worth: a verified region that falls silent counts as one that is blind
        verified = self._verified.get(nothing.region, False)
        self.history.not_judged(nothing.region, nothing.check, why, verified=verified)
        if self._reporter is not None:
            self._reporter.not_judged(region_tag(nothing.region, verified=verified), nothing.check)
        log.warning("%s %s: no data, %s", nothing.region, nothing.check, why)

    def quorums(self) -> list[QuorumSeen]:
        """For each check, in how many verified regions it was judged lately, and has failed."""
        intervals = [(check, seconds) for every in self._every.values() for check, seconds in every.items()]
        recent_s = {check: RECENT * seconds for check, seconds in sorted(intervals)}  # where they differ, the longest
        return self.board.quorums(recent_s, boot_clock())

    def _remembered(self, records: list[Record]) -> None:
        """What an earlier master has counted is shown, and not counted again."""
        self.board.recall(records, boot_clock())
        for record in records:
            self._hear(record.id)
        for record in sorted(filter(lambda each: each.is_verdict, records), key=lambda each: -each.at):
            self._verified.setdefault(record.region, record.verified)

    def _hear(self, permit: str) -> None:
        self._heard[permit] = None
        while len(self._heard) > HEARD_KEPT:
            self._heard.popitem(last=False)
