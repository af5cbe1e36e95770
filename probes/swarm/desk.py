"""Where a check's permit comes from, and goes back to: this machine's ledger, or (in a worker) the region's master."""

from __future__ import annotations

import time
from typing import Any, Protocol

from probes.account_rules import hold_s
from probes.checks.base import Check
from probes.clients.http import Brakes
from probes.config.models import CLEANUP_S
from probes.errors import LedgerError, PausedError
from probes.model import LimitUse
from probes.safety.brakes import LedgerBrakes
from probes.safety.ledger import KEEP_S, Authority, Ledger, open_ledger
from probes.safety.limits import RateLimit
from probes.safety.permits import Meter, Permit
from probes.swarm.equipment import Equipment

AnyCheck = Check[Any]


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

    def use(self, equipment: Equipment) -> None:
        """From now on grant as this says: an override has begun or ended."""


class LedgerDesk:
    """The ledger, of which a region draws on one share."""

    def __init__(self, equipment: Equipment, ledger: Ledger | None = None) -> None:
        """Open the ledger where none is given; one that cannot be opened shows with the first use."""
        self._equipment = equipment
        self._ledger = ledger
        self._authority: Authority | None = None
        self.trouble = ""
        """What the ledger's trouble is; empty while it answers."""
        try:
            self._ledger = ledger or ledger_of(equipment)
        except LedgerError as problem:
            self.trouble = str(problem)
        else:
            self._authority = _authority(equipment, self._ledger)

    @property
    def brakes(self) -> Brakes:
        """The ledger's, which every process that shares it heeds."""
        authority = self._opened()
        return LedgerBrakes(authority.ledger, authority, self._equipment.settings.rate_limits, self._equipment.target)

    def grant(self, check: AnyCheck, deadline_s: float) -> Meter:
        """Reserve it in the ledger, for a holder in this process."""
        return self._opened().meter(self.permit(check, deadline_s))

    def permit(self, check: AnyCheck, deadline_s: float, egress: str = "") -> Permit:
        """Reserve it in the ledger; `egress` as in `Permit`.

        Raises NotOurTurnError where no account is ours now, and what `Authority.grant` raises.
        """
        own, cleanup = check.quota()
        every = self._equipment.settings.every(check.options)
        share = self._equipment.options.share
        account = check.rota.choose(share, time.time(), hold_s(deadline_s), every)
        return self._opened().grant(
            check.name, quota=own, cleanup=cleanup, account=account,
            deadline_s=deadline_s, cleanup_s=CLEANUP_S, egress=egress,
        )  # fmt: skip

    def use(self, equipment: Equipment) -> None:
        """Only limits can have changed."""
        self._equipment = equipment
        if self._authority is not None:
            self._authority.limits = equipment.settings.rate_limits

    def settle(self, meter: Meter) -> None:
        """Free what was not used."""
        try:
            self._opened().settle(meter.permit, meter)
        except LedgerError as problem:  # the reservation then counts wholly until its end: less is sent, not more
            self.trouble = str(problem)

    def paused(self) -> PausedError | None:
        """As the ledger has it; where it cannot be read, everything is paused."""
        try:
            return self._opened().paused()
        except LedgerError as problem:
            return PausedError(problem.message, None)

    def limits_used(self, since: float) -> tuple[LimitUse, ...]:
        """All who share the ledger counted, as far back as it remembers."""
        target, limits = self._equipment.target, self._equipment.settings.rate_limits
        peaks: dict[str, int] = {}
        try:
            ledger = self._opened().ledger
            limits = ledger.lowered(target, limits)
            peaks = ledger.peaks(target, limits, min(KEEP_S, time.monotonic() - since + 1.0))
            self.trouble = ""
        except LedgerError as problem:
            self.trouble = str(problem)
        return tuple(limit_use(limit, peaks.get(limit.name, 0)) for limit in limits)

    def _opened(self) -> Authority:
        if self._authority is None:
            raise LedgerError(self.trouble)
        return self._authority


def ledger_of(equipment: Equipment) -> Ledger:
    """The ledger that this configuration and environment mean. Raises LedgerError where it cannot be opened."""
    return open_ledger(equipment.options.state, equipment.options.database_url)


def _authority(equipment: Equipment, ledger: Ledger) -> Authority:
    """Who draws on the ledger for this share of the target."""
    settings, share = equipment.settings, equipment.options.share
    return Authority(
        ledger,
        target=equipment.target,
        share=share,
        share_fraction=settings.shares[share].part,
        address_fraction=settings.shares[share].address_part,
        limits=settings.rate_limits,
        region=equipment.options.region,
    )


def limit_use(limit: RateLimit, peak: int) -> LimitUse:
    """A limit with its ceiling; where it is spaced, the part of a request that fits into a window."""
    ceiling = float(limit.ceiling) if limit.ceiling else round(limit.window_s / limit.hold_s, 3)
    return LimitUse(limit.name, limit.requests, limit.window_s, ceiling, peak)
