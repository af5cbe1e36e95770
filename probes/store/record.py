"""What the store keeps: what one occasion came to, a verdict, or none and why; and runs. It needs no library."""

from __future__ import annotations

from dataclasses import dataclass

NO_DATA = "no data"
"""The outcome of an occasion that has come to no verdict."""

KEEP_S = 90 * 86400.0
"""How long the store remembers: the longest span that a status page speaks of."""


@dataclass(frozen=True, slots=True)
class Record:
    """One occasion. `id` is unique for ever: where it is the permit's that it was run on, it is counted once.

    `at` is when it was heard of, in seconds since the epoch by the hearer's clock; `verified` whether anything bore
    the region out; `verdict` all of it as JSON, empty where there is none; `run` the run's id where it was one.
    `version` is the target's; `step` the one whose time came nearest to its limit; `confirms` the id of the failure
    that was looked at again. Everything is redacted already.
    """

    id: str
    at: float
    region: str
    verified: bool
    check: str
    outcome: str
    duration_s: float | None = None
    reason: str = ""
    flaky: bool = False
    attempts: int = 0
    verdict: str = ""
    worker: str = ""
    run: str = ""
    version: str = ""
    certificate_days: float | None = None
    step: str = ""
    judged_ms: float | None = None
    limit_ms: float | None = None
    confirms: str = ""

    @property
    def is_verdict(self) -> bool:
        """Whether there is a verdict."""
        return self.outcome != NO_DATA


@dataclass(frozen=True, slots=True)
class Run:
    """One run: `at` is when it began, in seconds since the epoch; `mode` how it was started: run, ui or continuous.

    `version` is the target's; `budget_percent` the most of any of its limits that was used, in per cent of the limit.
    """

    id: str
    at: float
    env: str
    region: str
    verified: bool
    mode: str
    duration_s: float
    outcome: str
    exit_code: int
    version: str = ""
    budget_percent: float | None = None
    notes: str = ""
