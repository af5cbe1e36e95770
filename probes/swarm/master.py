"""The master of one region or several: plans ticks, gives each to one worker on one permit, gathers the verdicts."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import gevent

from probes.errors import PausedError, SmokeprobeError
from probes.heartbeat import Heartbeat, heartbeat_of
from probes.model import Outcome, Verdict
from probes.safety.permits import Usage, boot_clock
from probes.swarm.alerting import alerting_of_master
from probes.swarm.board import Snapshot
from probes.swarm.confirm import Confirmations, Judged
from probes.swarm.dispatcher import OneUserPerCheckAndWorker
from probes.swarm.equipment import Equipment
from probes.swarm.fleet import FLEET_MESSAGE, TURN_S
from probes.swarm.grants import LedgerGrants
from probes.swarm.link import MasterLinks
from probes.swarm.link_session import Received
from probes.swarm.members import Members
from probes.swarm.open_port import guard_master
from probes.swarm.reporting import HEALTH_EVERY_S, reporter_of, tell_health
from probes.swarm.results import Results
from probes.swarm.schedule import Occasion, Schedule
from probes.swarm.statistics import forget_old
from probes.swarm.status import Status, serve_status
from probes.swarm.ticks import Ticks, no_data

if TYPE_CHECKING:
    from gevent.pywsgi import WSGIServer
    from locust.env import Environment
    from locust.runners import MasterRunner

DRAIN_S = 8.0
"""How long a master that ends waits for the verdicts of what is under way, and until they are written."""

LEAST_TO_WRITE_S = 1.0
"""How much of that there is for writing, however long the verdicts took."""

EARLY_KEPT = 256
"""So many verdicts may come before their worker has said who it is."""

A_DAY_S = 86400.0
"""How long a worker keeps still that is told of a pause without an end, should it never hear of the master again."""

UNREADABLE = (AttributeError, KeyError, OverflowError, TypeError, ValueError)
"""What comes of a message that is not as it should be."""

log = logging.getLogger(__name__)


class MasterSession:
    """Holds a master together. It runs no check itself."""

    once = False

    def __init__(self, regions: Mapping[str, Equipment], key: bytes, status_port: int = 0) -> None:
        """`regions` has what each needs; one at least. Raises LedgerError where there is no ledger."""
        self.equipment = next(iter(regions.values()))
        self._regions = dict(regions)
        self.checks = tuple(dict.fromkeys(name for each in regions.values() for name in each.ever_planned))
        self._links = MasterLinks(key, self._send)
        self._grants = LedgerGrants(regions)
        self._reporter = reporter_of(self.equipment, "master", "fleet", lambda: True)
        self._heartbeat = heartbeat_of(self.equipment.options, os.environ)
        self._alerting = alerting_of_master(regions)
        self.results = Results(self.equipment, self.checks, self._reporter, self._heartbeat)
        self._ticks = Ticks(self._links.post, self._grants, self.results.not_judged)
        self._schedule = Schedule()
        self._confirmations = Confirmations()
        self._environment: Environment | None = None
        self._members = Members(self._links, self._ticks, self._is_ours)
        self._early: deque[Received] = deque(maxlen=EARLY_KEPT)
        guard_master(self._members.__contains__, self._links.reject)
        self._paused = ""
        self._status_port = status_port
        self._server: WSGIServer | None = None
        self._turned_at = boot_clock()
        self._draining = self._deaf = False
        self._greenlets: list[gevent.Greenlet[..., Any]] = []

    def begin(self, environment: Environment) -> None:
        """Listener's work at Locust's `init`: open the door, and begin to plan."""
        self._environment = environment
        environment.dispatcher_class = OneUserPerCheckAndWorker
        if environment.parsed_options is not None:
            # Locust's headless master starts once and ends with its last worker; this one waits for whoever comes
            environment.parsed_options.headless = False
        self._runner.register_message(FLEET_MESSAGE, self._on_message)
        for region, equipment in self._regions.items():
            self._plan(region, equipment)
        if self._status_port:
            shelf = self._reporter.shelf() if self._reporter is not None else None
            self._server = serve_status(Status(self.snapshot, self._turned_s, shelf), "127.0.0.1", self._status_port)
        self._greenlets = [
            gevent.spawn(self._for_ever, self._turn, TURN_S),
            gevent.spawn(self._for_ever, self._keep_users, 1.0),
        ]
        if self._reporter is not None:
            self._reporter.start()
            tell = partial(tell_health, self._reporter, self.snapshot)
            self._greenlets.append(gevent.spawn(self._for_ever, tell, HEALTH_EVERY_S))
        if self._heartbeat is not None:
            self._greenlets.append(gevent.spawn(self._for_ever, partial(_beat, self._heartbeat), 1.0))
        self.results.history.begin()
        if self._alerting is not None:
            self._alerting.begin()
        log.info("master of %s, share %s", self._names, self.equipment.options.share)

    def rest_s(self, name: str) -> float:  # noqa: ARG002 - the protocol's
        """Users belong to workers."""
        return 0.0

    def run_check(self, name: str) -> Verdict | None:
        """Users belong to workers; a master has none."""
        raise SmokeprobeError(f"a master runs no check, so not {name} either.")

    def tell(self, verdict: Verdict | None, name: str) -> None:
        """Nor has it anything to tell itself."""

    def end(self, environment: Environment) -> None:
        """Listener's work at `quitting`: plan nothing more, hear what is under way, and see that it is written.

        What comes later is not acknowledged, and the workers stay as they are: they tell it to the next master.
        """
        if self._draining:
            return  # on SIGTERM Locust fires `quitting` twice
        self._draining = True
        ends = boot_clock() + DRAIN_S
        while any(tick.permit is not None for tick in self._ticks.under_way) and boot_clock() < ends:
            gevent.sleep(TURN_S)
        gevent.killall(self._greenlets, block=False)
        self._deaf = True
        left_s = max(LEAST_TO_WRITE_S, ends - boot_clock())
        closing = gevent.spawn(self._reporter.close, left_s) if self._reporter is not None else None
        alerting = self._alerting
        told = gevent.spawn(alerting.close, left_s) if alerting is not None else None
        self.results.history.close(left_s)
        if told is not None:
            told.join()
        if closing is not None:
            closing.join()
        self._runner.clients.clear()  # Locust would tell them to quit
        if self._server is not None:
            self._server.stop(timeout=0.5)
        environment.process_exit_code = 0

    def snapshot(self) -> Snapshot:
        """All that a master knows."""
        now = boot_clock()
        paused, limits = self._grants.paused(), self._grants.limits_used()
        ledger, history, reporter = self._grants.trouble, self.results.history, self._reporter
        return {
            "region": self._names,
            "target": self.equipment.target,
            "cells": self.results.board.to_json(now),
            "quorums": self.results.quorums(),
            "workers": [
                {
                    "client": worker.client[:60],
                    "region": worker.region,
                    "verified": worker.verified,
                    "heard_s": round(self._links.last_heard_s(worker.client), 1),
                    "ticks": sorted(worker.ticks),
                }
                for worker in self._ticks.workers
            ],
            "ticks_under_way": len(self._ticks.under_way),
            "under_way": [
                {"region": tick.occasion.region, "check": tick.occasion.check, "runs": tick.permit is not None}
                for tick in self._ticks.under_way
            ],
            "rejected": {client: dict(reasons) for client, reasons in self._links.rejected.items()},
            "limits": limits,
            "paused": paused.message if paused else "",
            "trouble": " ".join(filter(None, self._troubles())),
            "own_health": {
                "turned_s": round(self._turned_s(), 3),
                "unacknowledged": self._links.unacknowledged,
                "unwritten": history.unwritten,
                "lost": history.lost,
                "ledger": ledger,
                "store": history.trouble,
            },
            "sinks": reporter.sinks() if reporter is not None else {},
        }

    def _troubles(self) -> Iterator[str]:
        yield self._grants.trouble
        yield self.results.history.trouble
        if self._alerting is not None:
            yield self._alerting.trouble
        if self._reporter is not None:
            yield from self._reporter.troubles()

    def _turned_s(self) -> float:
        return boot_clock() - self._turned_at

    @property
    def _names(self) -> str:
        return ", ".join(self._regions)

    @property
    def _runner(self) -> MasterRunner:
        from locust.runners import MasterRunner

        runner = self._environment.runner if self._environment else None
        if not isinstance(runner, MasterRunner):
            raise SmokeprobeError("Locust has no master's runner yet.")
        return runner

    def _plan(self, region: str, equipment: Equipment) -> None:
        self.results.plan(region, equipment.intervals, equipment.left_out)
        self._schedule.add_region(region, equipment.intervals, boot_clock())
        self._ticks.keep(region, equipment.intervals)

    def follow_the_clock(self) -> None:
        """An override may begin or end in any region."""
        for region, equipment in self._regions.items():
            if (now := equipment.now()) is not equipment:
                log.info("region %s: an override has begun or ended", region)
                self._regions[region] = now
                self._grants.use(region, now)
                self._plan(region, now)

    def _for_ever(self, turn: Callable[[], None], pause_s: float) -> None:
        while True:
            try:
                turn()
            except Exception as problem:  # noqa: BLE001 - whatever it is: a master whose loop has ended is silent
                log.error("a turn of the master broke: %s", type(problem).__name__)  # noqa: TRY400 - no traceback
                gevent.sleep(1.0)
            gevent.sleep(pause_s)

    def _turn(self) -> None:
        """Everything that time brings: nothing here waits for anything."""
        now = boot_clock()
        self._members.look(now, self._runner.clients)
        self._tell_of_pauses()
        for occasion in self._schedule.due(now) if not self._draining else ():
            self._ticks.begin(occasion, now)
        self._ticks.turn(now)
        self._links.turn()
        self._turned_at = now

    def _keep_users(self) -> None:
        """Locust stops its test with the last worker: start it whenever there are workers."""
        self.follow_the_clock()
        runner = self._runner
        forget_old(runner.stats)
        if runner.worker_count and runner.state not in {"running", "spawning"} and not self._draining:
            runner.start(runner.worker_count * len(self.checks), 100.0)

    def _tell_of_pauses(self) -> None:
        paused = self._grants.paused()
        said = paused.message if paused else ""
        if said == self._paused or (said and self._paused):  # its remaining seconds change with every look
            return
        self._paused = said
        for client in self._links.sessions:
            if paused is not None:
                self._tell_of_pause(client, paused)
            else:
                self._links.post(client, "resume", {})

    def _tell_of_pause(self, client: str, paused: PausedError) -> None:
        self._links.post(client, "pause", {"why": paused.message, "seconds": paused.retry_in_s or A_DAY_S})

    def _send(self, client: str, message: dict[str, Any]) -> None:
        self._runner.send_message(FLEET_MESSAGE, message, client)

    def _on_message(self, environment: Environment, msg: Any, **_: Any) -> None:  # noqa: ARG002 - Locust's names
        received = None if self._deaf else self._links.receive(msg.node_id, msg.data)
        if received is not None:
            self._hear(received)

    def _hear(self, received: Received) -> None:
        try:
            self._heed(received)
        except UNREADABLE as problem:
            log.warning("a worker's message %s cannot be read: %s", received.kind, type(problem).__name__)

    def _heed(self, received: Received) -> None:
        client, body = received.client, received.body
        match received.kind:
            case "join":
                self._join(client, body)
            case "ask":
                self._ticks.asked(client, str(body["tick"]), boot_clock())
            case "verdict" if client not in self._members:
                self._early.append(received)
            case "verdict":
                self._count(client, body)
            case "alive":
                return  # that it was heard is all
            case "asked":
                self._target_asked(client, body)
            case _:
                log.warning("a worker says what this version does not know")

    def _is_ours(self, region: str, target: str) -> bool:
        return region in self._regions and target == self.equipment.target

    def _join(self, client: str, body: Mapping[str, Any]) -> None:
        if not self._members.join(client, body):
            self._links.post(client, "not ours", {"region": self._names, "target": self.equipment.target})
            return
        early, self._early = self._early, deque(maxlen=EARLY_KEPT)
        for received in early:
            self._hear(received)
        if paused := self._grants.paused():
            self._tell_of_pause(client, paused)

    def _count(self, client: str, body: Mapping[str, Any]) -> None:
        """Take a verdict in, whatever became of the tick meanwhile: what a worker has finished is not lost."""
        member = self._members[client]
        tick = self._ticks.done(client, str(body["tick"]))
        self._ticks.turn(boot_clock())  # there may be something that waits for this worker
        nothing = ""
        try:
            usage = Usage.from_json(body["usage"])
            self._grants.settle(usage)
            if body["verdict"] is None:
                nothing = "its permit came too late"
            else:
                verdict = self.results.judged(
                    body["verdict"],
                    usage.permit,
                    tick=tick,
                    region=member.region,
                    verified=member.verified,
                    client=client,
                )
                if verdict is not None and tick is not None:
                    self._look_again(tick.occasion, usage.permit, verdict.outcome)
        except UNREADABLE as problem:
            log.warning("a verdict of worker %s cannot be read: %s", client[:60], type(problem).__name__)
            nothing = "its verdict cannot be read"
        if nothing and tick is not None:
            self.results.not_judged(no_data(tick.occasion, "no answer", nothing))

    def _look_again(self, occasion: Occasion, permit: str, outcome: Outcome) -> None:
        judged = Judged(permit, occasion.region, occasion.check, outcome, occasion.confirms)
        regions = {
            region: {
                name
                for name in self._ticks.able(region)
                if name in equipment.intervals and equipment.checks[name].confirmable
            }
            for region, equipment in self._regions.items()
        }
        now = boot_clock()
        following = self._confirmations.following(judged, regions, now)
        if following is not None and not self._draining:
            self._ticks.begin(following, now)

    def _target_asked(self, client: str, body: Mapping[str, Any]) -> None:
        """What the target asked of one worker holds for all."""
        member = self._members.get(client)
        region = member.region if member else next(iter(self._regions))  # heeded, whether he has joined yet or not
        hold = self._grants.target_asked(region, body)
        for other in self._links.sessions:
            if hold is not None and other != client:
                self._links.post(other, hold[0], hold[1])


def _beat(heartbeat: Heartbeat) -> None:
    if trouble := heartbeat.turn():
        log.warning("%s Probing goes on.", trouble)
