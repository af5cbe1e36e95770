"""Where a check's permit comes from, and goes back to: this machine's ledger, or (in a worker) the region's master."""

from __future__ import annotations

import time
from typing import Any, Protocol

from probes.checks.base import Check
from probes.clients.http import Brakes
from probes.config.models import Settings
from probes.errors import LedgerError, PausedError
from probes.model import LimitUse
from probes.safety.brakes import LedgerBrakes
from probes.safety.ledger import KEEP_S, Authority, Ledger, open_ledger
from probes.safety.limits import RateLimit
from probes.safety.permits import Meter
from probes.swarm.equipment import Equipment

AnyCheck = Check[Any]

CLEANUP_S = 4.0
"""How long after a check's own time its log-out may still be sent."""


class Desk(Protocol):
    """Hands out permits, one for each run of a check, and takes them back."""

    @property
    def brakes(self) -> Brakes:
        """Who may stop what is sent under them."""

    def grant(self, check: AnyCheck, deadline_s: float) -> Meter:
        """Leave to run a check for so many seconds.

        Raises NoBudgetError where there is no room just now, PausedError and LedgerError.
        """

    def settle(self, meter: Meter) -> None:
        """A check is done; never raises: what cannot be given back counts as used."""

    def paused(self) -> PausedError | None:
        """Why nothing may be sent just now, if so."""

    def limits_used(self, since: float) -> tuple[LimitUse, ...]:
        """The worst window of each limit since a reading of `time.monotonic`."""


class LedgerDesk:
    """The ledger of this machine, of which this run draws on one share."""

    def __init__(self, equipment: Equipment) -> None:
        self._equipment = equipment
        self._ledger: Ledger | None = None
        self._authority: Authority | None = None
        self._trouble = ""
        try:
            self._ledger, self._authority = open_authority(equipment)
        except LedgerError as problem:
            self._trouble = str(problem)

    @property
    def trouble(self) -> str:
        """What the ledger's last trouble was; empty if it has had none."""
        return self._trouble

    @property
    def brakes(self) -> Brakes:
        """The ledger's, which every process of this machine heeds."""
        ledger, authority = self._opened()
        return LedgerBrakes(ledger, authority, self._equipment.settings.rate_limits, self._equipment.target)

    def grant(self, check: AnyCheck, deadline_s: float) -> Meter:
        """Reserve it in the ledger."""
        _, authority = self._opened()
        own, cleanup = check.quota()
        permit = authority.grant(
            check.name, quota=own, cleanup=cleanup, account=check.account, deadline_s=deadline_s, cleanup_s=CLEANUP_S
        )
        return authority.meter(permit)

    def settle(self, meter: Meter) -> None:
        """Free what was not used."""
        try:
            self._opened()[1].settle(meter.permit, meter)
        except LedgerError as problem:  # the reservation then counts wholly until its end: less is sent, not more
            self._trouble = str(problem)

    def paused(self) -> PausedError | None:
        """As the ledger has it; where it cannot be read, everything is paused."""
        try:
            return self._opened()[1].paused()
        except LedgerError as problem:
            return PausedError(problem.message, None)

    def limits_used(self, since: float) -> tuple[LimitUse, ...]:
        """All processes of this machine counted, as far back as the ledger remembers."""
        limits = self._equipment.settings.rate_limits
        peaks: dict[str, int] = {}
        try:
            ledger, _ = self._opened()
            limits = ledger.lowered(self._equipment.target, limits)
            peaks = ledger.peaks(self._equipment.target, limits, min(KEEP_S, time.monotonic() - since + 1.0))
        except LedgerError as problem:
            self._trouble = str(problem)
        return tuple(limit_use(limit, peaks.get(limit.name, 0)) for limit in limits)

    def _opened(self) -> tuple[Ledger, Authority]:
        if self._ledger is None or self._authority is None:
            raise LedgerError(self._trouble)
        return self._ledger, self._authority


def open_authority(equipment: Equipment) -> tuple[Ledger, Authority]:
    """The ledger, and who draws on it for this share of the target. Raises LedgerError."""
    options, settings = equipment.options, equipment.settings
    ledger = open_ledger(options.state, options.database_url)
    authority = Authority(
        ledger,
        target=equipment.target,
        share=options.share,
        share_fraction=settings.shares[options.share],
        limits=settings.rate_limits,
        region=options.region,
    )
    return ledger, authority


def permit_s(check: AnyCheck, settings: Settings, left_s: float) -> float:
    """How long a permit must last: the check's own time, and where requests wait for each other, all there is."""
    spaced = any(limit.spaced for limit in settings.rate_limits)
    return left_s if spaced else min(left_s, check.options.timeout + 0.5)


def limit_use(limit: RateLimit, peak: int) -> LimitUse:
    """A limit with its ceiling; where it is spaced, the part of a request that fits into a window."""
    ceiling = float(limit.ceiling) if limit.ceiling else round(limit.window_s / limit.hold_s, 3)
    return LimitUse(limit.name, limit.requests, limit.window_s, ceiling, peak)
