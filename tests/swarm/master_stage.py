"""A master without a fleet: what `… CONFIG STATE` reads from standard input is told to it as by a worker with the key.

Each line is a kind of message and its body, as JSON; `TICK` and `PERMIT` in a body stand for those of the worker's last
offer. What the master makes of it all is said as JSON. A process of its own, because a master is Locust's, and Locust
patches whatever process imports it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gevent
import locust  # noqa: F401 - first, so that it patches before anything else is there

from probes.options import RunOptions
from probes.safety.permits import boot_clock
from probes.swarm import members as members_module
from probes.swarm.equipment import equip_master
from probes.swarm.fleet import TURN_S
from probes.swarm.link import WorkerLink
from probes.swarm.master import MasterSession
from probes.swarm.schedule import Occasion

CLIENT = "worker-1"


class Stage:
    """The master, and the worker whose words are put into its mouth."""

    def __init__(self, config: str, state: str) -> None:
        self.master = MasterSession(equip_master(RunOptions(config=config, state_dir=state)), b"")
        self.master.follow_the_clock()
        for region, equipment in self.master._regions.items():  # noqa: SLF001 - `begin` wants all of Locust
            self.master._plan(region, equipment)  # noqa: SLF001 - the same
        self.master._links._send_to = self._to_worker  # noqa: SLF001 - the same
        self.worker = WorkerLink(b"", self._to_master)
        self.tick, self.permit = "", ""
        self.worker.turn()

    def _to_master(self, message: dict[str, Any]) -> None:
        message_of = SimpleNamespace(node_id=CLIENT, data=message)
        self.master._on_message(None, message_of)  # type: ignore[arg-type]  # noqa: SLF001 - as Locust calls it

    def _to_worker(self, _client: str, message: dict[str, Any]) -> None:
        received = self.worker.receive(message)
        if received is not None and received.kind == "offer":
            self.tick = received.body["tick"]
        if received is not None and received.kind == "permit":
            self.permit = received.body["permit"]["id"]

    def say(self, kind: str, body: str) -> None:
        """Say it, or do what is the stage's own."""
        own: dict[str, Callable[[Any], None]] = {
            "begin": self.begin,
            "break": self.break_a_turn,
            "turns": self.turns,
            "patience": self.patience,
        }
        if kind in own:
            own[kind](json.loads(body))
        else:
            self.worker.post(kind, json.loads(body.replace("TICK", self.tick).replace("PERMIT", self.permit)))

    def begin(self, check: str) -> None:
        """The occasion of a check has come."""
        self.master._ticks.begin(Occasion("local", check, 1, boot_clock() + 60), boot_clock())  # noqa: SLF001 - as above

    def break_a_turn(self, _why: str) -> None:
        """Let something of ours be wrong, once."""
        paused = self.master._grants.paused  # noqa: SLF001 - as above

        def broken() -> None:
            self.master._grants.paused = paused  # type: ignore[method-assign]  # noqa: SLF001 - as above
            raise RuntimeError("with a secret in it")

        self.master._grants.paused = broken  # type: ignore[method-assign]  # noqa: SLF001 - as above

    def patience(self, seconds: float) -> None:
        """Let the master lose and forget workers so soon."""
        members_module.LOST_S = members_module.FORGET_S = seconds

    def turns(self, count: int) -> None:
        """Let the loop go round."""
        MasterSession._runner = SimpleNamespace(clients={})  # type: ignore[assignment]  # noqa: SLF001 - as above
        loop = gevent.spawn(self.master._for_ever, self.master._turn, TURN_S)  # noqa: SLF001 - as above
        for _ in range(count):
            self.worker.turn()
            gevent.sleep(TURN_S)
        loop.kill()

    def found(self) -> dict[str, Any]:
        """What the master knows."""
        snapshot = self.master.snapshot()
        return {
            "cells": {cell["check"]: [cell["outcome"], cell["reason"]] for cell in snapshot["cells"]},
            "runs": sum(len(cell["runs"]) for cell in snapshot["cells"]),
            "remembered": [len(self.master._links.sessions), len(self.master._members)],  # noqa: SLF001 - as above
            "workers": len(snapshot["workers"]),
            "ticks": snapshot["ticks_under_way"],
            "turned_s": snapshot["own_health"]["turned_s"],
            "unwritten": snapshot["own_health"]["unwritten"],
        }


def main() -> None:
    """Play what standard input says."""
    stage = Stage(*sys.argv[1:])
    for line in sys.stdin:
        kind, body = json.loads(line)
        stage.say(kind, json.dumps(body))
    sys.stdout.write(json.dumps(stage.found()))


if __name__ == "__main__":
    main()
