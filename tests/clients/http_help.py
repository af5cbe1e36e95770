"""An HttpClient on a real guard and meter, and brakes that remember what they were asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from probes.clients.answers import Refusal
from probes.clients.http import HttpClient, Identity, Request, Response
from probes.deadline import Deadline
from probes.errors import PausedError, TransportError
from probes.model import Phases
from probes.safety.guard import Guard, GuardRules, parse_url
from probes.safety.limits import RateLimit
from probes.safety.permits import Meter
from tests.safety.budget import limit, permit

ALL = limit("all", 10_000, 60, "* /*")
RUN_ID = "0123456789abcdef" * 2
WITHIN_S = 0.1
"""How much later than its deadline an exchange may end."""


@dataclass
class Brakes:
    """Remembers what the target asked for; `pause` is what holds now."""

    pause: PausedError | None = None
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def paused(self) -> PausedError | None:
        return self.pause

    def asked_to_pause(self, seconds: float) -> None:
        self.asked.append(("pause", seconds))

    def asked_to_slow_down(self, method: str, path: str, seconds: float) -> None:
        self.asked.append(("slow down", method, path, seconds))

    def limit_seen(self, method: str, path: str, requests_per_window: int) -> None:
        self.asked.append(("limit", method, path, requests_per_window))


@dataclass
class Rig:
    """A client and all that stands around it."""

    url: str
    client: HttpClient
    meter: Meter
    brakes: Brakes
    slept: list[float]

    def get(self, path: str = "/", timeout_s: float = 5.0, **options: Any) -> Response:
        return self.send("GET", path, timeout_s, **options)

    def send(self, method: str, path: str, timeout_s: float = 5.0, **options: Any) -> Response:
        return self.client.send(Request(method, path if "://" in path else self.url + path, **options), timeout_s)

    @property
    def sent(self) -> int:
        return self.meter.usage().sent


def rig(  # noqa: PLR0913 - each test changes one of these
    url: str,
    *,
    private: bool = True,
    hosts: tuple[str, ...] = (),
    exceptions: tuple[tuple[str, str], ...] = (),
    credential_hosts: tuple[str, ...] = (),
    limits: tuple[RateLimit, ...] = (ALL,),
    quota: Mapping[str, int] | None = None,
    cleanup: Mapping[str, int] | None = None,
    edge: tuple[str, str] | None = None,
    refusals: tuple[Refusal, ...] = (),
    deadline_s: float = 30.0,
    sleep: Callable[[float], None] | None = None,
) -> Rig:
    rules = GuardRules(parse_url(url).origin, hosts, exceptions, (), credential_hosts, private)
    meter = Meter(
        permit(*limits, quota=quota or {one.name: 50 for one in limits}, cleanup=cleanup, deadline_s=deadline_s)
    )
    brakes, slept = Brakes(), list[float]()

    def nap(seconds: float) -> None:
        slept.append(seconds)
        (sleep or time.sleep)(seconds)

    identity = Identity(RUN_ID, "smokeprobe/test (+https://example.com)", edge)
    client = HttpClient(Guard(rules), meter, brakes, identity, Deadline(deadline_s), refusals=refusals, sleep=nap)
    return Rig(url, client, meter, brakes, slept)


def failure(call: Callable[[], object]) -> TransportError:
    """What a call fails with. Its cause is not shown with it: that holds URLs and headers."""
    with pytest.raises(TransportError) as caught:
        call()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def overran_s(call: Callable[[], object], deadline_s: float) -> float:
    """By how much a failing call outlasts its deadline: the best of three, for this machine may be busy."""
    best = float("inf")
    for _ in range(3):
        begun = time.perf_counter()
        assert failure(call).timed_out
        took = time.perf_counter() - begun
        assert took > deadline_s * 0.9
        best = min(best, took - deadline_s)
        if best < WITHIN_S:
            break
    return best


def total_ms(phases: Phases) -> float:
    parts = (phases.dns_ms, phases.connect_ms, phases.tls_ms, phases.ttfb_ms, phases.download_ms)
    return sum(part for part in parts if part is not None)
