"""What a probe finds out: steps, verdicts and the report of a run. Frozen, and free of any input or output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """What became of a step, an attempt, a check or a run. Only the first three speak of the target."""

    PASSED = "passed"
    DEGRADED = "degraded"  # right, but over a time or performance limit
    FAILED = "failed"  # wrong or not there
    THROTTLED = "throttled"  # the target told us to slow down: not down, not up
    ERROR = "error"  # the probe could not judge
    SKIPPED = "skipped"


SEVERITY: Mapping[Outcome, int] = {
    Outcome.SKIPPED: 0,
    Outcome.PASSED: 1,
    Outcome.DEGRADED: 2,
    Outcome.ERROR: 3,
    Outcome.THROTTLED: 4,
    Outcome.FAILED: 5,
}
"""Which outcome of several parts speaks for the whole: the highest. A failure is never hidden behind a throttle."""


JUDGED = frozenset({Outcome.PASSED, Outcome.DEGRADED, Outcome.FAILED})
"""Outcomes that say something of the target."""


def worst(outcomes: list[Outcome]) -> Outcome:
    """The outcome that speaks for all of `outcomes`; SKIPPED where there is none."""
    return max(outcomes, key=SEVERITY.__getitem__, default=Outcome.SKIPPED)


OUR_NETWORK = "our own network is down: "
"""How the rule of a reason begins where the target cannot be judged because we reach nobody at all."""

LOCAL = "local"
"""The region of a run that claims none."""

LONGEST_TEXT = 4096


def whole(text: str) -> str:
    """`text` whole, or only how long it is. It is cut once it is redacted: half a secret is not known as one."""
    return text if len(text) <= LONGEST_TEXT else f"(a text of {len(text)} characters)"


class Layer(StrEnum):
    """Where a step went wrong, from the wire upwards."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    HTTP = "http"
    BODY = "body"
    BROWSER = "browser"
    ACCOUNT = "account"
    BUDGET = "budget"


NETWORK = frozenset({Layer.DNS, Layer.CONNECT, Layer.TLS})
"""Layers below HTTP: what breaks there has not been answered by the target's own software."""


IDENTIFIER = {"identifier": True}
"""Marks a field that holds a name of ours, from the configuration: it is never redacted, as others go by it."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a step is not `passed`: the step, the layer, the rule, and expected beside actual where that may be shown.

    `unanswered`: nothing came back at all, so that the network between may be to blame, and be it our own.
    """

    step: str = field(metadata=IDENTIFIER)
    layer: Layer
    rule: str
    expected: str = ""
    actual: str = ""
    request_id: str = ""
    trace_id: str = ""
    unanswered: bool = False

    def __str__(self) -> str:
        text = f"{self.step} ({self.layer}): {self.rule}"
        if self.expected:
            text += f"; expected {self.expected}"
        if self.actual:
            text += f", got {self.actual}" if self.expected else f": {self.actual}"
        ids = [f"{name} {value}" for name, value in (("request", self.request_id), ("trace", self.trace_id)) if value]
        return f"{text} [{', '.join(ids)}]" if ids else text


@dataclass(frozen=True, slots=True)
class Phases:
    """Times of one request on the wire, in milliseconds; None where a kept-alive connection had no such phase."""

    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    ttfb_ms: float | None = None
    download_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One judged request, page or rule of a check.

    `duration_ms` is the whole time; `judged_ms` the part that is held against `limit_ms` (see `measure` in the
    configuration). Both are None where nothing was timed.
    """

    name: str = field(metadata=IDENTIFIER)
    outcome: Outcome
    duration_ms: float | None = None
    judged_ms: float | None = None
    limit_ms: float | None = None
    phases: Phases = field(default_factory=Phases)
    reason: Reason | None = None
    bytes_received: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the attempts of a check come to. `steps` are those of the last attempt; `attempts` the most tries of any."""

    check: str = field(metadata=IDENTIFIER)
    outcome: Outcome
    attempts: int = 1
    flaky: bool = False
    reason: Reason | None = None
    steps: tuple[Step, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    target_version: str = ""
    certificate_days: float | None = None
    started_at: str = ""
    duration_s: float = 0.0
    screenshot: str = ""
    configured_out: bool = False  # skipped because the configuration or a flag leaves it out: changes no exit code


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How much of one limit was used at the worst moment: `peak` requests in any one window."""

    name: str = field(metadata=IDENTIFIER)
    limit: int
    window_s: float
    ceiling: float  # requests per window that the probe allows itself; below 1 it is a spacing
    peak: int

    @property
    def peak_percent(self) -> float:
        """The peak in per cent of the target's limit; spaced requests by the time that they are apart."""
        return 100.0 * self.peak * min(1.0, self.ceiling) / self.limit


@dataclass(frozen=True, slots=True)
class RequestCount:
    """Requests of a run: sent, kept back by the guard, and sent by method."""

    sent: int = 0
    blocked: int = 0
    by_method: Mapping[str, int] = field(default_factory=dict, metadata=IDENTIFIER)


@dataclass(frozen=True, slots=True)
class RunReport:
    """One pass of all checks from one region. Times of day are UTC in ISO 8601; durations in seconds.

    `region_verified` is false where nothing has borne out that it ran there.
    """

    run_id: str = field(metadata=IDENTIFIER)
    env: str = field(metadata=IDENTIFIER)
    region: str
    target: str
    started_at: str
    duration_s: float
    outcome: Outcome
    exit_code: int
    verdicts: tuple[Verdict, ...]
    rate_limits: tuple[LimitUse, ...] = ()
    requests: RequestCount = field(default_factory=RequestCount)
    notes: tuple[str, ...] = ()
    sinks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    region_verified: bool = False
