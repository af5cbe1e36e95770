"""What a target's answers ask of us, on its way into the ledger."""

from __future__ import annotations

from probes.errors import PausedError
from probes.safety.ledger import Authority, Ledger
from probes.safety.limits import RateLimit, covering


class LedgerBrakes:
    """What the target's answers ask for, taken into the ledger, where every process of this machine heeds it."""

    def __init__(self, ledger: Ledger, authority: Authority, limits: tuple[RateLimit, ...], target: str) -> None:
        self._ledger, self._authority, self._limits, self._target = ledger, authority, limits, target

    def paused(self) -> PausedError | None:
        """The pause that holds now, if any."""
        return self._authority.paused()

    def asked_to_pause(self, seconds: float) -> None:
        """The target's owner wants no probe for so long: everything but log-outs stops at once."""
        why = f"the target asked for a pause of {seconds:.0f} s (X-Smokeprobe-Pause)"
        self._ledger.pause(self._target, seconds, why, "target")
        self._authority.stop_all(why)

    def asked_to_slow_down(self, method: str, path: str, seconds: float) -> None:
        """A call was throttled: nothing but log-outs on any limit that covers it, under whatever permit, until then."""
        limits = covering(self._limits, method, path)
        self._ledger.back_off(self._target, limits, seconds, f"the target asked to slow down for {seconds:.0f} s")

    def limit_seen(self, method: str, path: str, requests_per_window: int) -> None:
        """A live header speaks of the limit that names this call most exactly; it can only lower the ceiling."""
        limits = covering(self._limits, method, path)
        exact = tuple(limit for limit in limits if any(call.path == path for call in limit.covers))
        for limit in (exact or limits)[:1]:
            self._ledger.observe(self._target, limit, requests_per_window)
