"""A master's permits: out of the ledger, as for a run on this machine, but carried to a worker."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from probes.errors import LedgerError, NoBudgetError, PausedError
from probes.safety.brakes import LedgerBrakes
from probes.safety.ledger import HANDOVER_S, KEEP_S
from probes.safety.limits import CLOCK_RATE
from probes.safety.permits import Permit, Usage
from probes.swarm.board import LimitSeen, limit_seen
from probes.swarm.desk import CLEANUP_S, limit_use, open_authority, permit_s
from probes.swarm.equipment import Equipment

log = logging.getLogger(__name__)


class LedgerGrants:
    """Grants, settles, and takes into the ledger what the target asked of a worker."""

    def __init__(self, equipment: Equipment) -> None:
        """Raises LedgerError where there is no ledger: a master without one is of no use."""
        self._equipment = equipment
        self._ledger, self._authority = open_authority(equipment)
        self._waits_until = time.monotonic() + (self._longest_s() if self._ledger.is_empty() else 0.0)
        self._brakes = LedgerBrakes(self._ledger, self._authority, equipment.settings.rate_limits, equipment.target)
        self._open: dict[str, Permit] = {}
        self._begun_at = time.monotonic()
        self.trouble = ""

    def grant(self, check: str, region: str, *, egress: str) -> Permit:
        """Leave to run a check once. Raises what `Authority.grant` raises.

        Where the ledger is new, an earlier master may have had another one: for as long as what that had granted can
        count, nothing is granted.
        """
        if (left_s := self._waits_until - time.monotonic()) > 0:
            raise NoBudgetError(
                f"The ledger is new: what an earlier master granted may count for {left_s:.0f} s.", left_s
            )
        planned, settings = self._equipment.checks[check], self._equipment.settings
        own, cleanup = planned.quota()
        permit = self._authority.grant(
            check, quota=own, cleanup=cleanup, account=planned.account,
            deadline_s=permit_s(planned, settings, settings.run.checks_s), cleanup_s=CLEANUP_S,
            region=region, egress=egress,
        )  # fmt: skip
        self._open[permit.id] = permit
        return permit

    def _longest_s(self) -> float:
        """How long the longest permit and the longest window after it last."""
        settings = self._equipment.settings
        permits = [permit_s(check, settings, settings.run.checks_s) for check in self._equipment.checks.values()]
        windows = [limit.hold_s * CLOCK_RATE for limit in settings.rate_limits]
        return max(permits, default=0.0) + CLEANUP_S + HANDOVER_S + max(windows, default=0.0)

    def settle(self, usage: Usage) -> None:
        """What a worker has used of a permit; a second time changes nothing. Never raises: it then counts as used."""
        permit = self._open.pop(usage.permit, None)
        if permit is None:
            return  # of a master before this one: its reservation counts until its end, as the ledger has it
        try:
            self._ledger.settle(permit, usage)
        except LedgerError as problem:
            log.warning("%s", problem)

    def paused(self) -> PausedError | None:
        """Why nothing may be sent just now."""
        try:
            return self._authority.paused()
        except LedgerError as problem:
            return PausedError(problem.message, None)

    def limits_used(self) -> list[LimitSeen]:
        """The worst window of each limit within the last hour, or since this master began."""
        limits = self._equipment.settings.rate_limits
        since_s = min(KEEP_S, time.monotonic() - self._begun_at + 1.0)
        try:
            limits = self._ledger.lowered(self._equipment.target, limits)
            peaks = self._ledger.peaks(self._equipment.target, limits, since_s)
            self.trouble = ""
        except LedgerError as problem:
            self.trouble = str(problem)
            return []
        return [limit_seen(limit_use(limit, peaks.get(limit.name, 0))) for limit in limits]

    def target_asked(self, body: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
        """Take into the ledger what a worker heard; what the others are to be told, if anything."""
        match body["what"]:
            case "pause":
                seconds = float(body["seconds"])
                self._brakes.asked_to_pause(seconds)
                return "pause", {"why": "the target asked for a pause (X-Smokeprobe-Pause)", "seconds": seconds}
            case "slow down":
                method, path, seconds = str(body["method"]), str(body["path"]), float(body["seconds"])
                self._brakes.asked_to_slow_down(method, path, seconds)
                limits = [each.name for each in self._equipment.settings.rate_limits if each.covers_call(method, path)]
                return "hold", {"limits": limits, "why": "the target asked to slow down", "seconds": seconds}
            case "limit":
                self._brakes.limit_seen(str(body["method"]), str(body["path"]), int(body["requests"]))
        return None
