"""The master's side of a tick: from the occasion, over one worker and one permit, to one verdict or none.

A tick is offered to one worker of its region at a time. Whoever is free asks for it, reading its own clock; only then
is a permit made, once for each tick, so an offer that is lost or late costs nothing, and no tick is ever run twice.
From then on the tick is that worker's: where it is lost, so is the tick, and that is said as `no data`. Pure: it is
told what came and what time it is, and posts through what it was given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from probes.errors import LedgerError, NoBudgetError, PausedError
from probes.safety.permits import Permit
from probes.swarm.schedule import Occasion

OFFER_S = 5.0
"""How long a worker has to ask for a tick that it was offered, before another one is."""

LATE_S = 5.0
"""How much later than its permit's end a verdict may come: log-outs, and the way."""

Reason = Literal["no worker", "workers busy", "worker lost", "no answer", "no budget", "paused", "no ledger"]


class Post(Protocol):
    """Sends a worker a message that arrives, and once."""

    def __call__(self, client: str, kind: str, body: Mapping[str, Any]) -> object:
        """Send it."""


class Grants(Protocol):
    """Who makes permits."""

    def grant(self, check: str, region: str, *, egress: str, confirms: bool) -> Permit:
        """Leave to run a check once, from an address of `egress`; empty where nothing bears out whose address it is.

        What only confirms a failure is tried once, and so gets a smaller permit.

        Raises NoBudgetError, PausedError and LedgerError.
        """


@dataclass(slots=True)
class Worker:
    """A worker that has joined."""

    client: str
    region: str
    checks: frozenset[str]
    verified: bool = False  # whether something bears its region out
    offered_at: float = -math.inf  # when it was last offered something: who waited longest is asked first
    ticks: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Tick:
    """An occasion under way. `permit` is there once a worker has asked, `since` says since when it is as it is."""

    occasion: Occasion
    since: float
    client: str = ""
    permit: Permit | None = None
    waits_until: float = 0.0
    why: Reason = "no worker"
    detail: str = ""

    @property
    def id(self) -> str:
        """Names the tick: a region and check have each number once, and perhaps a confirmation at the same moment."""
        again = "/again" if self.occasion.confirms else ""
        return f"{self.occasion.region}/{self.occasion.check}/{self.occasion.number}{again}"


@dataclass(frozen=True, slots=True)
class NoData:
    """An occasion that has come to no verdict, and why."""

    region: str
    check: str
    why: Reason
    detail: str
    confirms: bool = False  # it was to confirm a failure, and was not planned


def no_data(occasion: Occasion, why: Reason, detail: str) -> NoData:
    """What is to be said of an occasion that has come to nothing."""
    return NoData(occasion.region, occasion.check, why, detail, confirms=occasion.confirms is not None)


class Ticks:
    """All ticks under way, and the workers that they are for. `no_data` is told of each that comes to nothing."""

    def __init__(self, post: Post, grants: Grants, no_data: Callable[[NoData], None]) -> None:
        self._post, self._grants, self._no_data = post, grants, no_data
        self._workers: dict[str, Worker] = {}
        self._ticks: dict[str, Tick] = {}

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Those that have joined and are not lost."""
        return tuple(self._workers.values())

    @property
    def under_way(self) -> tuple[Tick, ...]:
        """Ticks that have come to nothing yet."""
        return tuple(self._ticks.values())

    def able(self, region: str) -> frozenset[str]:
        """The checks that some worker of a region can do."""
        return frozenset().union(*(worker.checks for worker in self._workers.values() if worker.region == region))

    def join(self, client: str, region: str, checks: frozenset[str], *, verified: bool = False) -> None:
        """A worker is there, or there anew: then what it had is lost."""
        if client in self._workers:
            self.lost(client, 0.0)
        self._workers[client] = Worker(client, region, checks, verified)

    def lost(self, client: str, now: float) -> None:
        """A worker is gone. What it had asked for may still be running; what it was merely offered is not."""
        worker = self._workers.pop(client, None)
        for id_ in worker.ticks if worker else ():
            tick = self._ticks.get(id_)
            if tick is not None and tick.permit is not None:
                self._come_to_nothing(tick, "worker lost", f"{client} had its permit")
            elif tick is not None:
                self._withdraw(tick, now, "worker lost")

    def begin(self, occasion: Occasion, now: float) -> None:
        """An occasion has come."""
        tick = Tick(occasion, now)
        self._ticks[tick.id] = tick
        self._offer(tick, now)

    def keep(self, region: str, checks: Collection[str]) -> None:
        """Of a region, no other checks are planned by now: what has no permit yet is not run, and is no trouble."""
        for tick in list(self._ticks.values()):
            if tick.occasion.region == region and tick.occasion.check not in checks and tick.permit is None:
                self._forget(tick)

    def turn(self, now: float) -> None:
        """Go on with what waits: for a worker, for room, or for an answer."""
        for tick in list(self._ticks.values()):
            if tick.permit is not None:
                if now > tick.since + tick.permit.ends_in_s + LATE_S:
                    self._come_to_nothing(tick, "no answer", f"{tick.client} has not said what came of it")
            elif now >= tick.occasion.ends:
                self._come_to_nothing(tick, tick.why, tick.detail)
            elif tick.client and now > tick.since + OFFER_S:
                self._withdraw(tick, now, "no answer")
            elif not tick.client and now >= tick.waits_until:
                self._offer(tick, now)

    def asked(self, client: str, id_: str, now: float) -> None:
        """A worker is free for a tick that it was offered: it gets a permit, or hears why not."""
        tick, worker = self._ticks.get(id_), self._workers.get(client)
        if (
            worker is None
            or tick is None
            or tick.client != client
            or tick.permit is not None
            or now >= tick.occasion.ends
        ):
            self._post(client, "denied", {"tick": id_, "why": "it is somebody else's by now, or over"})
            return
        try:
            egress = worker.region if worker.verified else ""
            occasion = tick.occasion
            permit = self._grants.grant(
                occasion.check, occasion.region, egress=egress, confirms=occasion.confirms is not None
            )
        except NoBudgetError as empty:
            self._deny(tick, now, "no budget", empty.message, empty.retry_in_s)
        except PausedError as paused:
            self._deny(tick, now, "paused", paused.message, paused.retry_in_s or tick.occasion.ends - now)
        except LedgerError as broken:
            self._deny(tick, now, "no ledger", str(broken), OFFER_S)
        else:
            tick.permit, tick.since = permit, now
            self._post(client, "permit", {"tick": id_, "permit": permit.to_json()})

    def done(self, client: str, id_: str) -> Tick | None:
        """A worker has come to a verdict on a tick: the tick, once, and only if it was that worker's."""
        tick = self._ticks.get(id_)
        if tick is None or tick.client != client or tick.permit is None:
            return None
        self._forget(tick)
        return tick

    def _offer(self, tick: Tick, now: float) -> None:
        occasion = tick.occasion
        here = [each for each in self._workers.values() if each.region == occasion.region]
        able = [each for each in here if occasion.check in each.checks]
        free = [each for each in able if not each.ticks]
        if not free:
            tick.why, tick.detail = ("workers busy", "") if able else ("no worker", "")
            return
        worker = min(free, key=lambda each: each.offered_at)
        worker.offered_at = now
        worker.ticks.add(tick.id)
        tick.client, tick.since = worker.client, now
        tick.why, tick.detail = "no answer", ""  # until there is one
        body = {"tick": tick.id, "check": occasion.check}
        self._post(worker.client, "offer", body)

    def _withdraw(self, tick: Tick, now: float, why: Reason) -> None:
        if tick.client in self._workers:
            self._workers[tick.client].ticks.discard(tick.id)
        tick.client, tick.since, tick.why = "", now, why

    def _deny(self, tick: Tick, now: float, why: Reason, detail: str, retry_in_s: float) -> None:
        self._post(tick.client, "denied", {"tick": tick.id, "why": detail})
        self._withdraw(tick, now, why)
        tick.detail, tick.waits_until = detail, now + max(0.5, retry_in_s)

    def _come_to_nothing(self, tick: Tick, why: Reason, detail: str) -> None:
        self._forget(tick)
        self._no_data(no_data(tick.occasion, why, detail))

    def _forget(self, tick: Tick) -> None:
        del self._ticks[tick.id]
        if tick.client in self._workers:
            self._workers[tick.client].ticks.discard(tick.id)
