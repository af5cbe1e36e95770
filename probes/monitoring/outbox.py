"""The way to one service: a bounded queue, and one greenlet that sends what is in it. Nobody waits for it.

Batches go by size or by time. What the service does not take goes to its spool, and from there, once it takes
something again, to it, with its own time; what is too old by then, or has no room, is counted as dropped.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence

import gevent
from gevent.event import Event

from probes.errors import SmokeprobeError
from probes.monitoring.base import Fate, Said, Service
from probes.monitoring.samples import Sample
from probes.monitoring.spool import Spool

MOST_WAITING = 10_000
"""So many samples may wait in memory; beyond that the oldest goes."""

AT_ONCE = 400
"""So many go in one batch, which no service needs two requests for; more where they are of the same second."""

FLUSH_S = 5.0
"""How long a sample waits for others."""

TIMEOUT_S = 5.0
"""What one batch may take."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 60.0
"""How long a service is left alone that did not take a batch; doubled each time."""

LONGEST_AHEAD_S = 540.0
"""How far ahead of the clock a sample from the spool may be: Datadog, the strictest, takes ten minutes."""

FOR_DISK_S = 0.3
"""How much of the time for closing is kept for the disk."""

FOR_LAST_S = 0.5
"""How much before that nothing is begun that waits on disk: cut off after it has arrived, it would come again."""

log = logging.getLogger(__name__)


class Outbox:
    """Takes samples for a service. `wants` says which, by name; `idle` whether sending disturbs nobody now."""

    def __init__(
        self, service: Service, spool: Spool, wants: Container[str], idle: Callable[[], bool] = lambda: True
    ) -> None:
        self.service = service
        self.sent = self.dropped = 0
        self.trouble = ""
        self._spool, self._wants, self._idle = spool, wants, idle
        self._queue: deque[Sample] = deque()
        self._in_flight: Sequence[Sample] = ()
        self._pause_s, self._rests_until = FIRST_PAUSE_S, 0.0
        self._wake, self._closing = Event(), Event()
        self._begins_until = math.inf
        self._greenlet: gevent.Greenlet[..., None] | None = None

    def start(self) -> None:
        """Send from now on."""
        self._greenlet = gevent.spawn(self._work)

    def add(self, samples: Iterable[Sample]) -> None:
        """Take samples, and return at once."""
        self._queue.extend(sample for sample in samples if sample.name in self._wants)
        while len(self._queue) > MOST_WAITING:
            self._queue.popleft()
            self.dropped += 1
        if len(self._queue) >= AT_ONCE:
            self._wake.set()

    def counts(self) -> dict[str, int]:
        """Samples that were sent, lie on disk, and are lost, of this process and of what earlier ones left."""
        return {"sent": self.sent, "spooled": self._spool.waiting, "dropped": self.dropped}

    def ask_to_end(self, ends: float) -> None:
        """Begin to send what there is, for the last time, until `ends` (by `time.monotonic`)."""
        self._begins_until = ends - FOR_DISK_S - FOR_LAST_S
        self._closing.set()
        self._wake.set()

    def close(self, ends: float) -> None:
        """Send until `ends` (by `time.monotonic`) at most, and leave the rest on disk."""
        self.ask_to_end(ends)
        if self._greenlet is not None:
            self._greenlet.join(timeout=max(0.0, ends - FOR_DISK_S - time.monotonic()))
            if not self._greenlet.dead:
                self._greenlet.kill(timeout=FOR_DISK_S / 2)
                self._say("it did not answer in time")
        # what was under way may have arrived, and comes again all the same
        self._queue.extendleft(reversed(self._in_flight))
        self._in_flight = ()
        while batch := self._next_batch():
            self._keep(batch)

    def _work(self) -> None:
        closing = False
        while not closing:
            self._wake.wait(FLUSH_S)
            self._wake.clear()
            closing = self._closing.is_set()
            if closing or self._idle():
                self._turn()

    def _turn(self) -> None:
        while batch := self._next_batch():
            self._in_flight = batch
            done = time.monotonic() >= self._rests_until and self._delivered(batch)
            self._in_flight = ()
            if not done:
                self._keep(batch)
        if time.monotonic() >= self._rests_until:
            try:
                self._send_spooled()
            except OSError as problem:  # what was sent cannot be removed
                self._say(f"its spool cannot be used: {problem.strerror}")

    def _next_batch(self) -> list[Sample]:
        """The oldest samples; those of one second stay together, as a service may keep but one value of it."""
        batch: list[Sample] = []
        while self._queue and (len(batch) < AT_ONCE or int(self._queue[0].at) == int(batch[-1].at)):
            batch.append(self._queue.popleft())
        return batch

    def _send_spooled(self) -> None:
        with self._spool.to_be_sent() as batches:
            for batch in batches:
                if not self._may_go_on():
                    return
                samples = batch.read()
                fresh = [sample for sample in samples or () if self._takes_still(sample)]
                if fresh and not self._delivered(fresh):
                    return
                self.dropped += (batch.count if samples is None else len(samples)) - len(fresh)
                batch.remove()

    def _may_go_on(self) -> bool:
        return time.monotonic() < self._begins_until if self._closing.is_set() else self._idle()

    def _takes_still(self, sample: Sample) -> bool:
        """Whether a sample, maybe another version's or by another clock, still is one for the service."""
        return sample.name in self._wants and -LONGEST_AHEAD_S < time.time() - sample.at < self.service.longest_past_s

    def _delivered(self, batch: Sequence[Sample]) -> bool:
        """Whether the service is done with a batch: it has taken it, or never will."""
        said = self._asked(batch)
        if said.fate is Fate.LATER:
            self._say(said.why)
            self._rests_until = time.monotonic() + max(said.wait_s, self._pause_s)
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            return False
        self._pause_s = FIRST_PAUSE_S
        if said.fate is Fate.DELIVERED:
            self.sent += len(batch)
            self._say("")
        else:
            self.dropped += len(batch)
            self._say(said.why)
        return True

    def _asked(self, batch: Sequence[Sample]) -> Said:
        try:
            with gevent.Timeout(TIMEOUT_S):
                return self.service.send(batch, TIMEOUT_S)
        except gevent.Timeout:
            return Said(Fate.LATER, "it does not answer in time")
        except Exception as problem:  # noqa: BLE001 - a library may raise anything, and no probe is to notice
            return Said(Fate.LATER, f"{type(problem).__name__} while sending")

    def _keep(self, batch: Sequence[Sample]) -> None:
        if not batch:
            return
        if self.service.longest_past_s <= 0.0:
            self.dropped += len(batch)
            return
        try:
            self.dropped += self._spool.write(batch)
        except SmokeprobeError as problem:
            self.dropped += len(batch)
            self._say(str(problem))

    def _say(self, trouble: str) -> None:
        if trouble and not self.trouble:
            log.warning("%s: %s. Probing goes on.", self.service.name, trouble)
        elif self.trouble and not trouble:
            log.info("%s takes samples again", self.service.name)
        self.trouble = trouble
