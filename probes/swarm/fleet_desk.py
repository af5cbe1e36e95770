"""A worker's permits: each is asked of the master, and its time counts from before it was asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import AsyncResult

from probes.checks.base import Check
from probes.config.models import Settings
from probes.deadline import Deadline
from probes.errors import LedgerError, NoBudgetError, PausedError, QuotaError
from probes.model import LimitUse
from probes.safety.limits import covering
from probes.safety.permits import Meter, Permit, Usage, boot_clock

if TYPE_CHECKING:
    from probes.swarm.equipment import Equipment

AnyCheck = Check[Any]
Post = Callable[[str, Mapping[str, Any]], None]

ANSWER_S = 10.0
"""How long the master may take to answer; a permit that comes later is given back unused."""


class FleetBrakes:
    """What the target asks of a worker is heeded at once and told to the master, which tells all others."""

    def __init__(self, settings: Settings, post: Post) -> None:
        self.settings, self._post = settings, post
        self._pause: tuple[str, Deadline] | None = None
        self._slow: dict[str, tuple[str, Deadline]] = {}
        self._seen: dict[tuple[str, str], int] = {}

    def paused(self) -> PausedError | None:
        """The pause that holds now, if any."""
        if self._pause is None or (left_s := self._pause[1].remaining()) <= 0:
            return None
        return PausedError(self._pause[0], left_s)

    def pause(self, why: str, seconds: float) -> None:
        """Send nothing but log-outs for so long, or until `resume`."""
        self._pause = (why, Deadline(seconds))

    def resume(self) -> None:
        """Go on."""
        self._pause = None

    def hold(self, limits: Collection[str], why: str, seconds: float) -> None:
        """Send nothing but log-outs on these limits for so long."""
        self._slow |= dict.fromkeys(limits, (why, Deadline(seconds)))

    def asked_to_pause(self, seconds: float) -> None:
        """The target's owner wants no probe for so long."""
        self.pause(f"the target asked for a pause of {seconds:.0f} s (X-Smokeprobe-Pause)", seconds)
        self._post("asked", {"what": "pause", "seconds": seconds})

    def asked_to_slow_down(self, method: str, path: str, seconds: float) -> None:
        """A call was throttled."""
        limits = [limit.name for limit in covering(self.settings.rate_limits, method, path)]
        self.hold(limits, f"the target asked to slow down for {seconds:.0f} s", seconds)
        self._post("asked", {"what": "slow down", "method": method, "path": path, "seconds": seconds})

    def limit_seen(self, method: str, path: str, requests_per_window: int) -> None:
        """A live rate-limit header; the master hears of it when it changes."""
        if self._seen.get((method, path)) != requests_per_window:
            self._seen[method, path] = requests_per_window
            self._post("asked", {"what": "limit", "method": method, "path": path, "requests": requests_per_window})

    def check(self, _permit: Permit, names: Collection[str], _own: Callable[[str, float], int]) -> None:
        """Whether a permit that is held may send one more on these of its limits. Raises QuotaError."""
        for name in names:
            why, ends = self._slow.get(name, ("", Deadline(0.0)))
            if (left_s := ends.remaining()) > 0:
                raise QuotaError(f"Nothing is sent on limit {name} for another {left_s:.0f} s: {why}")


class FleetDesk:
    """Asks the master for each permit. `ticks` says for each check under way, which tick it is run for."""

    def __init__(self, target: str, brakes: FleetBrakes, post: Post) -> None:
        self.brakes = brakes
        self.ticks: dict[str, str] = {}
        self._target, self._post = target, post
        self._answers: dict[str, AsyncResult[Permit]] = {}
        self._usages: dict[str, Usage] = {}
        self._denied: set[str] = set()

    def grant(self, check: AnyCheck, deadline_s: float) -> Meter:  # noqa: ARG002 - the master says how long
        """Ask for the check's tick. Raises NoBudgetError, for good, where the master does not give it."""
        tick = self.ticks[check.name]
        since = boot_clock()
        answer = self._answers[tick] = AsyncResult()
        self._post("ask", {"tick": tick})
        try:
            permit = answer.get(timeout=ANSWER_S)
        except gevent.Timeout:
            permit = None
        finally:
            del self._answers[tick]
        if permit is None:
            self._denied.add(tick)
            raise NoBudgetError("the master does not answer", math.inf)
        if permit.target != self._target:
            self._usages[tick] = Meter(permit).usage()
            raise LedgerError(f"The master probes {permit.target}, and this worker {self._target}.")
        return Meter(permit, since=since, check=self.brakes.check)

    def granted(self, tick: str, permit: Permit) -> None:
        """The master has given a permit; one that nobody waits for any more is given back."""
        answer = self._answers.get(tick)
        if answer is None:
            usage = Meter(permit).usage()
            self._post("verdict", {"tick": tick, "usage": usage.to_json(), "verdict": None})
        else:
            answer.set(permit)

    def denied(self, tick: str, why: str) -> None:
        """The master will not give one; it has noted that itself."""
        answer = self._answers.get(tick)
        if answer is not None:
            self._denied.add(tick)
            answer.set_exception(NoBudgetError(why, math.inf))

    def settle(self, meter: Meter) -> None:
        """Keep what was used, until the verdict is told."""
        self._usages[self.ticks[meter.permit.check]] = meter.usage()

    def usage_of(self, tick: str) -> Usage | None:
        """What a tick has used, once; None where there was no permit."""
        return self._usages.pop(tick, None)

    def was_denied(self, tick: str) -> bool:
        """Whether the master has denied it, or not answered; told once."""
        denied = tick in self._denied
        self._denied.discard(tick)
        return denied

    def paused(self) -> PausedError | None:
        """As the master or the target said last."""
        return self.brakes.paused()

    def use(self, equipment: Equipment) -> None:
        """The limits that a call belongs to may have changed."""
        self.brakes.settings = equipment.settings

    def limits_used(self, since: float) -> tuple[LimitUse, ...]:  # noqa: ARG002 - the protocol's
        """The ledger is the master's, and so is this."""
        return ()
