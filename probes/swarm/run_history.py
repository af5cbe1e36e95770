"""A run's way to its store: the run and all its verdicts, at once, when it is over.

To a file it goes by way of the inbox beside it, which needs no library; to a server it goes directly.

The store delays the end of a run by two seconds at most, and changes no verdict and no exit code: what is wrong with it
is a note.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import deque
from functools import partial

from probes.errors import StoreError
from probes.model import RunReport, Verdict
from probes.options import RunOptions
from probes.store.inbox import FULL, Inbox
from probes.store.record import KEEP_S, Record, Run
from probes.swarm.equipment import Equipment
from probes.swarm.records import record_of
from probes.swarm.store_thread import StoreThread

PATIENCE_S = 2.0
"""How long the end of a run waits for the store."""

MOST_KEPT = 4096
"""Verdicts of one run that never ends by itself: the newest."""

log = logging.getLogger(__name__)


class RunHistory:
    """What is to be written of the run that is under way; `mode` is how it was started: run, ui or continuous."""

    def __init__(self, equipment: Equipment, mode: str) -> None:
        self.trouble = ""
        self._equipment, self._mode = equipment, mode
        self._thread = StoreThread()
        self._heard: deque[tuple[float, Verdict]] = deque(maxlen=MOST_KEPT)
        self._began_at: float | None = None
        self._written: set[str] = set()

    def begin(self) -> None:
        """A run begins, unless one is under way."""
        if self._began_at is None:
            self._began_at = time.time()
            self._heard.clear()

    def judged(self, verdict: Verdict) -> None:
        """The run has come to a verdict, which is redacted already."""
        if not verdict.configured_out:
            self._heard.append((time.time(), verdict))

    def write(self, report: RunReport) -> str:
        """Write the run that is under way, and its verdicts; returns what is wrong with the store, or nothing."""
        if self._began_at is None:
            return ""
        run = self._run(report, self._began_at)
        records = [self._record(at, verdict, run) for at, verdict in self._heard]
        self._began_at = None
        self._heard.clear()
        try:
            self._thread.ask(partial(_keep, self._equipment.options, self._equipment.target, run, records), PATIENCE_S)
        except TimeoutError:
            self.trouble = f"The history has not taken this run within {PATIENCE_S:.0f} s; it is not in it."
        except StoreError as problem:
            self.trouble = f"This run is not in the history. {problem}"
        else:
            self.trouble = ""
        if self.trouble:
            log.info("%s", self.trouble)
        return self.trouble

    def _run(self, report: RunReport, began_at: float) -> Run:
        id_ = report.run_id if report.run_id not in self._written else uuid.uuid4().hex
        self._written.add(id_)
        versions = [verdict.target_version for _, verdict in self._heard if verdict.target_version]
        return Run(
            id=id_,
            at=began_at,
            env=report.env,
            region=report.region,
            verified=report.region_verified,
            mode=self._mode,
            duration_s=time.time() - began_at,
            outcome=str(report.outcome),
            exit_code=report.exit_code,
            version=versions[-1] if versions else "",
            budget_percent=max((use.peak_percent for use in report.rate_limits), default=None),
            notes="\n".join(report.notes),
        )

    @staticmethod
    def _record(at: float, verdict: Verdict, run: Run) -> Record:
        return record_of(verdict, uuid.uuid4().hex, at, region=run.region, verified=run.verified, run=run.id)


def _keep(options: RunOptions, target: str, run: Run, records: list[Record]) -> None:
    inbox = Inbox(options.state)
    if not options.database_url:
        inbox.put(target, run, records)
        if len(inbox.waiting()) < FULL:
            return
    from probes.store.database import FORGET_AT_ONCE
    from probes.store.store import open_store  # its library costs a run 0.2 s, when all is judged

    store = open_store(options.state, options.database_url, target)
    try:
        if options.database_url:
            store.add_run(run, records)
        store.forget(KEEP_S, FORGET_AT_ONCE)  # of a file the first use takes in what waits
    finally:
        store.close()
