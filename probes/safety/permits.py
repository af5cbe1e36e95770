"""Leave to send: what a holder was granted, and the meter with which it keeps to it.

A `Permit` says how many requests may be sent for each limit and for how long; a `Meter` is the holder's count of them.
Both carry durations only, never times of day, so they may cross processes and machines. Standard library only, and
cheap to import: the browser's sidecar uses them too.
"""

from __future__ import annotations

import math
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from probes.errors import PausedError, QuotaError
from probes.safety.limits import RateLimit, covering

POLL_S = 0.02
"""How soon to ask again while a request is under way on a spaced limit: its end cannot be foretold."""


def boot_clock() -> float:
    """Seconds since boot. Unlike `time.monotonic` it goes on while the machine sleeps, as the target's clock does."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


_TEXTS = ("id", "check", "region", "target", "share", "account", "egress")


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to run one check once against the origin `target`.

    `quota` is the number of requests for each limit, `cleanup` what is kept beside it for log-out and its proof.
    Durations count from the moment at which the permit was asked for: for `deadline_s` anything may be sent, for
    another `cleanup_s` clean-up only, and before `not_before` (by limit) nothing on that limit. A permit with a
    `deadline_s` of 0 is for clean-up alone. `egress` names the address that the target sees, the same name for all who
    share one; '' where that is not known. Raises ValueError where the numbers make no permit.
    """

    id: str
    check: str
    region: str
    target: str
    share: str
    limits: tuple[RateLimit, ...]
    quota: Mapping[str, int]
    cleanup: Mapping[str, int]
    account: str
    deadline_s: float
    cleanup_s: float
    not_before: Mapping[str, float] = field(default_factory=dict)
    egress: str = ""

    def __post_init__(self) -> None:
        names = [limit.name for limit in self.limits]
        if len(set(names)) < len(names):
            raise ValueError(f"two limits of one name: {', '.join(names)}")
        for part in (self.quota, self.cleanup, self.not_before):
            if unknown := set(part) - set(names):
                raise ValueError(f"no such limit: {', '.join(sorted(unknown))}")
        durations = (self.deadline_s, self.cleanup_s, *self.not_before.values())
        if not all(0 <= number < math.inf for number in (*self.quota.values(), *self.cleanup.values(), *durations)):
            raise ValueError(f"permit {self.id}: quotas and durations must be finite and not negative")

    @property
    def ends_in_s(self) -> float:
        """Seconds after which nothing at all may be sent."""
        return self.deadline_s + self.cleanup_s

    @property
    def cleanup_only(self) -> bool:
        """Whether the permit is for clean-up alone, which no pause stops."""
        return self.deadline_s <= 0

    def reserved(self, name: str) -> int:
        """Requests on this limit, the check's own and clean-up together."""
        return self.quota.get(name, 0) + self.cleanup.get(name, 0)

    def to_json(self) -> dict[str, Any]:
        """As JSON-able values; `from_json` reads them."""
        return {
            "id": self.id,
            "check": self.check,
            "region": self.region,
            "target": self.target,
            "share": self.share,
            "limits": [limit.to_json() for limit in self.limits],
            "quota": dict(self.quota),
            "cleanup": dict(self.cleanup),
            "account": self.account,
            "deadline_s": self.deadline_s,
            "cleanup_s": self.cleanup_s,
            "not_before": dict(self.not_before),
            "egress": self.egress,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Permit:
        """What `to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            **{name: str(data[name]) for name in _TEXTS},
            limits=tuple(map(RateLimit.from_json, data["limits"])),
            quota={name: int(count) for name, count in data["quota"].items()},
            cleanup={name: int(count) for name, count in data["cleanup"].items()},
            deadline_s=float(data["deadline_s"]),
            cleanup_s=float(data["cleanup_s"]),
            not_before={name: float(seconds) for name, seconds in data["not_before"].items()},
        )


Check = Callable[[Permit, Collection[str], Callable[[str, float], int]], None]
"""As `Ledger.check`: a permit, the limits of its next call, and how many of its requests on one count for a hold."""


@dataclass(frozen=True, slots=True)
class Span:
    """When one request was under way, in seconds before now; `over_ago_s` is None while it may still arrive."""

    started_ago_s: float
    over_ago_s: float | None

    def __post_init__(self) -> None:
        if not 0 <= (self.over_ago_s or 0) <= self.started_ago_s < math.inf:
            raise ValueError(f"no such span of time: {self.started_ago_s} to {self.over_ago_s} s ago")


@dataclass(frozen=True, slots=True)
class Usage:
    """What was sent under a permit: all requests, also by method, and for each limit when they were under way."""

    permit: str
    sent: int
    by_method: Mapping[str, int]
    spans: Mapping[str, tuple[Span, ...]]

    def to_json(self) -> dict[str, Any]:
        """As JSON-able values; `from_json` reads them."""
        return {
            "permit": self.permit,
            "sent": self.sent,
            "by_method": dict(self.by_method),
            "spans": {name: [[s.started_ago_s, s.over_ago_s] for s in spans] for name, spans in self.spans.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Usage:
        """What `to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            permit=str(data["permit"]),
            sent=int(data["sent"]),
            by_method={str(method): int(count) for method, count in data["by_method"].items()},
            spans={
                str(name): tuple(Span(float(start), None if over is None else float(over)) for start, over in spans)
                for name, spans in data["spans"].items()
            },
        )


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave for one request, given by `Meter.admit`; hand it to `Meter.over` when the request is over."""

    number: int


@dataclass(slots=True)
class _Request:
    """One request, or what a lent permit may have sent, by the meter's clock."""

    limits: tuple[str, ...]
    started: float
    over: float | None = None
    abandoned: bool = False  # given up without an answer: it may arrive as long as the permit lasts


class Meter:
    """The holder's count of what it sends under a permit. It neither sleeps nor sends, and is for one thread.

    Ask `wait_s`, sleep that long, ask again until it says 0, then `admit` without doing anything between the two;
    send; and tell how it ended with `over`. A request's time-out must not reach beyond `left_s`.

    `since` is a reading of `clock` from before the permit was asked for; its durations count from then. Without it
    they count from now, which is right only where the permit was handed over at once (see `HANDOVER_S` in the ledger).

    `check` is asked before each request that is no clean-up, whether it may go as things stand now (`Ledger.check`).
    """

    def __init__(
        self,
        permit: Permit,
        clock: Callable[[], float] = boot_clock,
        since: float | None = None,
        check: Check = lambda _permit, _names, _own: None,
    ) -> None:
        self.permit = permit
        self._ask = check
        self._clock = clock
        self._since = clock() if since is None else since
        self._limits = {limit.name: limit for limit in permit.limits}
        self._left = {name: permit.quota.get(name, 0) for name in self._limits}
        self._cleanup_left = {name: permit.cleanup.get(name, 0) for name in self._limits}
        self._free_at = {name: self._since + seconds for name, seconds in permit.not_before.items()}
        self._requests: dict[int, _Request] = {}
        self._sent = 0
        self._by_method: dict[str, int] = {}
        self._lent: dict[str, tuple[float, dict[str, int]]] = {}
        self._returned: set[str] = set()
        self._stopped = ""
        self._known: dict[tuple[str, str], tuple[str, ...]] = {}

    def left_s(self, *, cleanup: bool = False) -> float:
        """Seconds in which something, or clean-up, may still be sent; 0 when that is over."""
        length = self.permit.ends_in_s if cleanup else self.permit.deadline_s
        return max(0.0, self._since + length - self._clock())

    def covers(self, method: str, path: str) -> bool:
        """Whether any limit of the permit counts this call."""
        return bool(self._covering(method, path))

    def keeps(self, calls: Iterable[tuple[str, str]]) -> bool:
        """Whether what is kept for clean-up has room for all these calls (method, path)."""
        needed = Counter(name for method, path in calls for name in self._covering(method, path))
        return all(self._cleanup_left[name] >= count for name, count in needed.items())

    def stop(self, reason: str) -> None:
        """Admit nothing but clean-up from now on."""
        self._stopped = reason

    def wait_s(self, method: str, path: str, *, cleanup: bool = False) -> float:
        """Seconds until the call would be admitted, 0 for now; on a busy spaced limit, seconds until to ask again.

        Raises:
            QuotaError: the quota is used up, or the permit ends before.
            PausedError: the permit was stopped, and this is no clean-up.
        """
        return self._wait_s(self._covering(method, path), cleanup=cleanup)

    def admit(self, method: str, path: str, *, cleanup: bool = False) -> Ticket:
        """Take one request from the quota of every limit that covers the call, or none and raise.

        Clean-up draws from what was kept for it, then from what is left of the quota. A call that no limit covers is
        admitted and counted too.

        Raises:
            QuotaError: the quota is used up, the permit's time is over, or the spacing is not (see `wait_s`).
            PausedError: the permit was stopped, and this is no clean-up.
        """
        names = self._covering(method, path)
        if (wait_s := self._wait_s(names, cleanup=cleanup)) > 0:
            raise QuotaError(f"The next call of {self._of(names)} is due in {wait_s:.2f} s.")
        if not cleanup:
            self._ask(self.permit, names, self._held)
        for name in names:
            pot = self._cleanup_left if cleanup and self._cleanup_left[name] else self._left
            pot[name] -= 1
        self._sent += 1
        self._by_method[method.upper()] = self._by_method.get(method.upper(), 0) + 1
        return self._record(_Request(names, self._clock()))

    def over(self, ticket: Ticket, *, answered: bool) -> None:
        """The request of this ticket is over; a second call for the same ticket changes nothing.

        `answered`: the answer was read to its end, or the peer closed the connection, so the request is no longer on
        its way. Otherwise we gave up on it, and it counts as if it might arrive as long as the permit lasts.
        """
        request = self._requests[ticket.number]
        if request.over is not None or request.abandoned:
            return
        if answered:
            self._end(request, self._clock())
        else:
            request.abandoned = True
            self._space(request, self._clock())

    def usage(self) -> Usage:
        """What was sent so far, with what is lent out counted as sent wholly, and for as long as the permit lasts."""
        now = self._clock()
        spans: dict[str, list[Span]] = {name: [] for name in self._limits}
        for request in self._requests.values():
            for name in request.limits:
                spans[name].append(_span(request, now))
        for lent_at, quota in self._lent.values():
            for name in quota:
                spans[name] += [Span(now - lent_at, None)] * quota[name]
        return Usage(
            self.permit.id, self._sent, dict(self._by_method), {name: tuple(all_) for name, all_ in spans.items()}
        )

    def lend(self, quota: Mapping[str, int]) -> Permit:
        """Take `quota` out of our own and make a permit of it, for the sidecar; clean-up stays here.

        While it is lent out, nothing else is admitted on a spaced limit that it contains. Give what its holder's meter
        says at the end to `absorb`. Raises QuotaError and PausedError as `admit` does.
        """
        wanted = {name: count for name, count in quota.items() if count > 0}
        self._check(tuple(wanted), cleanup=False)
        self._ask(self.permit, tuple(wanted), self._held)
        for name, count in wanted.items():
            if count > self._left[name]:
                raise QuotaError(f"{count} requests of limit {name} were to be lent, {self._left[name]} are left.")
            if self._under_way(name):
                raise QuotaError(f"Limit {name} is spaced, and a request on it is under way: it cannot be lent now.")
        for name, count in wanted.items():
            self._left[name] -= count
        now = self._clock()
        sub_permit = replace(
            self.permit,
            id=uuid.uuid4().hex,
            quota=wanted,
            cleanup={},
            deadline_s=self.left_s(),
            cleanup_s=0.0,
            not_before={name: self._free_at[name] - now for name in wanted if self._free_at.get(name, now) > now},
        )
        self._lent[sub_permit.id] = (now, wanted)
        return sub_permit

    def absorb(self, usage: Usage) -> None:
        """Take a lent permit back: what it used counts as ours, the rest may be used again. Its holder must be done.

        A second time changes nothing. Raises ValueError for a permit that was not lent here.
        """
        if usage.permit in self._returned:
            return
        if usage.permit not in self._lent:
            raise ValueError(f"permit {usage.permit} was not lent by permit {self.permit.id}")
        _, quota = self._lent.pop(usage.permit)
        self._returned.add(usage.permit)
        now = self._clock()
        for name, spans in usage.spans.items():
            self._left[name] += max(0, quota.get(name, 0) - len(spans))
            for span in spans:
                request = _Request((name,), now - span.started_ago_s, abandoned=span.over_ago_s is None)
                self._record(request)
                if span.over_ago_s is None:
                    self._space(request, now)
                else:
                    self._end(request, now - span.over_ago_s)
        self._sent += usage.sent
        for method, count in usage.by_method.items():
            self._by_method[method] = self._by_method.get(method, 0) + count

    def write_off(self, lent: Permit) -> None:
        """The holder of a lent permit is dead: all that it was lent counts as sent, and may still arrive."""
        lent_at, quota = self._lent.pop(lent.id)
        self._returned.add(lent.id)
        self._sent += max(quota.values(), default=0)
        for name, count in quota.items():
            for _ in range(count):
                request = _Request((name,), lent_at, abandoned=True)
                self._record(request)
                self._space(request, self._clock())

    def _held(self, name: str, hold_s: float) -> int:
        """How many requests on a limit may count still, where each does for `hold_s` after it was over.

        What is lent out may all be sent, and what is kept for clean-up will be.
        """
        now = self._clock()
        sent = sum(request.over is None or request.over + hold_s > now for request in self._on(name))
        lent = sum(quota.get(name, 0) for _, quota in self._lent.values())
        return sent + lent + self._cleanup_left[name]

    def _covering(self, method: str, path: str) -> tuple[str, ...]:
        if (method, path) not in self._known:
            self._known[method, path] = tuple(limit.name for limit in covering(self._limits.values(), method, path))
        return self._known[method, path]

    def _wait_s(self, names: tuple[str, ...], *, cleanup: bool) -> float:
        self._check(names, cleanup=cleanup)
        wait_s = max((self._spacing_s(name) for name in names), default=0.0)
        if wait_s >= (left_s := self.left_s(cleanup=cleanup)):
            raise QuotaError(f"The next call of {self._of(names)} is due in {wait_s:.2f} s, with {left_s:.2f} s left.")
        return wait_s

    def _check(self, names: Iterable[str], *, cleanup: bool) -> None:
        """Raise where these limits will admit nothing more, however long one waits."""
        if self._stopped and not cleanup:
            raise PausedError(self._stopped, None)
        if self.left_s(cleanup=cleanup) <= 0:
            raise QuotaError(f"The permit of check {self.permit.check} has run out of time.")
        for name in names:
            if self._left[name] + (self._cleanup_left[name] if cleanup else 0) < 1:
                granted = self.permit.quota.get(name, 0)
                raise QuotaError(f"The quota of check {self.permit.check} for limit {name}, {granted}, is used up.")
            # a log-out goes all the same, its spacing after the connection was closed: a session must not stay open
            if not cleanup and self._limits[name].spaced and any(r.abandoned for r in self._on(name)):
                raise QuotaError(f"Limit {name} is spaced, and a request on it that got no answer may still arrive.")

    def _spacing_s(self, name: str) -> float:
        if self._under_way(name):
            return POLL_S
        return max(0.0, self._free_at.get(name, 0.0) - self._clock())

    def _under_way(self, name: str) -> bool:
        """Whether a spaced limit is taken, by a request or by being lent out. Other limits may be used at once."""
        if not self._limits[name].spaced:
            return False
        lent = any(name in quota for _, quota in self._lent.values())
        return lent or any(r.over is None and not r.abandoned for r in self._on(name))

    def _on(self, name: str) -> Iterable[_Request]:
        return (request for request in self._requests.values() if name in request.limits)

    def _record(self, request: _Request) -> Ticket:
        number = len(self._requests)
        self._requests[number] = request
        return Ticket(number)

    def _end(self, request: _Request, at: float) -> None:
        request.over = at
        self._space(request, at)

    def _space(self, request: _Request, at: float) -> None:
        for name in request.limits:
            if self._limits[name].spaced:
                self._free_at[name] = max(self._free_at.get(name, 0.0), at + self._limits[name].hold_s)

    def _of(self, names: tuple[str, ...]) -> str:
        return f"check {self.permit.check} on limit {', '.join(names)}" if names else f"check {self.permit.check}"


def _span(request: _Request, now: float) -> Span:
    return Span(now - request.started, None if request.over is None else now - request.over)
