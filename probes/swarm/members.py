"""Who has joined a master, who of them is lost or forgotten, and who is a stranger."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probes.safety.permits import boot_clock
from probes.swarm.fleet import KEY_VARIABLE
from probes.swarm.link import MasterLinks
from probes.swarm.ticks import Ticks

if TYPE_CHECKING:
    from locust.runners import WorkerNode

LOST_S = 12.0
"""A worker that was not heard of for so long is lost; what it has under way may still come."""

FORGET_S = 120.0
"""And after so long forgotten, with what it never acknowledged; should it come back, it joins anew."""

REASONS = {"mac": f"it is not signed with our {KEY_VARIABLE}"}
"""Why a message is not taken, where the word for it does not say it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Member:
    """What a worker said as it joined."""

    region: str
    checks: frozenset[str]
    verified: bool


class Members:
    """The workers of a master's regions; `is_ours` says whether a region and a target are its own."""

    def __init__(self, links: MasterLinks, ticks: Ticks, is_ours: Callable[[str, str], bool]) -> None:
        self._links, self._ticks, self._is_ours = links, ticks, is_ours
        self._members: dict[str, Member] = {}
        self._strangers: set[str] = set()

    def __contains__(self, client: object) -> bool:
        return client in self._members

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, client: str) -> Member:
        return self._members[client]

    def get(self, client: str) -> Member | None:
        """What a worker said as it joined; None of one that has not."""
        return self._members.get(client)

    def join(self, client: str, body: Mapping[str, Any]) -> bool:
        """Whether a worker is one of ours now; one that is not has nothing under way any more."""
        region, target = str(body["region"]), str(body["target"])
        if not self._is_ours(region, target) or str(body["client"]) != client:
            log.warning("a worker of region %r for %r is not ours", region[:40], target[:80])
            self._members.pop(client, None)
            self._ticks.lost(client, boot_clock())
            return False
        member = Member(region, frozenset(str(name) for name in body["checks"]), body["verified"] is True)
        self._members[client] = member
        self._ticks.join(client, region, member.checks, verified=member.verified)
        log.info("worker %s has joined region %s", client[:60], region)
        return True

    def look(self, now: float, nodes: Mapping[str, WorkerNode]) -> None:
        """See who is lost, back, or long gone; `nodes` is what Locust knows of them."""
        here = {worker.client for worker in self._ticks.workers}
        for client, member in self._members.items():
            node = nodes.get(client)
            missing = node is not None and node.state == "missing"  # three of Locust's own heartbeats have not come
            alive = self._links.last_heard_s(client) < LOST_S and not missing
            if alive and client not in here:
                self._ticks.join(client, member.region, member.checks, verified=member.verified)
            elif not alive and client in here:
                log.warning("worker %s of region %s is lost", client[:60], member.region)
                self._ticks.lost(client, now)
        for client in self._links.sessions:
            if self._links.last_heard_s(client) > FORGET_S:
                self._links.forget(client)
                self._members.pop(client, None)
        self._tell_of_strangers()

    def _tell_of_strangers(self) -> None:
        """Once for each: their number is bounded, see `MOST_NAMED`."""
        for client in self._links.rejected.keys() - self._strangers:
            self._strangers.add(client)
            reasons = ", ".join(REASONS.get(reason, reason) for reason in self._links.rejected[client])
            log.warning("what %s sends is not taken: %s", client, reasons)
