"""A worker: runs what the master of its region offers it, on the master's permits, and tells what came of it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gevent
from gevent.queue import Queue
from pydantic import ValidationError

from probes import __version__
from probes.clients.browser import Browser
from probes.model import Verdict
from probes.pipeline import encode
from probes.regions import verify_region
from probes.safety.permits import Permit, boot_clock
from probes.swarm.conductor import Conductor
from probes.swarm.equipment import Equipment
from probes.swarm.fleet import FLEET_MESSAGE, KEY_VARIABLE, TURN_S
from probes.swarm.fleet_desk import FleetBrakes, FleetDesk
from probes.swarm.link import WorkerLink
from probes.swarm.link_session import Received
from probes.swarm.open_port import guard_worker
from probes.swarm.prewarm import IDLE_S, start_browser

if TYPE_CHECKING:
    from locust.env import Environment

ALIVE_S = 3.0
"""How often an idle worker says that it is there."""

DRAIN_S = 9.0
"""How long a worker that ends may take: to log out, and until a master, perhaps a new one, has heard what it found."""

FIRST_COMPLAINT_S, COMPLAIN_S = 5.0, 60.0
"""How soon a worker that has no master says so, and how often then."""

log = logging.getLogger(__name__)


class WorkerSession:
    """Holds a worker together. Locust's listeners are its methods; its users call `run_check` and `tell`."""

    once = False

    def __init__(self, equipment: Equipment, key: bytes, master: str) -> None:
        """`master` is where it is looked for, as people read it."""
        self.equipment = equipment
        self.checks = equipment.ever_planned
        self._environment: Environment | None = None
        self._link = WorkerLink(key, self._send)
        guard_worker(self._link.reject)
        self._sessions_opened = 0
        self._brakes = FleetBrakes(equipment.settings, self._link.post)
        self._desk = FleetDesk(equipment.target, self._brakes, self._link.post)
        self._conductor: Conductor | None = None
        self._browser: Browser | None = None
        self._verified = False
        self._ending = False
        self._finished: dict[str, Verdict] = {}
        self._offers: dict[str, Queue[str]] = {name: Queue() for name in self.checks}
        self._refused = ""
        # from now on, as Locust tries for minutes to find a master before it fires `init`
        self._greenlets: list[gevent.Greenlet[..., Any]] = [gevent.spawn(self._complain, master)]

    def begin(self, environment: Environment) -> None:
        """Listener's work at Locust's `init`: say hello, and go on saying what is due."""
        self._environment = environment
        self._browser, no_browser = start_browser(self.equipment, self.checks, at_once=False)
        self._conductor = Conductor(self.equipment, self._desk, self._browser, no_browser)
        assert environment.runner is not None  # noqa: S101 - Locust has made it before it fires `init`
        environment.runner.register_message(FLEET_MESSAGE, self._on_message)
        # at once, and once: it takes half a second at most, and is said with each `join`
        self._verified = verify_region(self.equipment.options.region, self.equipment.settings, os.environ).verified
        self._greenlets += [gevent.spawn(self._take_turns), gevent.spawn(self._conductor.heed_pauses)]

    def rest_s(self, name: str) -> float:  # noqa: ARG002 - the protocol's
        """The master minds the intervals: whoever has told its verdict is there for the next offer at once."""
        return 0.0

    def run_check(self, name: str) -> Verdict | None:
        """Wait for an offer, and run the check for it; None where that came to nothing that is to be told.

        Whoever waits here may be killed: what was under way is taken up by the next user of the check.
        """
        if self._conductor is None:
            return None
        tick = self._desk.ticks.get(name)
        if tick is None:
            tick = self._desk.ticks[name] = self._offers[name].get()
        verdict = self._conductor.run_check(name, _Silent())
        if self._desk.was_denied(tick):
            return None
        self._finished[name] = verdict  # until it is told: its user may be killed before that
        return verdict

    def tell(self, verdict: Verdict | None, name: str) -> None:
        """Tell the master what came of a check, and be free for its next tick."""
        tick = self._desk.ticks.pop(name, None)
        self._finished.pop(name, None)
        if tick is None:
            return
        usage = self._desk.usage_of(tick)
        if usage is not None:  # without a permit the tick is still to be run
            body = {"usage": usage.to_json(), "verdict": encode(verdict) if verdict else None}
            self._link.post("verdict", {"tick": tick, **body})

    def end(self, environment: Environment) -> None:
        """Listener's work at `quitting`: log out, tell what was seen, and see that it is heard."""
        if self._conductor is None or self._ending:
            return  # on SIGTERM Locust fires `quitting` twice
        self._ending = True
        ends = time.monotonic() + DRAIN_S
        self._conductor.end("interrupted", interrupted=True)
        for name in list(self._desk.ticks):
            self.tell(self._finished.get(name) or self._conductor.verdict_of(name), name)
        while self._link.unheard("alive", "ask") and time.monotonic() < ends:
            gevent.sleep(TURN_S)
        if unheard := self._link.unheard("alive", "ask"):
            log.warning("%d messages were not heard by the master", unheard)
        gevent.killall(self._greenlets, block=False)
        self._conductor.close()
        environment.process_exit_code = 0

    def _complain(self, master: str) -> None:
        """Say what keeps this worker from working, soon, and again and again."""
        wait_s = FIRST_COMPLAINT_S
        while True:
            gevent.sleep(wait_s)
            wait_s = COMPLAIN_S
            if self._refused:
                log.error("%s", self._refused)
            elif not self._link.connected:
                log.error("no answer from a master at %s: is it up, and is %s the same there?", master, KEY_VARIABLE)

    def _take_turns(self) -> None:
        next_alive = 0.0
        while True:
            if self._sessions_opened and not self._ending and boot_clock() >= next_alive:
                next_alive = boot_clock() + ALIVE_S
                self._link.post("alive", {"browser": self._browser is not None and self._browser.idle_s > 0.0})
            self._link.turn()
            if self._browser is not None and self._browser.idle_s > IDLE_S:
                self._browser.close()
            gevent.sleep(TURN_S)

    def _send(self, message: dict[str, Any]) -> None:
        if self._environment is not None and self._environment.runner is not None:
            self._environment.runner.send_message(FLEET_MESSAGE, message)

    def _on_message(self, environment: Environment, msg: Any, **_: Any) -> None:  # noqa: ARG002 - Locust's names
        received = self._link.receive(msg.data)
        if self._link.sessions_opened > self._sessions_opened:
            self._sessions_opened = self._link.sessions_opened
            self._join()
        if received is not None:
            self._heed(received)

    def _join(self) -> None:
        """Say who we are, to a master that may be a new one: Locust's own part of it has to know us as well."""
        about_us = {
            "client": self._client_id,
            "region": self.equipment.options.region,
            "verified": self._verified,
            "target": self.equipment.target,
            "checks": list(self.checks),
            "version": __version__,
        }
        self._refused = ""
        self._link.post("join", about_us)
        runner = self._environment.runner if self._environment else None
        if runner is not None and self._sessions_opened > 1:
            from locust import __version__ as locust_version

            runner.send_message("client_ready", locust_version)
        log.info("a master answers (session %d)", self._sessions_opened)

    @property
    def _client_id(self) -> str:
        """As Locust calls this worker: so that nobody in between can give it another's name."""
        runner = self._environment.runner if self._environment else None
        return str(getattr(runner, "client_id", ""))

    def _heed(self, received: Received) -> None:
        body = received.body
        try:
            self._heed_kind(received.kind, body)
        except (KeyError, TypeError, ValueError, ValidationError) as problem:
            log.warning("the master's message %s cannot be read: %s", received.kind, type(problem).__name__)

    def _heed_kind(self, kind: str, body: Mapping[str, Any]) -> None:
        match kind:
            case "offer":
                self._offer(str(body["tick"]), str(body["check"]))
            case "permit":
                self._desk.granted(str(body["tick"]), Permit.from_json(body["permit"]))
            case "denied":
                self._desk.denied(str(body["tick"]), str(body["why"]))
            case "pause":
                self._brakes.pause(str(body["why"]), float(body["seconds"]))
            case "resume":
                self._brakes.resume()
            case "hold":
                self._brakes.hold([str(name) for name in body["limits"]], str(body["why"]), float(body["seconds"]))
            case "not ours":
                ours = self.equipment.options.region, self.equipment.target
                theirs = str(body["region"]), str(body["target"])
                self._refused = "the master does not take us: we are of {} for {}, it is of {} for {}".format(
                    *ours, *theirs
                )
                log.error("%s", self._refused)
            case _:
                log.warning("the master says what this version does not know")

    def _offer(self, tick: str, check: str) -> None:
        """An offer is taken up by the user of its check: only ever the last one, as whatever came before it is over."""
        if check in self._offers and not self._ending:
            while not self._offers[check].empty():
                self._offers[check].get_nowait()
            self._offers[check].put(tick)


class _Silent:
    """Nobody watches a worker."""

    def attempt(self, check: str, number: int) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Tell the log."""
        log.info("%s", text)
