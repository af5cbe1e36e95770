"""What one occasion came to: a verdict, or none and why. This is what the store keeps, and it needs no library."""

from __future__ import annotations

from dataclasses import dataclass

NO_DATA = "no data"
"""The outcome of an occasion that has come to no verdict."""


@dataclass(frozen=True, slots=True)
class Record:
    """One occasion. `id` is unique for ever: the permit's that it was run on, so that it is counted once.

    `at` is when the master heard of it, in seconds since the epoch by the master's clock; `verified` whether anything
    bore the region out; `verdict` all of it as JSON, empty where there is none. Everything is redacted already.
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

    @property
    def is_verdict(self) -> bool:
        """Whether there is a verdict."""
        return self.outcome != NO_DATA
