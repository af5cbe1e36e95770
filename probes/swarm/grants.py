"""A master's permits: out of the ledger, as for a run on this machine, but carried to a worker of a region of its."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from probes.account_rules import permit_s
from probes.config.models import CLEANUP_S
from probes.errors import LedgerError, NoBudgetError, PausedError
from probes.safety.ledger import HANDOVER_S, KEEP_S
from probes.safety.limits import CLOCK_RATE, covering
from probes.safety.permits import Permit, Usage
from probes.swarm.board import LimitSeen, limit_seen
from probes.swarm.desk import LedgerDesk, ledger_of
from probes.swarm.equipment import Equipment

MOST_OWED = 256
"""So much of what the target asked for may wait for a ledger in trouble; the newest."""

MOST_REQUESTS = 1 << 62
"""No limit is higher; what a ledger holds has to end somewhere."""

log = logging.getLogger(__name__)


class LedgerGrants:
    """Grants, settles, and takes into the ledger what the target asked of a worker. Each region has its own limits."""

    def __init__(self, regions: Mapping[str, Equipment]) -> None:
        """Raises LedgerError where there is no ledger: a master without one is of no use."""
        self._regions = dict(regions)
        self._first = next(iter(regions))
        self._ledger = ledger_of(regions[self._first])
        self._desks = {region: LedgerDesk(equipment, self._ledger) for region, equipment in regions.items()}
        self._waits_until = 0.0
        if self._ledger.is_empty():
            self._wait()
        self._open: dict[str, tuple[Permit, float]] = {}
        self._newest: tuple[str, float] | None = None
        self._owed: deque[Callable[[], None]] = deque(maxlen=MOST_OWED)
        self._begun_at = time.monotonic()

    @property
    def trouble(self) -> str:
        """What the ledger's trouble is; empty while it answers."""
        return self._desks[self._first].trouble

    def use(self, region: str, equipment: Equipment) -> None:
        """From now on grant in a region as this says: an override has begun or ended."""
        self._regions[region] = equipment
        self._desks[region].use(equipment)

    def grant(self, check: str, region: str, *, egress: str, confirms: bool) -> Permit:
        """Leave to run a check once, by one try where it `confirms` a failure. Raises what `Authority.grant` raises.

        Where the ledger is new, also because ours was taken away, what was granted out of another one may count still:
        for as long as it can, nothing is granted.
        """
        self._pay()
        if self._is_another():
            log.error("the ledger is not the one that was there before")
            self._wait()
        if (left_s := self._waits_until - time.monotonic()) > 0:
            raise NoBudgetError(
                f"The ledger is new: what an earlier master granted may count for {left_s:.0f} s.", left_s
            )
        equipment = self._regions[region]
        planned, settings = equipment.checks[check], equipment.settings
        if confirms:
            planned = planned.once()
        permit = self._desks[region].permit(planned, permit_s(planned, settings, settings.run.checks_s), egress)
        now = time.monotonic()
        # what nobody ever settled: of workers that were lost
        self._open = {id_: each for id_, each in self._open.items() if each[1] > now - KEEP_S}
        self._open[permit.id] = permit, now
        self._newest = permit.id, now
        return permit

    def settle(self, usage: Usage) -> None:
        """What a worker has used of a permit; a second time changes nothing. Never raises: it then counts as used."""
        granted = self._open.pop(usage.permit, None)
        if granted is None:
            return  # of a master before this one: its reservation counts until its end, as the ledger has it
        try:
            self._ledger.settle(granted[0], usage)
        except LedgerError as problem:
            log.warning("%s", problem)

    def paused(self) -> PausedError | None:
        """Why nothing may be sent just now."""
        try:
            self._pay()
        except LedgerError as problem:
            return PausedError(problem.message, None)
        return self._desks[self._first].paused()

    def limits_used(self) -> list[LimitSeen]:
        """The worst window of each limit within the last hour, or since this master began; none without a ledger."""
        used = self._desks[self._first].limits_used(self._begun_at)
        return [] if self.trouble else [limit_seen(use) for use in used]

    def target_asked(self, region: str, body: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
        """Take into the ledger what a worker of a region heard; what the others are to be told, if anything.

        What the ledger does not take now it is told later, and until then nothing is granted. Raises KeyError,
        TypeError, ValueError or OverflowError where the worker makes no sense.
        """
        brakes, what = self._desks[region].brakes, body["what"]
        seconds = 0.0 if what == "limit" else float(body["seconds"])
        if not 0 <= seconds < math.inf:
            raise ValueError(f"{seconds} is no time")
        said: tuple[str, dict[str, Any]] | None = None
        match what:
            case "pause":
                self._owed.append(partial(brakes.asked_to_pause, seconds))
                said = "pause", {"why": "the target asked for a pause (X-Smokeprobe-Pause)", "seconds": seconds}
            case "slow down":
                method, path = str(body["method"]), str(body["path"])
                limits = [limit.name for limit in covering(self._regions[region].settings.rate_limits, method, path)]
                self._owed.append(partial(brakes.asked_to_slow_down, method, path, seconds))
                said = "hold", {"limits": limits, "why": "the target asked to slow down", "seconds": seconds}
            case "limit":
                requests = min(int(body["requests"]), MOST_REQUESTS)
                self._owed.append(partial(brakes.limit_seen, str(body["method"]), str(body["path"]), requests))
        try:
            self._pay()
        except LedgerError as problem:
            log.warning("%s", problem)
        return said

    def _pay(self) -> None:
        """Tell the ledger what the target asked for. Raises LedgerError, and then it is owed still."""
        while self._owed:
            owed = self._owed[0]
            owed()
            if owed in self._owed:  # others may have had their turn meanwhile
                self._owed.remove(owed)

    def _wait(self) -> None:
        self._waits_until = time.monotonic() + max(map(_longest_s, self._regions.values()))

    def _is_another(self) -> bool:
        """Whether the ledger has nothing of what we were last granted; told once. Raises LedgerError."""
        if self._newest is None or self._newest[1] < time.monotonic() - KEEP_S:
            return False
        another = not self._ledger.knows(self._newest[0])
        if another:
            self._newest = None
        return another


def _longest_s(equipment: Equipment) -> float:
    """How long the longest permit of a region and the longest window after it last."""
    settings = equipment.settings
    permits = [permit_s(check, settings, settings.run.checks_s) for check in equipment.checks.values()]
    windows = [limit.hold_s * CLOCK_RATE for limit in settings.rate_limits]
    return max(permits, default=0.0) + CLEANUP_S + HANDOVER_S + max(windows, default=0.0)
