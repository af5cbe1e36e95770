"""A master's way to its store: what became of each occasion goes there, later, and after a restart it comes back.

Nobody waits for the store. What is to be written stands in a bounded queue, and one greenlet writes it by way of a
thread, as a disk or a database may take seconds to answer. What the store does not take stays in the queue and is
tried again; where there is no room, the oldest `passed` goes first: those are many, and what was wrong is missed most.
Of that, and of any trouble, nothing changes but `trouble` and the log.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from functools import partial
from itertools import islice

import gevent
from gevent.event import Event

from probes.errors import StoreError
from probes.model import Outcome, Verdict
from probes.store.record import KEEP_S, NO_DATA, Record
from probes.store.store import Store
from probes.swarm.board import RUNS_KEPT
from probes.swarm.records import record_of
from probes.swarm.store_thread import StoreThread

MOST_UNWRITTEN = 4096
"""Results that may wait to be written: those of a fleet of thirty workers within some twenty minutes."""

AT_ONCE = 200
"""So many are written in one transaction."""

RETRY_S = 5.0
FORGET_EVERY_S = 60.0
FORGET_AT_ONCE = 1000

log = logging.getLogger(__name__)


class History:
    """What is on its way to the store, and back: `recalled` is told what the store remembers.

    `lost` counts the results that there was no room for, or that the store takes by no means.
    """

    def __init__(self, store: Store, recalled: Callable[[list[Record]], None]) -> None:
        self.lost = 0
        self._store = store
        self._recalled = recalled
        self._unwritten: dict[str, Record] = {}
        self._to_recall: list[tuple[str, tuple[str, ...]]] = []
        self._problem = ""
        self._forget_at = 0.0
        self._wake, self._closing = Event(), Event()
        self._thread = StoreThread()
        self._greenlet: gevent.Greenlet[..., None] | None = None

    @property
    def unwritten(self) -> int:
        """How many results the store has not taken yet."""
        return len(self._unwritten)

    @property
    def trouble(self) -> str:
        """What is wrong with the store, and what that has cost; empty where it takes what it is given."""
        if not self._problem:
            return ""
        lost = f", and {self.lost} were dropped, what had passed first" if self.lost else ""
        return f"{self._problem} Results that wait for it: {self.unwritten}{lost}."

    def begin(self) -> None:
        """Write from now on."""
        self._greenlet = gevent.spawn(self._work)

    def judged(
        self, verdict: Verdict, permit: str, *, region: str, verified: bool, worker: str, confirms: str = ""
    ) -> None:
        """A worker has come to a verdict on a permit, whose id is the record's; it is redacted already."""
        at = time.time()
        self._add(record_of(verdict, permit, at, region=region, verified=verified, worker=worker, confirms=confirms))

    def not_judged(self, region: str, check: str, why: str, *, verified: bool) -> None:
        """An occasion has passed without a verdict; why is redacted already."""
        record = Record(uuid.uuid4().hex, time.time(), region, verified, check=check, outcome=NO_DATA, reason=why)
        self._add(record)

    def recall(self, region: str, checks: tuple[str, ...]) -> None:
        """Ask what the store remembers of a region, as soon as it can be asked."""
        self._to_recall.append((region, checks))
        self._wake.set()

    def close(self, patience_s: float) -> None:
        """Write what there is, for so many seconds at most; a store in trouble is tried once more."""
        self._closing.set()
        self._wake.set()
        if self._greenlet is not None:
            self._greenlet.join(timeout=patience_s)
        if self._unwritten:
            log.warning("%d results are not in the history: %s", self.unwritten, self._problem or "no time was left")

    def _add(self, record: Record) -> None:
        self._unwritten.setdefault(record.id, record)
        if len(self._unwritten) > MOST_UNWRITTEN:
            passed = (id_ for id_, each in self._unwritten.items() if each.outcome == Outcome.PASSED)
            del self._unwritten[next(passed, next(iter(self._unwritten)))]
            self.lost += 1
        self._wake.set()

    def _work(self) -> None:
        while True:
            closing = self._closing.is_set()  # then nothing is tried again, and nothing but writing
            self._wake.clear()
            try:
                if not closing:
                    self._recall()
                self._write()
                if not closing:
                    self._forget()
            except Exception as problem:  # noqa: BLE001 - whatever it is: without this greenlet nothing is ever written
                known = isinstance(problem, StoreError)
                self._say(str(problem) if known else f"The history has broken: {type(problem).__name__}.")
                if closing:
                    return
                self._closing.wait(RETRY_S)
                continue
            self._say("")
            if closing and not self._unwritten:
                return
            self._wake.wait(FORGET_EVERY_S)

    def _recall(self) -> None:
        while self._to_recall:
            region, checks = self._to_recall[0]
            found = self._thread.ask(partial(self._store.last, region, checks, RUNS_KEPT))
            del self._to_recall[0]
            self._recalled(found)

    def _write(self) -> None:
        while batch := list(islice(self._unwritten.values(), AT_ONCE)):
            refused = self._thread.ask(partial(self._store.add, batch))
            for record in batch:
                self._unwritten.pop(record.id, None)
            for record in refused:
                self.lost += 1
                log.error("the history does not take a result of %s in %s", record.check, record.region)

    def _forget(self) -> None:
        if time.monotonic() >= self._forget_at:
            self._forget_at = time.monotonic() + FORGET_EVERY_S
            self._thread.ask(partial(self._store.forget, KEEP_S, FORGET_AT_ONCE))

    def _say(self, problem: str) -> None:
        if problem and not self._problem:
            log.warning("%s Probing goes on; results wait to be written.", problem)
        elif self._problem and not problem:
            log.info("the history takes results again")
        self._problem = problem
